"""A caller's key is rotated by the files that hold its digests, as docs/keys.md says; no request fails."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.gateway import ProcessGateway, settings_text
from tests.e2e.harness.oracle import until
from tests.e2e.harness.vendor import RogueVendor

# Contract 3: in force within 10 s; beyond it only what a busy machine may take away.
IN_FORCE = 20.0
OLD, NEW, NOBODYS = "egk_" + "old0" * 8, "egk_" + "new1" * 8, "egk_" + "none" * 8


def replace(path: Path, key: str) -> None:
    """Replace a file whole."""
    path.with_suffix(".tmp").write_text(hashlib.sha256(key.encode()).hexdigest() + "\n")
    path.with_suffix(".tmp").rename(path)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The digests of the old key and of nobody's."""
    replace(tmp_path / "current", OLD)
    replace(tmp_path / "next", NOBODYS)
    return tmp_path


@pytest.fixture
def process(vendor: RogueVendor, keys: Path) -> Iterator[ProcessGateway]:
    """A gateway with one caller."""
    digests = [f"${{file:{keys}/current}}", f"${{file:{keys}/next}}"]
    vendors = {"acme": {"base_url": vendor.url, "credential": {"header": "X-Key", "value": "k"}}}
    with ProcessGateway(settings_text(vendors, callers={"billing": {"key_sha256": digests}}), keys) as process:
        yield process


def test_a_callers_key_is_rotated(process: ProcessGateway, keys: Path) -> None:
    """Both keys work while the caller changes over, and the old one no longer than that."""
    asked: list[int] = []

    def works(key: str) -> bool:
        asked.append(process.ask("/acme/x", "GET", [("Errgate-Key", key)]).status)
        return asked[-1] == 200

    assert (works(OLD), works(NEW)) == (True, False)
    replace(keys / "next", NEW)
    assert until(lambda: works(NEW), IN_FORCE)
    assert works(OLD)

    replace(keys / "current", NOBODYS)
    assert until(lambda: not works(OLD), IN_FORCE)

    assert works(NEW)
    assert set(asked) == {200, 401}
    assert process.scrape().sum("errgate_config_last_reload_successful") == 1
