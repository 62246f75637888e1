"""Pixii as its documents have it."""

import pytest
from starlette.testclient import TestClient

from .conftest import Clock

LIVE = {"Authorization": "Bearer pk_live_x"}
SUBMISSION = {"asin": "B000000001", "country_code": "US"}


def submit(caller: TestClient, path: str = "listing_builder", **headers: str) -> str:
    """A new job's id."""
    reply = caller.post(f"/pixii/v1/api/{path}", headers=LIVE | headers, json=SUBMISSION)
    assert reply.status_code == 202
    job_id = reply.json()["job_id"]
    assert isinstance(job_id, str)
    return job_id


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer sk_live_x"},
        {"Authorization": "Basic pk_live_x"},
        {"Authorization": "Bearer pk_live_revoked_1"},
        {"X-Api-Key": "pk_live_x"},
    ],
)
def test_no_good_key_is_unauthorized(caller: TestClient, headers: dict[str, str]) -> None:
    """Without a live or test key: 401, in the flat envelope."""
    reply = caller.get("/pixii/v1/api/jobs?asin=B000000001", headers=headers)

    assert reply.status_code == 401
    assert reply.json() == {"code": "UNAUTHORIZED", "message": "Missing or invalid API key", "detail": None}


@pytest.mark.parametrize(
    ("path", "kind"), [("listing_builder", "Listing Builder"), ("a_plus", "A+ Content"), ("scale", "Scale")]
)
def test_a_job_lives(caller: TestClient, path: str, kind: str) -> None:
    """A submission is accepted and goes pending, processing, completed with three images."""
    accepted = caller.post(f"/pixii/v1/api/{path}", headers=LIVE, json=SUBMISSION)
    job_id = accepted.json()["job_id"]

    polls = [caller.get(f"/pixii/v1/api/jobs/{job_id}", headers=LIVE).json() for _ in range(4)]

    assert accepted.status_code == 202
    assert accepted.json() | {"job_id": 0} == {
        "job_id": 0,
        "job_type": kind,
        "status": "pending",
        "created_at": "2027-01-15T08:00:00.250Z",
    }
    assert [poll["status"] for poll in polls] == ["pending", "processing", "completed", "completed"]
    assert [poll["output"] is None for poll in polls] == [True, True, False, False]
    assert [image["error"] for image in polls[-1]["output"]["ads"]] == [None] * 3
    assert {poll["error_code"] for poll in polls} == {None}
    assert polls[-1]["credits_refunded"] == 0


def test_a_test_key_mocks_at_once(caller: TestClient) -> None:
    """A `pk_test_` key's job is completed at the first poll."""
    key = {"Authorization": "Bearer pk_test_x"}

    job_id = caller.post("/pixii/v1/api/scale", headers=key, json=SUBMISSION).json()["job_id"]

    assert caller.get(f"/pixii/v1/api/jobs/{job_id}", headers=key).json()["status"] == "completed"


def test_a_job_fails_in_the_end(caller: TestClient) -> None:
    """A submission with a job code is accepted; its job goes its way and fails with that code."""
    job_id = submit(caller, **{"Sandbox-Error": "PRODUCT_FETCH_ERROR"})

    polls = [caller.get(f"/pixii/v1/api/jobs/{job_id}", headers=LIVE).json() for _ in range(3)]

    assert [poll["status"] for poll in polls] == ["pending", "processing", "failed"]
    assert [poll["error_code"] for poll in polls] == [None, None, "PRODUCT_FETCH_ERROR"]
    assert polls[-1]["credits_refunded"] == polls[-1]["credit_cost"] == 30
    assert polls[-1]["output"] is None


def test_one_image_of_three_fails(caller: TestClient) -> None:
    """The job completes: one image has an error instead of its picture, and its credits come back."""
    headers = {"Sandbox-Error": "IMAGE_GENERATION_ERROR", "Sandbox-Shape": "image"}
    job_id = submit(caller, **headers)

    early, _, late = (caller.get(f"/pixii/v1/api/jobs/{job_id}", headers=LIVE).json() for _ in range(3))
    shown = caller.get("/pixii/v1/api/jobs/any", headers=headers).json()

    assert early["credits_refunded"] == 0
    for job in (late, shown):
        assert (job["status"], job["error_code"], job["credits_refunded"]) == ("completed", None, 10)
        failed = {
            "preview_url": None,
            "error": {"code": "IMAGE_GENERATION_ERROR", "message": "Failed to generate one or more images"},
        }
        assert job["output"]["ads"][1] == failed
        assert [image["error"] for image in job["output"]["ads"]].count(None) == 2


def test_a_job_fails_without_a_code(caller: TestClient) -> None:
    """The state alone may say that a job failed."""
    job = caller.get("/pixii/v1/api/jobs/any", headers={"Sandbox-Error": "failed"}).json()

    assert (job["id"], job["status"], job["error_code"]) == ("any", "failed", None)


