"""Jobs and allowances: the little that the sandbox remembers, and its bounds."""

from starlette.testclient import TestClient

from gateway.sandbox import create_sandbox
from gateway.sandbox.allowances import Allowance
from gateway.sandbox.bodies import LOOKED_INTO_BYTES
from gateway.sandbox.jobs import MOST_JOBS, Job, Jobs

from .conftest import NOON, Clock


def test_a_job_shows_one_state_a_poll() -> None:
    """Each poll is one state further, and the end stays."""
    job = Job("1", "any", NOON)

    states = [job.state(("pending", "processing"), "completed")]
    states += [job.polled().state(("pending", "processing"), "completed") for _ in range(4)]

    assert states == ["pending", "pending", "processing", "completed", "completed"]


def test_the_oldest_job_is_forgotten() -> None:
    """However many jobs are created, a thousand are kept."""
    jobs = Jobs()

    created = [jobs.create("any", NOON).id for _ in range(MOST_JOBS + 2)]

    assert len(jobs) == MOST_JOBS == 1000
    assert [job.id for job in jobs] == created[2:]
    assert jobs.get(created[0]) is None


def test_an_allowance_counts_its_window() -> None:
    """What remains falls to zero and no further, and is whole again when the window ends."""
    allowance = Allowance(2, 60)

    remaining = [allowance.take(at) for at in (60.0, 61.0, 119.9, 120.0)]

    assert remaining == [1, 0, 0, 1]
    assert allowance.reset(119.9) == 120


def test_sandboxes_share_nothing(clock: Clock) -> None:
    """Two sandboxes, and two vendors of one, know nothing of each other's jobs."""
    one, other = TestClient(create_sandbox(clock=clock)), TestClient(create_sandbox(clock=clock))
    key = {"Authorization": "Bearer pk_live_x"}
    job = one.post("/pixii/v1/api/scale", headers=key, json={"asin": "B000000001"}).json()["job_id"]

    assert one.get(f"/pixii/v1/api/jobs/{job}", headers=key).status_code == 200
    assert other.get(f"/pixii/v1/api/jobs/{job}", headers=key).status_code == 404
    assert one.get(f"/apixo/statusTask/m?taskId={job}", headers=key).status_code == 404


def test_the_wall_clock_is_the_default() -> None:
    """Without a clock of the test, times are now."""
    with TestClient(create_sandbox()) as client:
        reply = client.get("/pixee/products/x", headers={"X-API-Key": "pm_live_x"})

    assert reply.json()["timestamp"].startswith("20")


def test_a_long_body_is_counted_and_not_looked_into(caller: TestClient) -> None:
    """A body over a megabyte is taken as it is, wherever a body is read."""
    long = b"[" * (LOOKED_INTO_BYTES + 1)

    statuses = {
        path: caller.post(path, headers=keys, content=long).status_code
        for path, keys in {
            "/pixii/v1/api/scale": {"Authorization": "Bearer pk_live_x"},
            "/pixee/products": {"X-API-Key": "pm_live_x"},
            "/apixo/generateTask/m": {"Authorization": "Bearer x"},
            "/pikzels/v2/thumbnail/text": {"X-Api-Key": "pkz_x"},
            "/pikzels/v2/pikzonality/style": {"X-Api-Key": "pkz_x"},
        }.items()
    }

    assert list(statuses.values()) == [202, 201, 200, 200, 200]


def test_a_depth_bomb_is_no_json(caller: TestClient) -> None:
    """A body that exhausts the parser is a bad body, no crash."""
    reply = caller.post("/pixii/v1/api/scale", headers={"Authorization": "Bearer pk_live_x"}, content=b"[" * 200_000)

    assert reply.status_code == 400
    assert reply.json()["code"] == "VALIDATION_ERROR"


def test_another_first_segment_is_no_vendor(caller: TestClient) -> None:
    """Outside the four vendors the sandbox speaks for itself."""
    reply = caller.get("/acme/x", headers={"Sandbox-Error": "NOT_FOUND"})

    assert reply.status_code == 404
    assert reply.json() == {"sandbox": "no such vendor", "known": ["pixii", "pixee", "apixo", "pikzels"]}
