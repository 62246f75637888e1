"""The settings file as a file, and the files and packages that it leans on: missing, too long, changed, broken."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError, load, loads

ACME = "vendors:\n  acme:\n    base_url: https://api.acme.example\n"


def refused(text: str, **environ: str) -> list[str]:
    """The faults of a text."""
    with pytest.raises(SettingsError) as wrong:
        loads(text, environ=environ)
    return wrong.value.faults


def test_missing_file(tmp_path: Path) -> None:
    """A settings file that is not there is one sentence with the mend."""
    with pytest.raises(SettingsError) as wrong:
        load(tmp_path / "errgate.yaml")

    said = f"{tmp_path}/errgate.yaml: the settings file cannot be read (No such file or directory); write one"
    assert str(wrong.value) == f"{said}, or name another with --config or ERRGATE_CONFIG"
    assert wrong.value.faults == [str(wrong.value)]


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is said to be so."""
    (tmp_path / "errgate.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="it is not UTF-8"):
        load(tmp_path / "errgate.yaml")


def test_byte_order_mark(tmp_path: Path) -> None:
    """A file from an editor that writes a byte order mark is read."""
    (tmp_path / "errgate.yaml").write_text(ACME, encoding="utf-8-sig")

    assert load(tmp_path / "errgate.yaml", {}).vendors


def test_text_has_no_file_to_watch() -> None:
    """Settings from a text watch only the files that it names."""
    assert loads(ACME).files == frozenset()


def test_too_long() -> None:
    """A text beyond all settings is refused before it is parsed."""
    assert refused("#" * (5 << 20)) == ["errgate.yaml:1: yaml: is over 4 MiB; settings are not that long"]


def test_aliases_are_bounded() -> None:
    """Aliases inside aliases end in a fault, not in memory."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))

    assert refused(bomb) == ["errgate.yaml:1: yaml: is nested too deeply, or repeats itself by aliases; write it out"]


def test_brackets_are_bounded() -> None:
    """Ten thousand brackets end in a fault, not in the interpreter's recursion limit."""
    assert refused("[" * 10_000)[0].startswith("errgate.yaml:1: yaml: is nested too deeply")


def test_alias_repeats_a_value() -> None:
    """An alias stands for what it names."""
    settings = loads(
        "vendors:\n  one: {base_url: https://one.example, timeouts: &slow {idle: 2m}}\n"
        "  two: {base_url: https://two.example, timeouts: *slow}\n"
    )

    assert settings.vendors["two"].timeouts.idle == 120


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A settings file that takes its credential from a file beside it; the path of that."""
    (tmp_path / "errgate.yaml").write_text(
        f'{ACME}    credential: {{header: X-Api-Key, value: "${{file:key}}"}}\n', encoding="utf-8"
    )
    (tmp_path / "key").write_text("canary-one\n", encoding="utf-8")
    return tmp_path / "key"


def credential(settings: Settings) -> str:
    """The value that would be sent."""
    chosen = settings.vendors["acme"].credential
    assert not isinstance(chosen, str)
    return chosen.value.get_secret_value()


@pytest.mark.parametrize("content", ["", "\n", None], ids=["empty", "a newline", "gone"])
def test_reload_keeps_an_unreadable_secret(secret: Path, content: str | None) -> None:
    """A reload that finds a secret empty or gone keeps the old value, and says so without showing it."""
    file = secret.parent / "errgate.yaml"
    old = load(file, {})
    if content is None:
        secret.unlink()
    else:
        secret.write_text(content, encoding="utf-8")

    again = load(file, {}, old=load(file, {}, old=old))

    assert credential(again) == "canary-one"
    assert len(again.warnings) == 1
    assert again.warnings[0].endswith("; kept the old value")
    assert "canary" not in again.warnings[0]
    assert secret in again.files


def test_reload_takes_a_new_secret(secret: Path) -> None:
    """A reload takes what the file says now."""
    file = secret.parent / "errgate.yaml"
    old = load(file, {})
    secret.write_text("two\r\n", encoding="utf-8")

    assert credential(load(file, {}, old=old)) == "two"


def test_secret_is_bounded(secret: Path) -> None:
    """A file that is no secret by its length is refused."""
    secret.write_text("x" * 70_000, encoding="utf-8")

    with pytest.raises(SettingsError, match="it is over 64 KiB"):
        load(secret.parent / "errgate.yaml", {})


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_unreachable_certificate(name: str) -> None:
    """A file whose name no system takes is a fault as any other."""
    long = "x" * 5_000

    faults = refused(f"server:\n  tls: {{certificate: {long}, key: {long}}}\n")

    assert [fault for fault in faults if f"server.tls.{name}: " in fault and "cannot be read" in fault]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_errgate", None)


def installed(folder: Path, module: str, target: str) -> None:
    """Install a package of that one module, which offers a normalizer."""
    (folder / "acme_errgate.py").write_text(module, encoding="utf-8")
    metadata = folder / "acme_errgate-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-errgate\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[errgate.normalizers]\nacme = {target}\n", encoding="utf-8")


def test_normalizer_of_a_package(packages: Path) -> None:
    """An installed package brings the normalizer of the vendor of its name."""
    installed(packages, "from normalizers import GENERIC\nVENDOR = GENERIC('the one')\n", "acme_errgate:VENDOR")

    assert loads(ACME).vendors["acme"].vendor.title == "the one"


def test_broken_normalizer_of_a_package(packages: Path) -> None:
    """An installed package that cannot be loaded is named, with the mend."""
    installed(packages, "", "acme_errgate:ABSENT")

    (fault,) = refused(ACME)

    assert fault.startswith("errgate.yaml:1: vendors: an installed normalizer is broken (")
    assert "acme_errgate:ABSENT" in fault
    assert fault.endswith("mend or remove its package")
