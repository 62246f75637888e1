"""
The console in a real browser, while requests go through the gateway.

One file: every test looks at the same console, over the same gateway.
"""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway import settings
from normalizers import Reply, normalize
from tests.browser.conftest import Open
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.vendor import RogueVendor, json_reply

pytestmark = pytest.mark.alone

PAGES = ["/", "/explain", "/drift", "/-/problems/not_found"]
LOOKS = [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark"), (2560, "light")]
TRIES = 5


def order(gateway: ThreadGateway, request_id: str = "order-0001") -> dict[str, object]:
    """A request to the vendor that does what it is told; what the caller got."""
    answer = gateway.ask("/acme/orders", "POST", [("X-Request-Id", request_id)], b"{}")
    said = json.loads(answer.body)
    assert isinstance(said, dict)
    return said


def failing(vendor: RogueVendor, code: str = "OUT_OF_STOCK", status: int = 409) -> None:
    """Have the vendor refuse every request."""
    vendor.reply(json_reply(status, {"code": code, "message": f"Because of {code}"}))


def card(page: Page, vendor: str) -> str:
    """How a vendor's card is found."""
    return f'[data-vendor="{vendor}"]'


@pytest.fixture
def traffic(gateway: ThreadGateway) -> Iterator[None]:
    """Requests to the simulated vendors, as fast as one caller sends them, while the test runs."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            gateway.ask("/pixii/v1/api/jobs?asin=B000000001")
            gateway.ask("/pixii/v1/api/jobs/none")
            gateway.ask("/apixo/apikeys/current-balance")
            gateway.ask("/pikzels/v2/title/text", "POST", [("Sandbox-Error", "CONTENT_POLICY")], b"{}")
            over.wait(0.01)

    sending = threading.Thread(target=send)
    sending.start()
    yield
    over.set()
    sending.join()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_sound(gateway: ThreadGateway, vendor: RogueVendor, tab: Open, width: int, scheme: str) -> None:
    """At any width and in either colours each page fits, axe finds nothing, and the policy is kept."""
    failing(vendor, "SOMETHING_NEW")
    order(gateway)
    opened = tab(width=width, scheme=scheme)

    for path in PAGES:
        page = opened.open(path)
        if path == "/":
            expect(page.locator("#log tbody tr")).to_have_count(1)
        opened.check_width()
        opened.check_axe()
        opened.check()


@pytest.mark.parametrize(("scheme", "darker"), [("light", False), ("dark", True)])
def test_colours(tab: Open, scheme: str, darker: bool) -> None:
    """The page's ground is dark where the person's system is, and its words are the opposite."""
    page = tab(scheme=scheme).open("/")

    ground, ink = page.evaluate(
        "['backgroundColor', 'color'].map((name) => getComputedStyle(document.documentElement)[name])"
    )

    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ground, ink)]
    assert (brightness[0] < brightness[1]) is darker


def test_live_traffic(gateway: ThreadGateway, traffic: None, tab: Open) -> None:
    """While requests go through, their numbers stand on the page, per vendor, route and code, and nothing moves."""
    opened = tab()
    page = opened.open("/")

    pixii = page.locator(card(page, "pixii"))
    expect(pixii.locator("[data-field=state]")).to_have_text("answering")
    expect(pixii.locator("[data-field=rate]")).not_to_have_text(re.compile(r"^(\W|0\.0)$"))
    expect(pixii.locator("[data-field=codes] li").first).to_contain_text("not_found")
    for field in ("whole-50", "whole-99", "theirs-50", "theirs-99", "ours-50", "ours-99"):
        expect(pixii.locator(f"[data-field={field}]")).to_have_text(re.compile(r"^[> ]*[0-9.]+ (µs|ms|s)$"))
    counted = pixii.locator('[data-route="poll"] td').first
    before = int(counted.inner_text().replace(",", ""))
    expect(counted).not_to_have_text(f"{before:,}")
    expect(page.locator("[data-tile=caller]")).to_have_text(re.compile(r"^[0-9.]+ %$"))
    expect(page.locator(card(page, "pikzels")).locator("[data-outcome=caller]")).to_have_text("100 %")

    page.get_by_label("Last minute").check()
    expect(pixii.locator("[data-outcome=caller]")).to_have_text(re.compile(r"^[1-9][0-9.]* %$"))
    assert page.evaluate("window.moved") < 0.01
    opened.check_axe()
    opened.check()


def test_numbers_are_those_of_the_metrics(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """What the page counts is what a scrape counts."""
    failing(vendor)
    for _ in range(7):
        order(gateway)
    vendor.reply(json_reply(200, {"order": 1}))
    for _ in range(3):
        order(gateway)

    page = tab().open("/")

    acme = page.locator(card(page, "acme"))
    expect(acme.locator('[data-route="order"] td')).to_have_text(["10", "70.0 %", re.compile("s$"), re.compile("s$")])
    expect(acme.locator("[data-field=codes] li").first).to_contain_text("7")
    expect(acme.locator("[data-outcome=ok]")).to_have_text("30.0 %")
    expect(acme.locator("[data-outcome=caller]")).to_have_text("70.0 %")


def test_a_failure_appears(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A failure stands on the page within two seconds of its answer."""
    failing(vendor)
    opened = tab()
    page = opened.open("/")
    expect(page.locator("#said")).to_have_text("Live")
    expect(page.locator("#none")).to_be_visible()
    took = []

    for number in range(TRIES):
        order(gateway, f"order-{number:04d}")
        began = time.monotonic()
        expect(page.locator("#log tbody tr").first).to_contain_text(f"order-{number:04d}")
        took.append(time.monotonic() - began)

    print(f"a failure appears after {', '.join(f'{seconds:.2f} s' for seconds in took)}")  # noqa: T201  (the measurement)
    # A busy machine can be late once; the page asks once a second, whatever the machine.
    assert min(took) < 2.0
    opened.check()


def test_a_hold_counts_down(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A hold stands in its vendor's card, and its seconds become fewer."""
    vendor.reply(json_reply(429, {"code": "SLOW", "message": "Slow down"}, [("Retry-After", "45")]))
    order(gateway)
    opened = tab()
    page = opened.open("/")

    state = page.locator(card(page, "acme")).locator("[data-field=state]")
    expect(state).to_have_text(re.compile(r"^held, \d+ s$"))
    seen = [state.inner_text()]
    for _ in range(3):
        expect(state).not_to_have_text(seen[-1])
        seen.append(state.inner_text())

    seconds = [int(re.sub(r"\D", "", words)) for words in seen]
    assert seconds == sorted(seconds, reverse=True)
    assert 45 >= seconds[0] > seconds[-1] > 0
    expect(page.locator(card(page, "acme")).locator("[data-field=hold]")).to_contain_text("vendor_rate_limited")
    expect(page.locator("[data-tile=holds]")).to_have_text("1")
    opened.check_axe()
    opened.check()


def test_limits_left(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """What is left of a limit stands beside its bar, in numbers."""
    failing(vendor)
    page = tab().open("/")
    left = page.locator(card(page, "acme")).locator('[data-limit="orders"]')
    expect(left).to_contain_text("40 of 40 left")

    for _ in range(30):
        order(gateway)

    expect(left).to_contain_text("10 of 40 left")
    expect(left.locator(".meter i")).to_have_attribute("style", re.compile(r"width: 25%"))


def test_breaker(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A breaker that is open is said in its vendor's card, with when it tries again."""
    failing(vendor, "DOWN", 503)
    for _ in range(3):
        order(gateway)

    page = tab().open("/")

    acme = page.locator(card(page, "acme"))
    expect(acme.locator("[data-field=state]")).to_have_text("breaker open")
    expect(acme.locator("[data-field=breaker]")).to_have_text(re.compile(r"^open, tries again in \d+ min$"))


def test_filters(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """The last failures are narrowed by vendor, by house code or vendor code, and by request id."""
    failing(vendor)
    order(gateway, "needle-0001")
    failing(vendor, "SOMETHING_NEW", 400)
    order(gateway, "order-0002")
    gateway.ask("/pixii/v1/api/jobs/none")
    opened = tab()
    page = opened.open("/")
    rows = page.locator("#log tbody tr:visible")
    expect(rows).to_have_count(3)

    page.get_by_label("Vendor", exact=True).select_option("acme")
    expect(rows).to_have_count(2)
    page.get_by_label("Code", exact=True).fill("conflict")
    expect(rows).to_have_count(1)
    page.get_by_label("Code", exact=True).fill("something_new")
    expect(rows).to_contain_text(["order-0002"])
    page.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(3)
    page.get_by_label("Request id", exact=True).fill("NEEDLE")
    expect(rows).to_contain_text(["needle-0001"])
    page.get_by_label("Request id", exact=True).fill("no such id")

    expect(rows).to_have_count(0)
    expect(page.locator("#none")).to_have_text("No failure that is remembered fits this filter.")
    opened.check_axe()
    opened.check()


def test_a_row_opens_the_envelope(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A row opens the envelope that its caller got, by mouse and by keyboard; Escape brings the reader back."""
    failing(vendor, "<img src=x onerror=alert(1)>")
    got = order(gateway)
    opened = tab()
    page = opened.open("/")
    row = page.locator("#log tbody tr").first
    expect(row).to_contain_text("<img src=x onerror=alert(1)>")

    # The button spreads over its row: wherever the mouse is, it is on it.
    row.get_by_text("order-0001").click(force=True)
    expect(page.get_by_role("dialog")).to_be_visible()
    shown = json.loads(page.locator("#envelope-json").inner_text())
    opened.check_axe()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    row.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("link", name="What it means").click()

    assert shown == got
    expect(page.get_by_role("heading", level=1)).to_have_text(str(got["code"]))
    opened.check()


def test_a_failed_job_is_among_the_failures(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A job that a poll finds failed is a failure, too, though its answer was a success."""
    answer = gateway.ask("/pixii/v1/api/jobs/1", headers=[("Sandbox-Error", "CONTENT_MODERATION_ERROR")])
    opened = tab()

    page = opened.open("/")

    assert answer.status == 200
    row = page.locator("#log tbody tr").first
    expect(row).to_contain_text("content_rejected")
    expect(row).to_contain_text("200 in a job")
    opened.check()


def test_pause(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """Whoever wants to read in peace stops the page, and starts it again."""
    failing(vendor)
    opened = tab()
    page = opened.open("/")
    expect(page.locator("#said")).to_have_text("Live")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#said")).to_have_text(re.compile("^Paused at"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    order(gateway)
    page.wait_for_timeout(1500)
    while_paused = [*asked]
    page.get_by_role("button", name="Pause").click()

    expect(page.locator("#log tbody tr")).to_have_count(1)
    assert while_paused == []
    opened.check()


def test_no_answer(tab: Open) -> None:
    """A page that gets no answer says so and since when, and goes on by itself once there is one."""
    opened = tab()
    page = opened.open("/")
    expect(page.locator("#said")).to_have_text("Live")

    page.route("**/-/console*", lambda route: route.abort())
    expect(page.locator("#said")).to_have_text(re.compile(r"^No answer since \d\d:\d\d:\d\d$"))
    opened.check_axe()
    page.unroute_all()

    expect(page.locator("#said")).to_have_text("Live")


def test_explain(tab: Open) -> None:
    """A reply that is pasted is judged as the gateway would judge it, and the rule is named."""
    body = {"code": "RATE_LIMIT_MINUTE_EXCEEDED", "message": "Too many requests", "retry_after": 47}
    opened = tab()
    page = opened.open("/explain")

    page.get_by_label("Vendor", exact=True).select_option("pixii")
    page.get_by_label("Status of the reply").fill("429")
    page.get_by_label("Body").fill(json.dumps(body))
    page.get_by_role("button", name="Explain").click()

    expect(page.get_by_role("heading", level=2)).to_have_text("Callers get 429 vendor_rate_limited")
    expect(page.locator(".why")).to_have_text("reply: vendor_rate_limited by the row of RATE_LIMIT_MINUTE_EXCEEDED")
    head, _, envelope = page.locator("pre").inner_text().partition("\n\n")
    assert "Retry-After: 47" in head
    shown = json.loads(envelope)
    pixii = settings.loads("vendors: {pixii: {base_url: http://127.0.0.1:9}}", environ={}).vendors["pixii"].vendor
    problem = normalize(pixii, Reply(429, body=json.dumps(body).encode()))
    assert shown == problem.members(base_uri="/-/problems/", instance=shown["instance"], request_id=shown["request_id"])
    expect(page.get_by_label("Body")).to_have_value(json.dumps(body))
    opened.check_axe()
    opened.check()


def test_explain_a_job(tab: Open) -> None:
    """A success that carries a failure is told from one that does not, by the route of its path."""
    opened = tab()
    page = opened.open("/explain")

    page.get_by_label("Status of the reply").fill("200")
    page.get_by_label("Path asked, at the vendor").fill("/v1/api/jobs/1")
    page.get_by_label("Body").fill('{"status": "failed", "error_code": "CONTENT_MODERATION_ERROR"}')
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("It stays a 200 and carries a failure")
    expect(page.locator("pre")).to_contain_text("Errgate-Job-Codes: content_rejected")
    page.get_by_label("Path asked, at the vendor").fill("/elsewhere")
    page.get_by_role("button", name="Explain").click()

    expect(page.get_by_role("heading", level=2)).to_have_text("It goes on untouched")
    opened.check()


def test_explain_what_cannot_be(tab: Open) -> None:
    """A form that is filled wrongly says which field, and keeps what was written."""
    opened = tab()
    page = opened.open("/explain")

    page.get_by_label("Status of the reply").fill("much")
    page.get_by_label("Header fields").fill("no field")
    page.get_by_role("button", name="Explain").click()

    expect(page.locator("#wrong-status")).to_have_text("A status is a number from 200 to 599.")
    expect(page.locator("#wrong-headers")).to_contain_text("'no field' is not 'Name: value'.")
    expect(page.get_by_label("Status of the reply")).to_have_value("much")
    opened.check_axe()
    assert [line for line in opened.noise if "422" not in line] == []


def test_drift(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """A code that no row has is named, with a line for the settings that knows it; so are rows never seen."""
    failing(vendor, "BRAND_NEW", 400)
    order(gateway)
    gateway.ask("/pixii/v1/api/jobs/1", headers=[("Sandbox-Error", "JOB_NOT_FOUND")])
    opened = tab()

    page = opened.open("/drift")

    acme = page.locator("section.drifted").filter(has=page.get_by_role("heading", name="acme", exact=True))
    expect(acme.get_by_role("row").filter(has_text="BRAND_NEW")).to_contain_text("invalid_request")
    expect(acme.get_by_role("heading", level=3)).to_have_text("To paste below vendors.acme.normalizer.codes")
    line = acme.locator("pre").inner_text()
    text = f"vendors: {{acme: {{base_url: http://127.0.0.1:9, normalizer: {{codes: {{{line}}}}}}}}}"
    row = settings.loads(text, environ={}).vendors["acme"].vendor.row("BRAND_NEW")
    assert row is not None
    assert row.house.code == "invalid_request"
    expect(acme.get_by_text("1 of 1 row never seen")).to_be_visible()
    pixii = page.locator("section.drifted").filter(has=page.get_by_role("heading", name="pixii", exact=True))
    pixii.locator("summary").click()
    expect(pixii.get_by_role("row").filter(has_text="NO_ACTIVE_BRAND")).to_be_visible()
    expect(pixii.get_by_role("row").filter(has_text="JOB_NOT_FOUND")).to_have_count(0)
    opened.check_axe()
    opened.check()


def test_new_settings(gateway: ThreadGateway, tab: Open) -> None:
    """A vendor that a reload brings gets its place on a page that is open, without anybody's doing."""
    opened = tab()
    page = opened.open("/")
    expect(page.locator("#said")).to_have_text("Live")
    document = {"pixii": {"base_url": "http://127.0.0.1:9"}, "newcomer": {"base_url": "http://127.0.0.1:9"}}
    server = {"host": gateway.settings.server.host, "port": gateway.settings.server.port}
    admin = {"admin": {"port": gateway.settings.server.admin.port}}
    following = settings.loads(json.dumps({"vendors": document, "server": server | admin}), environ={})

    async def reload() -> list[str]:
        faults = gateway.app.prepare(following)
        gateway.app.commit()
        return faults

    faults = asyncio.run_coroutine_threadsafe(reload(), gateway.loop).result(10)

    assert faults == []
    expect(page.locator(card(page, "newcomer"))).to_be_visible()
    expect(page.locator(card(page, "acme"))).to_have_count(0)
    expect(page.locator("#said")).to_have_text("Live")
    opened.check()


def test_without_script(tab: Open) -> None:
    """Without JavaScript the live page says what it needs, and where the same numbers are."""
    page = tab(script=False).open("/")

    assert "takes JavaScript" in page.locator("noscript").inner_text()
    assert page.get_by_role("link", name="/metrics").is_visible()


def test_keyboard(gateway: ThreadGateway, vendor: RogueVendor, tab: Open) -> None:
    """The first Tab offers the way past the navigation, and every control can be reached and seen in focus."""
    failing(vendor)
    order(gateway)
    page = tab().open("/")
    expect(page.locator("#log tbody tr")).to_have_count(1)

    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.textContent"
            )
        )

    assert first == "Skip to the content"
    assert {"pause", "window", "by-vendor", "by-code", "by-id", "Clear", "conflict"} <= reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") in {"solid", "auto", "none"}


TOKEN = "correct-horse-battery-staple"


def test_token(browser: Browser) -> None:
    """With a token the browser asks for a password, and takes it on to everything that the page asks for."""
    text = settings_text({"pixii": {"base_url": "http://127.0.0.1:9"}}, server={"admin": {"token": TOKEN}, "hosts": []})
    with ThreadGateway(text) as gateway:
        url = f"http://127.0.0.1:{gateway.admin[1]}/"
        stranger = browser.new_context()
        status = stranger.request.get(url).status
        context = browser.new_context(http_credentials={"username": "anybody", "password": TOKEN})
        page = context.new_page()
        page.goto(url)
        expect(page.locator("#said")).to_have_text("Live")
        stranger.close()
        context.close()

    assert status == 401
