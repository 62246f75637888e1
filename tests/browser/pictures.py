"""
Takes the pictures in docs/images anew: the pages, over the simulated vendors and one that the settings describe.

    python -m tests.browser.pictures

It needs Debian's `chromium`; look at what it took before you commit it.
"""

import asyncio
import itertools
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from playwright.sync_api import Page, sync_playwright

from gateway import server as serving
from gateway.sandbox import BASE_PATHS, CREDENTIALS, create_sandbox
from tests.browser.conftest import ARGUMENTS
from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.vendor import RogueVendor, json_reply

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"

# Method, path, the error that the simulator is asked for, and how often of a hundred.
TRAFFIC = (
    ("GET", "/pixii/v1/api/jobs?asin=B000000001", "", 40),
    ("GET", "/pixii/v1/api/jobs/gone", "", 3),
    ("GET", "/pixii/v1/api/jobs", "INSUFFICIENT_CREDITS", 2),
    ("GET", "/pixee/products", "", 30),
    ("GET", "/pixee/products", "PRODUCT_NOT_FOUND", 2),
    ("GET", "/apixo/apikeys/current-balance", "", 25),
    ("POST", "/pikzels/v2/title/text", "CONTENT_POLICY", 2),
    ("POST", "/pikzels/v2/title/text", "GENERATION_FAILED", 1),
    ("POST", "/pikzels/v2/title/text", "", 9),
    ("POST", "/acme/orders", "", 4),
)


def send(url: str, over: threading.Event) -> None:
    """Send requests as they come in a working day, one after the other."""
    chosen = [(method, path, error) for method, path, error, often in TRAFFIC for _ in range(often)]
    # A step that shares no divisor with their number visits each once a round, well mixed.
    for turn in itertools.count():
        method, path, error = chosen[turn * 37 % len(chosen)]
        content = b'{"prompt": "x"}' if method == "POST" else None
        asked = urllib.request.Request(f"{url}{path}", content, method=method)  # noqa: S310  (loopback)
        asked.add_header("Content-Type", "application/json")
        if error:
            asked.add_header("Sandbox-Error", error)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  (loopback)
                answer.read()
        except urllib.error.HTTPError as refused:
            refused.close()
        if over.wait(0.02):
            return


def describe(sandbox: str, acme: str) -> str:
    """The settings: each simulated vendor with limits that its page names, and one that nobody knows well."""
    limits = {
        "pixii": [{"requests": 3000, "per": "minute"}, {"requests": 50_000, "per": "day"}],
        "pixee": [{"requests": 1200, "per": "minute"}],
        "apixo": [{"requests": 1500, "per": "minute"}, {"name": "calls", "in_flight": 8}],
        "pikzels": [{"name": "calls", "in_flight": 10}],
    }
    vendors: dict[str, object] = {}
    vendors["acme"] = {
        "base_url": acme,
        "on_vendor_limit": "hold",
        "limits": [{"name": "orders", "requests": 60, "per": "minute"}],
        "normalizer": {
            "title": "Acme",
            "code": ["/code"],
            "message": ["/message"],
            "routes": [{"name": "order", "methods": ["POST"], "path": "/orders"}],
            "codes": {"SOLD_OUT": {"house": "conflict", "description": "The item is sold out"}},
        },
    }
    vendors |= {
        name: {
            "base_url": sandbox + path,
            "credential": dict(zip(("header", "value"), CREDENTIALS[name], strict=True)),
            "limits": limits[name],
            "breaker": {"failures": 5, "open_for": "30s"},
        }
        for name, path in BASE_PATHS.items()
    }
    return settings_text(vendors, log={"level": "warning", "requests": False})


def picture(page: Page, name: str) -> None:
    """Take one."""
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


def explain(page: Page) -> None:
    """Ask for a reply to be explained."""
    page.get_by_label("Vendor", exact=True).select_option("pixii")
    page.get_by_label("Status of the reply").fill("400")
    page.get_by_label("Body").fill('{"code": "INSUFFICIENT_CREDITS", "message": "Not enough credits"}')
    page.get_by_role("button", name="Explain").click()


def main() -> None:
    """Take them all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    assert chromium is not None, "Debian's package `chromium` brings the browser"
    with (
        simulators() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        RogueVendor() as acme,
        ProcessGateway(describe(sandbox, acme.url), Path(folder), traced=False) as gateway,
        sync_playwright() as playwright,
    ):
        said = [json_reply(200, {"order": 1})] * 30 + [
            json_reply(409, {"code": "SOLD_OUT", "message": "Sold out"}),
            json_reply(422, {"code": "ADDRESS_UNKNOWN", "message": "No such street"}),
            json_reply(400, {"code": "COUPON_EXPIRED", "message": "Too late"}),
            json_reply(429, {"code": "SLOW_DOWN", "message": "Slow down"}, [("Retry-After", "50")]),
        ]
        acme.reply(*said)
        over = threading.Event()
        url, admin = (f"http://{host}:{port}" for host, port in (gateway.address, gateway.admin))
        sending = threading.Thread(target=send, args=(url, over))
        sending.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{admin}/")
            page.wait_for_timeout(50_000)
            picture(page, "console")
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size({"width": 1200, "height": 720})
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            picture(page, "console-failures-dark")
            page.emulate_media(color_scheme="light")
            page.locator("#log tbody tr").filter(has_text="insufficient_credits").first.get_by_role("button").click()
            picture(page, "console-envelope")
            phone = browser.new_page(viewport={"width": 360, "height": 740})
            phone.goto(f"{admin}/")
            phone.wait_for_timeout(3_000)
            picture(phone, "console-phone")
            page.goto(f"{admin}/drift")
            picture(page, "drift")
            page.set_viewport_size({"width": 1200, "height": 1060})
            page.goto(f"{admin}/explain")
            explain(page)
            picture(page, "explain")
            page.goto(f"{url}/-/problems/insufficient_credits")
            picture(page, "problem")
            page.goto(f"{url}/-/problems?q=credits")
            picture(page, "problems")
        finally:
            over.set()
            sending.join()
            browser.close()


@contextmanager
def simulators() -> Iterator[str]:
    """The simulators on a port of their own; their base URL."""
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()
    with serving.bind("127.0.0.1", 0) as listener:
        running = threading.Thread(
            target=lambda: loop.run_until_complete(serving.serve_app(create_sandbox(), listener, stop))
        )
        running.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(stop.set)
            running.join()
    loop.close()


if __name__ == "__main__":
    main()
