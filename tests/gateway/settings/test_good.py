"""Settings files that are right, and what an operator is told about them; `# warns: LINE: KEY: TEXT` announces it."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.settings import Settings, load, schema
from normalizers import Failure, HouseCode, Row, StatusRow, SuccessError

FOLDER = Path(__file__).parent / "good"
FILES = sorted(FOLDER.glob("*.yaml"))
ENVIRON = {
    "PORT": "81",
    "BYTES": "700",
    "FLAG": "false",
    "HOST": "api.acme.example",
    "IDLE": "2m",
    "TOKEN": "canary-of-more-than-16",
    "KEY": "canary-from-the-environment",
}


def loaded(name: str) -> Settings:
    """The settings of one of the files."""
    return load(FOLDER / f"{name}.yaml", ENVIRON)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_warnings(file: Path) -> None:
    """A file that is right is loaded, with a line for each thing that an operator should know."""
    announced = re.findall("^# warns: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)

    settings = load(file, ENVIRON)

    assert list(settings.warnings) == [f"{file}:{text}" for text in announced]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_is_shown(file: Path) -> None:
    """Neither `repr` nor a dump nor a warning shows a secret."""
    settings = load(file, ENVIRON)

    shown = [repr(settings), str(settings), repr(settings.model_dump()), str(settings.masked()), *settings.warnings]
    assert not [text for text in [*shown, settings.model_dump_json()] if "canary" in text]


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "from_the_environment"], ids=lambda f: f.stem)
def test_schema_accepts(file: Path) -> None:
    """What is loaded is valid by the JSON Schema, as far as values stand in the file."""
    document = yaml.load(file.read_text(encoding="utf-8"), Plain)  # noqa: S506  (a safe loader without dates)

    Draft202012Validator(schema()).validate(document or {})


class Plain(yaml.SafeLoader):
    """YAML as an editor with YAML 1.2 reads it: `off` is a word."""


Plain.yaml_implicit_resolvers = {
    sign: [(tag, form) for tag, form in forms if not tag.endswith((":bool", ":timestamp"))]
    for sign, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Plain.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


def test_environment_and_files_are_filled_in() -> None:
    """References become values, in parts of texts, numbers, flags, sizes and durations; `$${` stays."""
    settings = loaded("from_the_environment")
    acme = settings.vendors["acme"]

    assert settings.server.port == 81
    assert settings.server.max_request_body == 700
    assert settings.problems.rate_limit_headers is False
    assert acme.base_url == "https://api.acme.example/v1"
    assert acme.timeouts.idle == 120
    assert not isinstance(acme.credential, str)
    secret = acme.credential.value.get_secret_value()
    assert secret == "a canary-from-a-file b ${KEY} canary-from-the-environment"


def test_words_that_yaml_takes_for_flags() -> None:
    """`off` is the word that it looks like."""
    acme = loaded("tls_and_proxies").vendors["acme"]

    assert (acme.errors, acme.job_failures) == ("off", "off")


def test_files_are_relative_to_the_settings() -> None:
    """The name of a file begins in the folder of the settings file."""
    tls = loaded("tls_and_proxies").server.tls

    assert tls.certificate == FOLDER / "../tls/certificate.pem"


def test_only_the_userinfo_of_a_url_is_masked() -> None:
    """The proxy's place is seen in `/-/config`, its password is not."""
    vendor = loaded("tls_and_proxies").masked()["vendors"]["acme"]

    assert vendor["proxy"] == "http://***@egress.example"
    assert vendor["max_request_body"] == "1KiB"


def test_where_an_ipv6_vendor_is() -> None:
    """An IPv6 host is dialled without brackets and named with them."""
    acme = loaded("tls_and_proxies").vendors["acme"]

    assert (acme.scheme, acme.host, acme.port) == ("https", "2001:db8::1", 8443)
    assert (acme.authority, acme.base_path) == ("[2001:db8::1]:8443", b"/v1")
    assert acme.tls.server_name == "api.acme.example"


def test_a_described_vendor() -> None:
    """Everything that a mapping says reaches the vendor that reads replies."""
    vendor = loaded("everything_a_vendor_can_say").vendors["acme"].vendor

    assert (vendor.name, vendor.title) == ("acme", "Acme")
    assert vendor.places.code == ("/error/code",)
    assert (vendor.places.request_id_headers, vendor.places.reset_headers) == (("x-acme-request",), ("x-acme-reset",))
    assert vendor.row("404") == Row("404", HouseCode.NOT_FOUND, "http", "")
    assert vendor.row("BAD_KEY") == Row(
        "BAD_KEY",
        HouseCode.VENDOR_ACCOUNT_ERROR,
        "http",
        "The key is wrong.",
        "Check the key.",
        HouseCode.UNAUTHENTICATED,
        401,
    )
    assert vendor.statuses[401] == StatusRow(HouseCode.VENDOR_ACCOUNT_ERROR, HouseCode.UNAUTHENTICATED)
    assert vendor.patterns[0].statuses == {403, 422}
    assert vendor.errors_in_success == (
        SuccessError("poll", "/code", statuses=True),
        SuccessError("slow", "/ok", equals="no"),
    )


def test_routes_of_a_described_vendor() -> None:
    """Its routes carry paths, jobs, refusals and deadlines."""
    vendor = loaded("everything_a_vendor_can_say").vendors["acme"]
    poll, login, slow = vendor.vendor.routes

    assert poll.paths == ("/v1/jobs/*", "/v2/jobs/*")
    assert poll.job == (
        Failure(
            at=("/state",),
            equals=frozenset({"failed", "3", "true"}),
            done=frozenset({"finished"}),
            partial=("/failed_count",),
        ),
        Failure(items=("/ads",), by_code=True, code=("/error/code",), otherwise=HouseCode.CONTENT_REJECTED),
    )
    assert login.refused
    assert dict(vendor.timeouts_for(slow.name)) == {
        "connect": 1.0,
        "first_byte": 0.25,
        "idle": 120.0,
        "total": 1.5,
        "max_duration": 3600.0,
    }


def test_own_routes_come_first() -> None:
    """An own route is matched before the built-in one of its name, which stays."""
    pixii = loaded("contract").vendors["pixii"].vendor

    assert [route.name for route in pixii.routes] == ["submit", "submit", "poll", "list"]
    assert pixii.routes[0].paths == ("/v1/api/*",)


def test_extending_adds_to_what_is_known() -> None:
    """With `extends` a vendor has the known rows and the new ones, under its own name."""
    vendor = loaded("contract").vendors["pixii_eu"].vendor

    added, known = vendor.row("NEW_CODE"), vendor.row("INSUFFICIENT_CREDITS")
    assert vendor.name == "pixii_eu"
    assert (added and added.house, known and known.house) == (HouseCode.CONFLICT, HouseCode.INSUFFICIENT_CREDITS)


def test_files_to_watch() -> None:
    """The settings file and every file that it reads are watched."""
    assert loaded("contract").files == {FOLDER / "contract.yaml", FOLDER / "../secrets/key"}
