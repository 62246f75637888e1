"""
A real Chromium before a real gateway, with the sandbox and a vendor that does what it is told behind it.

Whatever a page says on its console, every script that fails, every breach of its policy and every answer that is no
success is noted, and fails the test that saw it.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvloop
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response, expect, sync_playwright

from gateway import server as serving
from gateway.sandbox import BASE_PATHS, CREDENTIALS, create_sandbox
from tests.e2e.harness.gateway import ThreadGateway, settings_text, silence
from tests.e2e.harness.tools import tool
from tests.e2e.harness.vendor import RogueVendor

# A browser that talks to nobody but the page's own server, with a profile of its own.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Generous: a build machine may be busy. What a page promises is measured by its own clock.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

# Said by the page's own eyes: the policy's breaches, and how far its parts moved while it was read.
WATCH = """
window.breaches = [];
window.moved = 0;
document.addEventListener("securitypolicyviolation", (event) => {
  window.breaches.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    window.moved += entry.hadRecentInput ? 0 : entry.value;
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="session", autouse=True)
def _silence() -> Iterator[None]:
    """Leave the log as it was."""
    yield
    silence()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the machine's own Chromium is; asked for before anything is started for its sake."""
    return tool("chromium", "chromium")


# A module's and no longer: as long as it lives an event loop runs in this thread, and no asynchronous test could.
@pytest.fixture(scope="module")
def playwright(chromium: str) -> Iterator[Playwright]:
    """What drives the browser."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """The machine's own Chromium."""
    browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def vendor() -> Iterator[RogueVendor]:
    """A vendor that does what it is told."""
    with RogueVendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The simulators on a port of their own; its base URL."""
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()
    with serving.bind("127.0.0.1", 0) as listener:
        running = threading.Thread(
            target=lambda: loop.run_until_complete(serving.serve_app(create_sandbox(), listener, stop)), daemon=True
        )
        running.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        loop.call_soon_threadsafe(stop.set)
        running.join(10)
    loop.close()


# A vendor that the settings describe: one row, limits of each kind, holds, a breaker.
ACME = {
    "normalizer": {
        "title": "Acme",
        "code": ["/code"],
        "message": ["/message"],
        "codes": {"OUT_OF_STOCK": {"house": "conflict", "description": "Sold <out>", "advice": "Wait & see"}},
        "routes": [{"name": "order", "methods": ["POST"], "path": "/orders"}],
    },
    "limits": [{"name": "orders", "requests": 40, "per": "hour", "routes": ["order"]}],
    "on_vendor_limit": "hold",
    "breaker": {"failures": 3, "open_for": "10m"},
    "retries": {"max": 0},
}


@pytest.fixture
def gateway(chromium: str, sandbox: str, vendor: RogueVendor) -> Iterator[ThreadGateway]:
    """A gateway that nothing has gone through yet."""
    vendors: dict[str, object] = {
        name: {
            "base_url": sandbox + path,
            "credential": dict(zip(("header", "value"), CREDENTIALS[name], strict=True)),
        }
        for name, path in BASE_PATHS.items()
    }
    vendor.forget()
    vendors["acme"] = {"base_url": vendor.url, **ACME}
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


@dataclass
class Tab:
    """A page in the browser, and what it had to say."""

    page: Page
    admin: str
    traffic: str
    noise: list[str] = field(default_factory=list)

    def open(self, path: str, *, traffic: bool = False) -> Page:
        """Go to a path of the admin port, or of the traffic port."""
        self.page.goto(f"{self.traffic if traffic else self.admin}{path}")
        return self.page

    def check(self) -> None:
        """Nothing was said on the console, no script failed, and the policy was kept."""
        assert self.noise == []
        assert self.page.evaluate("window.breaches") == []

    def check_axe(self) -> None:
        """axe-core finds nothing to mend."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def check_width(self) -> None:
        """The page is no wider than its window."""
        inner, whole = self.page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        assert whole <= inner


Open = Callable[..., Tab]


@pytest.fixture
def tab(browser: Browser, gateway: ThreadGateway) -> Iterator[Open]:
    """Opens a tab of the given width and colours; what it says is looked at when the test is over."""
    opened: list[Tab] = []

    def create(*, width: int = 1280, height: int = 900, scheme: str = "light", script: bool = True) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=script,
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WATCH)
        page = context.new_page()
        admin, traffic = (f"http://{host}:{port}" for host, port in (gateway.admin, gateway.address))
        tab = Tab(page, admin, traffic)

        def hear(message: ConsoleMessage) -> None:
            tab.noise.append(f"{message.type}: {message.text}")

        def see(response: Response) -> None:
            if response.status >= 400:
                tab.noise.append(f"{response.status} {response.url}")

        page.on("console", hear)
        page.on("pageerror", lambda error: tab.noise.append(f"error: {error}"))
        page.on("response", see)
        opened.append(tab)
        return tab

    yield create
    for tab in opened:
        tab.page.context.close()
