"""Pixee PIM as its documents have it, in all eight shapes and one more."""

import pytest
from starlette.testclient import TestClient

from .conftest import NOON, Clock

KEY = {"X-API-Key": "pm_live_x"}
PRODUCT = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "AUTHENTICATION_REQUIRED"),
        ({"X-API-Key": ""}, "INVALID_API_KEY"),
        ({"X-API-Key": "pk_live_x"}, "INVALID_API_KEY"),
        ({"X-API-Key": "pm_live_revoked"}, "INVALID_API_KEY"),
        ({"Authorization": "Bearer pm_live_x"}, "INVALID_API_KEY"),
    ],
)
def test_no_good_key_is_refused(caller: TestClient, headers: dict[str, str], code: str) -> None:
    """Without a good key in `X-API-Key`: 401 and which of the two it is; /ext and /windev say it in their own shape."""
    main, ext, windev = (
        caller.get(f"/pixee/api/v1{path}/products", headers=headers) for path in ("", "/ext", "/windev")
    )

    assert [reply.status_code for reply in (main, ext, windev)] == [401, 401, 401]
    assert main.json()["error_code"] == code
    assert ext.json()["errors"] == ["Clé API manquante ou invalide."]
    assert windev.json()["code"] == 401


@pytest.mark.parametrize("headers", [KEY, {"X-API-Key": "pm_test_x"}, {"Authorization": "Bearer eyJx.y.z"}])
@pytest.mark.parametrize("base", ["/pixee", "/pixee/api/v1"])
def test_a_good_key_opens_the_catalogue(caller: TestClient, base: str, headers: dict[str, str]) -> None:
    """An API key or a user's token opens it, with and without /api/v1."""
    listed = caller.get(f"{base}/products", headers=headers)
    shown = caller.get(f"{base}/products/{PRODUCT}", headers=headers)
    patched = caller.patch(f"{base}/products/{PRODUCT}", headers=headers, json={"price": 1})
    deleted = caller.delete(f"{base}/products/{PRODUCT}", headers=headers)

    assert listed.json()["items"] == [shown.json()] == [patched.json()]
    assert listed.json()["meta"]["total"] == 1
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_products_are_created(caller: TestClient) -> None:
    """A new EAN is 201, the known one 409, none a validation error, no object FastAPI's list."""
    bodies = (b'{"ean":"3760000000002"}', b'{"ean":"3760000000001"}', b'{"name":"x"}', b"[")

    created, duplicate, bare, no_object = (caller.post("/pixee/products", headers=KEY, content=body) for body in bodies)

    assert (created.status_code, created.json()["ean"]) == (201, "3760000000002")
    assert (duplicate.status_code, duplicate.json()["error_code"]) == (409, "DUPLICATE_EAN")
    assert bare.status_code == no_object.status_code == 422
    assert bare.json() == {
        "detail": "This field is required.",
        "error_code": "VALIDATION_ERROR",
        "timestamp": "2027-01-15T08:00:00Z",
    }
    assert no_object.json()["detail"][0]["loc"] == ["body", "ean"]


@pytest.mark.parametrize(
    ("create", "show", "states"),
    [
        ("/imports", "/imports/{}", ["pending", "pending", "analyzing", "processing", "completed"]),
        ("/imports/upload", "/imports/jobs/{}", ["pending", "pending", "analyzing", "processing", "completed"]),
        ("/exports", "/exports/{}", ["processing", "processing", "processing", "completed"]),
        ("/exports/csv/products", "/exports/jobs/{}", ["processing", "processing", "processing", "completed"]),
        ("/enrichments", "/enrichments/{}", ["pending", "pending", "processing", "completed"]),
        ("/ai-enrichment/jobs", "/ai-enrichment/jobs/{}", ["pending", "pending", "processing", "completed"]),
    ],
)
def test_a_job_lives(caller: TestClient, create: str, show: str, states: list[str]) -> None:
    """An import, an export and an enrichment are accepted with 202 and go their documented ways."""
    accepted = caller.post(f"/pixee/api/v1{create}", headers=KEY, content=b"ean;name\n")
    path = f"/pixee/api/v1{show.format(accepted.json()['id'])}"

    polls = [caller.get(path, headers=KEY).json() for _ in states[1:]]

    assert accepted.status_code == 202
    assert [accepted.json()["status"], *(poll["status"] for poll in polls)] == states
    listed = caller.get(f"/pixee/{create.split('/')[1]}".replace("ai-enrichment", "enrichments"), headers=KEY)
    assert [job["status"] for job in listed.json()["items"]] == ["completed"]
    if "imports" in create:
        assert (polls[-1]["successful_rows"], polls[-1]["failed_rows"]) == (1250, 0)


