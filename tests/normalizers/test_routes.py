"""Routes: the table of contract 3, and what cannot evade it."""

import pytest

from normalizers import VENDORS, Route, Routes

ACME = Routes(
    [
        Route("own", frozenset({"POST", "PUT"}), ("/v1/things",)),
        Route("read", frozenset({"GET"}), ("/v1/things", "/v1/things/*", "/v2/*/parts/*")),
        Route("any", paths=("/auth/*",), refused=True),
        Route("late", frozenset({"GET"}), ("/things/*",)),
    ]
)


@pytest.mark.parametrize(
    ("vendor", "method", "path", "name"),
    [
        ("pixii", "POST", "/v1/api/listing_builder", "submit"),
        ("pixii", "POST", "/v1/api/a_plus", "submit"),
        ("pixii", "POST", "/v1/api/scale", "submit"),
        ("pixii", "GET", "/v1/api/jobs/123", "poll"),
        ("pixii", "GET", "/v1/api/jobs", "list"),
        ("pixii", "POST", "/v1/api/jobs", None),
        ("pixee", "POST", "/api/v1/imports", "import"),
        ("pixee", "POST", "/api/v1/imports/7", "import"),
        ("pixee", "GET", "/api/v1/imports/7", "import_job"),
        ("pixee", "GET", "/api/v1/imports", "import_job"),
        ("pixee", "POST", "/api/v1/exports", "export"),
        ("pixee", "GET", "/api/v1/exports/7", "export_job"),
        ("pixee", "POST", "/api/v1/enrichments/7", "enrich"),
        ("pixee", "GET", "/api/v1/enrichments/7", "enrich_job"),
        ("pixee", "POST", "/api/v1/auth/login", "auth"),
        ("pixee", "DELETE", "/auth/session", "auth"),
        ("pixee", "GET", "/api/v1/products", None),
        ("apixo", "POST", "/api/v1/generateTask/flux", "submit"),
        ("apixo", "GET", "/api/v1/statusTask/flux", "poll"),
        ("apixo", "GET", "/api/v1/apikeys/current-balance", "balance"),
        ("pikzels", "POST", "/v1/thumbnail", "generate"),
        ("pikzels", "POST", "/v2/thumbnail/text", "generate"),
        ("pikzels", "POST", "/v2/title/text", "generate"),
        ("pikzels", "POST", "/v2/pikzonality/persona", "train"),
        ("pikzels", "GET", "/v2/pikzonality/7", "persona"),
        ("pikzels", "GET", "/v1/persona", "persona"),
        ("pikzels", "GET", "/v1/style", "persona"),
        ("pikzels", "DELETE", "/v2/pikzonality/7", None),
    ],
)
def test_built_in(vendor: str, method: str, path: str, name: str | None) -> None:
    """Each vendor's documented requests take the route that contract 3 names."""
    route = Routes(VENDORS[vendor].routes).match(method, path)

    assert (route and route.name) == name


def test_what_routes_carry() -> None:
    """Job routes, the refused one and the slow ones are those of contract 3."""
    routes = {f"{vendor.name}.{route.name}": route for vendor in VENDORS.values() for route in vendor.routes}

    assert {name for name, route in routes.items() if route.job} == {
        "pixii.poll",
        "pixee.import_job",
        "pixee.export_job",
        "pixee.enrich_job",
        "apixo.poll",
        "pikzels.persona",
    }
    assert {name for name, route in routes.items() if route.refused} == {"pixee.auth"}
    assert {name: route.timeouts for name, route in routes.items() if route.timeouts} == {
        "pikzels.generate": {"first_byte": 300.0, "total": 300.0}
    }


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", b"/v1/things", "own"),
        ("PUT", b"/v1/things", "own"),
        ("GET", b"/v1/things", "read"),
        ("HEAD", b"/v1/things/7", "read"),
        ("GET", b"/base/v1/things/7", "read"),
        ("GET", b"/v2/a/parts/b", "read"),
        ("GET", b"/v2/a/b/parts/c", None),
        ("GET", b"/v1/%74hings/7", "read"),
        ("GET", b"/v1/%74%68ings/%37", "read"),
        ("GET", b"/v1/things/%2F", "read"),
        ("GET", b"/v1%2Fthings", None),
        ("GET", b"/v1/%2574hings", None),
        ("GET", b"/v1/Things", None),
        ("GET", b"/v1/things/", None),
        ("GET", b"/xv1/things", None),
        ("GET", b"/v9/things/7", "late"),
        ("BREW", b"/auth/x", "any"),
        ("GET", b"/auth/%7E%2D%5F%2E", "any"),
        ("DELETE", b"/v1/things", None),
        ("GET", b"/", None),
        ("GET", b"", None),
        ("GET", b"/v1/things/\xff", "read"),
        ("GET", "/v1/things/é", "read"),
    ],
)
def test_match(method: str, path: bytes | str, name: str | None) -> None:
    """A pattern matches the end of the path; an escaped letter evades nothing; the first match wins."""
    route = ACME.match(method, path)

    assert (route and route.name) == name


def test_methods_for() -> None:
    """The methods by which any route knows a path, for `Allow`."""
    assert ACME.methods_for(b"/v1/%74hings") == {"POST", "PUT", "GET", "HEAD"}
    assert ACME.methods_for("/auth/x") == frozenset()
    assert ACME.methods_for("/nothing") == frozenset()