def test_the_wrapped_shape(caller: TestClient) -> None:
    """`Sandbox-Shape: wrapped` wraps successes, job failures and errors alike."""
    wrapped = LIVE | {"Sandbox-Shape": "wrapped"}

    accepted = caller.post("/pixii/v1/api/scale", headers=wrapped, json=SUBMISSION).json()
    missing = caller.get("/pixii/v1/api/jobs/none", headers=wrapped).json()
    failed = caller.get("/pixii/v1/api/jobs/x", headers=wrapped | {"Sandbox-Error": "PRODUCT_NOT_AVAILABLE"}).json()

    assert (accepted["success"], accepted["error"], accepted["data"]["status"]) == (True, None, "pending")
    error = {"code": "JOB_NOT_FOUND", "message": "Job not found", "detail": None}
    assert missing == {"success": False, "data": None, "error": error}
    assert failed["data"]["error_code"] == "PRODUCT_NOT_AVAILABLE"


@pytest.mark.parametrize("asin", [None, "1234", "1" * 16, 12345])
def test_an_asin_has_5_to_15_characters(caller: TestClient, asin: object) -> None:
    """A bad `asin` is a validation error that says so in `detail`."""
    submitted = caller.post("/pixii/v1/api/a_plus", headers=LIVE, json={} if asin is None else {"asin": asin})
    listed = caller.get("/pixii/v1/api/jobs" + ("" if asin in {None, 12345} else f"?asin={asin}"), headers=LIVE)

    for reply in (submitted, listed):
        assert reply.status_code == 400
        assert reply.json()["code"] == "VALIDATION_ERROR"
        assert reply.json()["detail"] == "asin: missing or not 5 to 15 characters"


def test_jobs_are_listed_by_asin(caller: TestClient) -> None:
    """The list shows the jobs of one ASIN, the latest first, and moves none of them."""
    jobs = [submit(caller), submit(caller)]
    caller.post("/pixii/v1/api/scale", headers=LIVE, json={"asin": "B000000002"})

    listed = [caller.get("/pixii/v1/api/jobs?asin=B000000001", headers=LIVE).json() for _ in range(4)][-1]

    assert [row["id"] for row in listed["data"]] == jobs[::-1]
    assert {row["status"] for row in listed["data"]} == {"pending"}
    assert (listed["total"], listed["page"], listed["limit"]) == (2, 1, 20)


def test_submissions_tell_their_limits(caller: TestClient, clock: Clock) -> None:
    """Each submission counts down both windows, a refused one too; polls say nothing, and nothing is enforced."""
    names = ("Limit-Minute", "Remaining-Minute", "Limit-Day", "Remaining-Day")
    replies = [caller.post("/pixii/v1/api/scale", headers=LIVE, json=SUBMISSION) for _ in range(12)]
    clock.now += 60

    replies.append(caller.post("/pixii/v1/api/scale", json=SUBMISSION))

    told = [tuple(reply.headers[f"X-RateLimit-{name}"] for name in names) for reply in replies]
    assert told[0] == ("10", "9", "500", "499")
    assert told[11] == ("10", "0", "500", "488")
    assert told[12] == ("10", "9", "500", "487")
    assert replies[11].status_code == 202
    assert "X-RateLimit-Limit-Day" not in caller.get("/pixii/v1/api/jobs/x", headers=LIVE).headers


@pytest.mark.parametrize(("code", "window", "delay"), [("MINUTE", "Minute", 7), ("DAY", "Day", 10)])
def test_a_rate_limit_names_its_delay(caller: TestClient, code: str, window: str, delay: int) -> None:
    """A 429 names the same delay in header and body, and the window that is used up."""
    headers = {"Sandbox-Error": f"RATE_LIMIT_{code}_EXCEEDED"}

    reply = caller.post("/pixii/v1/api/scale", headers=headers)

    assert reply.status_code == 429
    assert reply.headers["Retry-After"] == str(reply.json()["retry_after"]) == str(delay)
    assert reply.headers[f"X-RateLimit-Remaining-{window}"] == "0"
    assert reply.json()["detail"].startswith("Limit: ")


def test_strays_are_told_in_the_envelope(caller: TestClient) -> None:
    """An unknown path is a 404 and a known one by another method a 405, both enveloped."""
    nowhere = caller.get("/pixii/nowhere")
    wrong = caller.delete("/pixii/v1/api/jobs/1", headers={"Sandbox-Shape": "wrapped"})

    assert (nowhere.status_code, nowhere.json()["message"]) == (404, "Resource not found")
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (405, "Method not allowed")
    assert "GET" in wrong.headers["Allow"]
