"""`errgate codes` and `errgate schema`."""

import functools
import json
import re
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import jsonschema
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.codes import markdown, render, text
from gateway.pages.problems import one_page
from normalizers import VENDORS, HouseCode, Row, Vendor

HOSTILE = Vendor(
    "acme",
    "Acme <b>",
    rows=(Row("A|B", HouseCode.CONFLICT, "http", "<script>alert('x')</script> & so\non", 'Say "please"', status=409),),
)


def run(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, ["codes", *arguments], catch_exceptions=False)


class Page(HTMLParser):
    """A page read strictly: every tag is closed in its turn."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag, and that it waits for its end."""
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Refuse an end that is not the innermost tag's."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.words.append(data)


def test_table() -> None:
    """The table has a line for every house code and every vendor code, with the vendor's own words."""
    lines = run().stdout.splitlines()

    for house in HouseCode:
        assert any(
            re.match(rf"{house.code} +{house.status} +{house.fault} +(yes|no) +{re.escape(house.title)}$", x)
            for x in lines
        )
    for vendor in VENDORS.values():
        for row in vendor.rows:
            assert any(line.startswith(f"{row.code} ") and f" {row.house.code} " in line for line in lines)
    assert any("Too many requests in the current minute. Wait the number of seconds" in line for line in lines)