@pytest.mark.parametrize(
    ("ending", "status", "rows"),
    [
        ("failed", "failed", (0, 0)),
        ("cancelled", "cancelled", (0, 0)),
        ("partial", "completed", (1245, 5)),
        ("awaiting_mapping", "awaiting_mapping", (0, 0)),
        ("ready", "ready", (0, 0)),
    ],
)
def test_a_job_ends_as_wished(caller: TestClient, ending: str, status: str, rows: tuple[int, int]) -> None:
    """An import can end in every documented way, through its life or at once, and never names a code."""
    wish = {"Sandbox-Error": ending}
    job_id = caller.post("/pixee/imports", headers=KEY | wish).json()["id"]

    lived = [caller.get(f"/pixee/imports/{job_id}", headers=KEY).json() for _ in range(4)][-1]
    shown = caller.get(f"/pixee/imports/{job_id}", headers=wish).json()

    assert lived == shown
    assert (lived["status"], lived["successful_rows"], lived["failed_rows"]) == (status, *rows)
    assert not {"error_code", "error"} & lived.keys()


def test_an_unknown_job_is_not_found(caller: TestClient) -> None:
    """A documented resource that is missing names NOT_FOUND; a path nobody knows is FastAPI's own 404 or 405."""
    job, path, method = (
        caller.get("/pixee/exports/none", headers=KEY),
        caller.get("/pixee/nowhere", headers=KEY),
        caller.put("/pixee/products", headers=KEY),
    )

    assert (job.status_code, job.json()["error_code"]) == (404, "NOT_FOUND")
    assert (path.status_code, path.json()) == (404, {"detail": "Not Found"})
    assert (method.status_code, method.json()) == (405, {"detail": "Method Not Allowed"})
    assert caller.get("/pixee/windev/nowhere", headers=KEY).json()["code"] == 404


def test_ext_and_windev_speak_in_envelopes(caller: TestClient) -> None:
    """Both surfaces wrap their successes, and their misses in French."""
    ext = caller.get("/pixee/api/v1/ext/products", headers=KEY).json()
    one = caller.get("/pixee/api/v1/windev/products/3760000000001", headers=KEY).json()
    status = [caller.get("/pixee/ext/status", headers=KEY).json(), caller.get("/pixee/windev/status").json()]
    missing = [caller.get(f"/pixee/{surface}/products/123", headers=KEY) for surface in ("ext", "windev")]

    assert (ext["success"], ext["errors"], ext["data"][0]["ean"]) == (True, [], "3760000000001")
    assert (one["code"], one["count"], one["data"]["id"]) == (200, 1, PRODUCT)
    assert [reply["data"]["status"] for reply in status] == ["ok", "ok"]
    assert [reply.status_code for reply in missing] == [404, 404]
    assert missing[0].json() | {"meta": 0} == {
        "success": False,
        "data": None,
        "meta": 0,
        "errors": ["Produit avec EAN '3760000000001' introuvable."],
    }
    assert missing[1].json() == {
        "success": False,
        "code": 404,
        "message": "Produit avec EAN '3760000000001' introuvable.",
        "data": None,
        "count": 0,
    }


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/auth/login", 5),
        ("GET", "/products", 100),
        ("HEAD", "/imports/1", 100),
        ("POST", "/products", 50),
        ("POST", "/api/v1/imports", 20),
        ("POST", "/exports", 10),
        ("GET", "", 100),
    ],
)
def test_every_answer_tells_its_tier(caller: TestClient, method: str, path: str, limit: int) -> None:
    """Every answer, errors included, says where the request's tier stands."""
    first, second = (caller.request(method, f"/pixee{path}").headers for _ in range(2))

    assert first["X-RateLimit-Limit"] == str(limit)
    assert [first["X-RateLimit-Remaining"], second["X-RateLimit-Remaining"]] == [str(limit - 1), str(limit - 2)]
    assert first["X-RateLimit-Reset"] == str(int(NOON) + 60)


def test_logins_lock_the_account(caller: TestClient, clock: Clock) -> None:
    """The right password gives a token; five wrong ones in a row lock the account for ten seconds."""

    def login(password: str) -> tuple[int, str | None]:
        reply = caller.post("/pixee/auth/login", json={"email": "a@b.example", "password": password})
        return reply.status_code, reply.json().get("error_code")

    assert login("sandbox") == (200, None)
    assert [login("wrong") for _ in range(6)] == [(401, None)] * 5 + [(423, "ACCOUNT_LOCKED")]
    assert login("sandbox") == (423, "ACCOUNT_LOCKED")
    clock.now += 10
    assert login("sandbox") == (200, None)
