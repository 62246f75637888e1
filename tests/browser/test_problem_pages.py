"""The problem pages in a real browser: the index, its search, a page, and the files for a documentation site."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gateway.pages.problems import export
from normalizers import VENDORS, HouseCode
from tests.browser.conftest import Open

pytestmark = pytest.mark.alone

LOOKS = [(360, "light"), (1280, "dark"), (2560, "light")]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_sound(tab: Open, width: int, scheme: str) -> None:
    """At any width and in either colours a page fits, axe finds nothing, and the policy is kept."""
    opened = tab(width=width, scheme=scheme)

    for path in ("/-/problems", "/-/problems/insufficient_credits"):
        opened.open(path, traffic=True)
        opened.check_width()
        opened.check_axe()
        opened.check()


def test_index(tab: Open) -> None:
    """The index shows every code, and each leads to its page and back."""
    opened = tab()
    page = opened.open("/-/problems", traffic=True)

    expect(page.locator(".codes > li")).to_have_count(len(HouseCode))
    page.get_by_role("link", name="not_found").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("not_found")
    page.get_by_role("link", name="Problems").last.click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Problems")
    opened.check()


def test_page(tab: Open) -> None:
    """A page says what it means, whose move it is, what to do, what a caller sees, and which vendor codes become it."""
    opened = tab()
    page = opened.open("/-/problems/conflict", traffic=True)

    headings = page.get_by_role("heading", level=2).all_text_contents()
    expect(page.locator("pre")).to_contain_text('"code": "conflict"')
    expect(page.get_by_role("row").filter(has_text="OUT_OF_STOCK")).to_contain_text("Sold <out>")
    expect(page.get_by_role("row").filter(has_text="OUT_OF_STOCK")).to_contain_text("Wait & see")
    page.locator(".related a").first.click()

    assert headings[:5] == [
        "What it means",
        "Whose move it is",
        "What to do",
        "Send it again?",
        "What the caller sees",
    ]
    expect(page.get_by_role("heading", level=1)).not_to_have_text("conflict")
    opened.check()


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("job_not_found", ["not_found"]),
        ("429", ["rate_limited", "capacity_exhausted", "vendor_rate_limited", "quota_exhausted"]),
        ("OUT_OF_STOCK acme", ["conflict"]),
        ("vendor_unr", ["vendor_unreachable"]),
    ],
)
def test_search(tab: Open, words: str, codes: list[str]) -> None:
    """The index is searched by code, status, words, and by a vendor's own code; Enter goes to the first."""
    opened = tab()
    page = opened.open("/-/problems", traffic=True)

    page.get_by_role("searchbox").fill(words)

    shown = page.locator(".codes > li:visible > a")
    expect(shown).to_have_count(len(codes))
    assert shown.all_text_contents() == codes
    expect(page.locator("#found")).to_have_text(f"{len(codes)} code{'s' * (len(codes) > 1)}")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(codes[0])
    opened.check()


def test_search_finds_nothing(tab: Open) -> None:
    """Words that stand nowhere bring a sentence that helps on, and taking them away brings everything back."""
    opened = tab()
    page = opened.open("/-/problems?q=zebra", traffic=True)

    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator(".codes > li:visible")).to_have_count(0)
    opened.check_axe()
    page.get_by_role("searchbox").fill("")

    expect(page.locator(".codes > li:visible")).to_have_count(len(HouseCode))
    opened.check()


def test_without_script(tab: Open) -> None:
    """Without JavaScript the index is all there, and offers no search that would not work."""
    page = tab(script=False).open("/-/problems", traffic=True)

    assert page.locator(".codes > li:visible").count() == len(HouseCode)
    assert not page.locator("#search").is_visible()


class Files(SimpleHTTPRequestHandler):
    """A file server, without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_files(tab: Open, tmp_path: Path) -> None:
    """As files on any server the pages look and lead as they do here, from the path that `type` ends in."""
    for name, content in export(list(VENDORS.values())).items():
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_bytes(content)
    opened = tab()

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=tmp_path)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            page = opened.page
            page.goto(f"http://127.0.0.1:{server.server_port}/docs/not_found")
            round_corners = page.locator(".strip").evaluate("(strip) => getComputedStyle(strip).borderTopLeftRadius")
            page.get_by_role("link", name="conflict").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("conflict")
            page.get_by_role("link", name="Problems").last.click()
            page.get_by_role("searchbox").fill("job_not_found")
            page.locator(".codes > li:visible > a").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("not_found")
            opened.check()
            # A browser keeps connections open, and their threads would be waited for.
            page.close()
        finally:
            server.shutdown()
            serving.join()

    assert round_corners == "6px"