@pytest.mark.parametrize("columns", [70, 80, 100, 132])
def test_table_fits(columns: int) -> None:
    """On a terminal no line is wider than it."""
    rendered = render("table", list(VENDORS.values()), whole=True, columns=columns)

    assert max(map(len, rendered.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= columns


def test_one_vendor() -> None:
    """--vendor leaves that vendor's table alone."""
    result = run("--vendor", "pixii")

    assert result.stdout.startswith("Pixii (pixii), 15 codes\n")
    assert "APIXO" not in result.stdout
    assert "invalid_request          400" not in result.stdout


def test_unknown_vendor() -> None:
    """An unknown vendor is answered with the likely one and all known, exit 2."""
    result = run("--vendor", "piksels")

    assert result.exit_code == 2
    assert result.stderr == (
        "errgate codes: no vendor 'piksels'; did you mean 'pikzels'? known: apixo, pikzels, pixee, pixii\n"
    )


def test_own_credential() -> None:
    """A code that means something else with the caller's own credential says so."""
    assert "With the caller's own credential: unauthenticated." in run("--vendor", "pixii").stdout


@pytest.mark.parametrize("flag", [["--json"], ["--format", "json"]])
def test_json(flag: list[str]) -> None:
    """A script gets everything: house codes, and the vendors' rows with description and advice."""
    catalogue = json.loads(run(*flag).stdout)

    assert [row["code"] for row in catalogue["codes"]] == [house.code for house in HouseCode]
    assert sorted(catalogue["vendors"]) == sorted(VENDORS)
    assert catalogue["vendors"]["pixii"]["codes"][0] == {
        "code": "UNAUTHORIZED",
        "kind": "http",
        "status": 401,
        "house_code": "vendor_account_error",
        "with_own_credential": "unauthenticated",
        "description": "Missing or invalid API key",
        "advice": "Check your API key is correct and has not been revoked",
    }


def test_json_of_one_vendor() -> None:
    """With --vendor the shape stays, and the other vendors are left out."""
    catalogue = json.loads(run("--json", "--vendor", "apixo").stdout)

    assert len(catalogue["codes"]) == len(HouseCode)
    assert list(catalogue["vendors"]) == ["apixo"]


def test_markdown() -> None:
    """Markdown has one table of house codes and one for each vendor."""
    lines = run("--format", "markdown").stdout.splitlines()

    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## House codes"
    assert "## Pixii (`pixii`)" in headings
    assert "| `not_found` | 404 | caller | no | There is no such thing |" in lines


def test_hostile_words_stay_in_their_cell() -> None:
    """What a vendor says can end no cell, start no tag and break no line."""
    row = markdown(HOSTILE)[-2]
    line = text(HOSTILE, None)[-2]

    assert row.count("|") - row.count("\\|") == 5
    assert "<script" not in row
    assert line.endswith("<script>alert('x')</script> & so on. Say \"please\".")


def test_html_page() -> None:
    """One page holds every house code, and every tag is closed."""
    page = Page(run("--format", "html").stdout)

    assert page.seen.count("section") == len(HouseCode)
    assert "Wait the number of seconds in retry_after before retrying" in page.words


def test_html_escapes() -> None:
    """A vendor's words are text on the page, never markup."""
    page = Page(one_page([HOSTILE]))

    assert not {"script", "b"} & set(page.seen)
    assert "<script>alert('x')</script> & so\non" in page.words


def test_html_files(tmp_path: Path) -> None:
    """With --output there is a page per house code and an index, and every link leads to a file."""
    site = tmp_path / "site" / "problems"

    result = run("--format", "html", "--output", str(site))

    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert result.stdout == f"{site}: {len(HouseCode) + 4} files written\n"
    assert set(pages) == {site / "index.html", *(site / house.code / "index.html" for house in HouseCode)}
    links = {(path.parent / link).resolve() for path, page in pages.items() for link in page.links if link[0] != "#"}
    assert links == {path for path in site.rglob("*") if path.is_file()}
    assert "JOB_NOT_FOUND" in pages[site / "not_found" / "index.html"].words
    assert "UNAUTHORIZED" in pages[site / "unauthenticated" / "index.html"].words


def test_html_files_of_settings(tmp_path: Path) -> None:
    """With --config the pages tell of its vendors, a described one too, and of where problems.base_uri points."""
    settings = tmp_path / "errgate.yaml"
    settings.write_text(
        "problems: {base_uri: 'https://docs.example/problems/'}\n"
        "vendors: {acme: {base_url: 'http://127.0.0.1:9', normalizer: {codes: {OUT_OF_STOCK: conflict}}}}\n"
    )

    run("--format", "html", "--output", str(tmp_path / "site"), "--config", str(settings))

    page = (tmp_path / "site" / "conflict" / "index.html").read_text("utf-8")
    assert "OUT_OF_STOCK" in page
    assert "https://docs.example/problems/conflict" in page
    assert "NAME_RESERVED" not in page


def test_bad_settings(tmp_path: Path) -> None:
    """Settings that cannot be read end the command with their faults, exit 2."""
    (tmp_path / "errgate.yaml").write_text("vendors: {acme: {}}")

    result = run("--config", str(tmp_path / "errgate.yaml"))

    assert result.exit_code == 2
    assert "vendors.acme.base_url" in result.stderr


class Files(SimpleHTTPRequestHandler):
    """A file server, without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_served_by_any_file_server(tmp_path: Path) -> None:
    """Where problems.base_uri points to the files, a `type` leads to its page, and its links to others (W-004)."""
    run("--format", "html", "--output", str(tmp_path))

    def visit(url: str) -> tuple[str, bytes]:
        with urlopen(url, timeout=10) as answer:  # noqa: S310  (loopback)
            return answer.url, answer.read()

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=tmp_path)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            url, content = visit(f"http://127.0.0.1:{server.server_port}/not_found")
            page = Page(content.decode())
            found = [visit(urljoin(url, link))[1] for link in page.links]
        finally:
            server.shutdown()
            serving.join()

    assert "not_found" in page.words
    assert len(found) > 5
    assert all(found)


@pytest.mark.parametrize(("layout", "name"), [("table", "codes.txt"), ("json", "codes.json"), ("markdown", "codes.md")])
def test_other_files(layout: str, name: str, tmp_path: Path) -> None:
    """Every other format is one file, the same as on stdout."""
    printed = run("--format", layout).stdout

    result = run("--format", layout, "--output", str(tmp_path))

    assert result.stdout == f"{tmp_path}: 1 file written\n"
    assert (tmp_path / name).read_text("utf-8") == printed


def test_output_that_is_a_file(tmp_path: Path) -> None:
    """--output that names a file is refused in one line, exit 2."""
    (tmp_path / "file").touch()

    result = run("--output", str(tmp_path / "file"))

    assert result.exit_code == 2
    assert result.stderr.startswith("errgate codes: Invalid value for '--output': Directory")
    assert result.stderr.count("\n") == 1


def test_broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package whose vendor cannot be loaded is named in one line."""

    def broken() -> object:
        raise ValueError("entry point errgate.normalizers:acme = acme:V: ImportError()")

    monkeypatch.setattr("gateway.cli.vendors.plugins", broken)

    result = run()

    assert result.exit_code == 1
    assert result.stderr == (
        "errgate: entry point errgate.normalizers:acme = acme:V: ImportError(); mend or remove that package\n"
    )


@pytest.mark.parametrize("what", ["problem", "config"])
def test_schema(what: str) -> None:
    """`errgate schema` prints a valid JSON Schema 2020-12."""
    printed = json.loads(CliRunner().invoke(main, ["schema", what], catch_exceptions=False).stdout)

    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(printed)
