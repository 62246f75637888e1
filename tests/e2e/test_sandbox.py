"""
Every error that the sandbox can say, through the gateway: two readings of the vendors' documents held against a third.

The sandbox was written from the documents, the normalizers from the tables, and what is expected here is read from
`tests/data`: flip one row anywhere and a test fails.
"""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
import uvloop

from gateway import server as serving
from gateway.sandbox import BASE_PATHS, CREDENTIALS, ERRORS, EXAMPLES, FAULTS, JOB_EXAMPLES, create_sandbox
from gateway.sandbox.catalogue import DocumentedError
from tests.documented import DOCUMENTED, GENERAL, HOUSE
from tests.e2e.harness.gateway import ThreadGateway, settings_text
from tests.e2e.harness.house import check_members, check_problem
from tests.e2e.harness.wire import Response

# What a job that fails by its state alone becomes: contract 7 and facts D3 to D6.
BY_STATE = {"pixii": "work_failed", "pixee": "unprocessable_input", "apixo": "work_failed", "pikzels": "work_failed"}
# Facts C2: a bare 403 of APIXO is the operator's, unless its text says what the content did.
CONTENT = "content"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The simulators on a port of their own; its base URL."""
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()
    with serving.bind("127.0.0.1", 0) as listener:
        running = threading.Thread(
            target=lambda: loop.run_until_complete(serving.serve_app(create_sandbox(), listener, stop)), daemon=True
        )
        running.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        loop.call_soon_threadsafe(stop.set)
        running.join(10)
    loop.close()


@pytest.fixture(scope="module")
def gateway(sandbox: str) -> Iterator[ThreadGateway]:
    """A gateway before the simulators, with the credentials that open them."""
    vendors = {
        name: {
            "base_url": sandbox + path,
            "credential": dict(zip(("header", "value"), CREDENTIALS[name], strict=True)),
            "timeouts": {"idle": "500ms", "first_byte": "2s", "total": "3s"},
        }
        for name, path in BASE_PATHS.items()
    }
    with ThreadGateway(settings_text(vendors)) as gateway:
        yield gateway


def expected_of(vendor: str, error: DocumentedError) -> str:
    """The house code of an error, from the tables in `tests/data` alone."""
    if error.kind == "state":
        return BY_STATE[vendor]
    if error.kind == "status":
        return "content_rejected" if error.shape == CONTENT else of_status(vendor, int(error.code))
    code = error.code.partition(".")[0].upper()
    return next(row.house for row in DOCUMENTED if (row.vendor, row.code.upper()) == (vendor, code))


def of_status(vendor: str, status: int) -> str:
    """The house code of a bare status."""
    found = {(row.vendor, row.trigger): row.house for row in GENERAL}
    return found.get((vendor, str(status))) or found["*", str(status)]


def every(*kinds: str) -> list[object]:
    """Every documented error of these kinds, as parameters with names."""
    return [
        pytest.param(vendor, error, id=f"{vendor}-{error.code}-{error.shape}")
        for vendor, errors in ERRORS.items()
        for error in errors
        if error.kind in kinds
    ]


def ask(gateway: ThreadGateway, vendor: str, error: DocumentedError) -> Response:
    """Ask for that error: on the vendor's example, or on the job example of a failure inside a job."""
    example = (JOB_EXAMPLES if error.kind in {"job", "state"} else EXAMPLES)[vendor]
    headers = [("Content-Type", "application/json"), *error.headers.items()]
    body = None if example.body is None or example.method == "GET" else example.body.encode()
    return gateway.ask(f"/{vendor}{example.path}", example.method, headers, body)


@pytest.mark.parametrize(("name", "error"), every("http", "status"))
def test_error(gateway: ThreadGateway, name: str, error: DocumentedError) -> None:
    """A documented error is the envelope that the tables say, and keeps the vendor's own words."""
    answer = ask(gateway, name, error)

    problem = check_problem(answer, expected_of(name, error), source="vendor", vendor=name)
    said = problem["vendor_error"]
    assert said["status"] == error.status
    assert said.get("code") == (error.code if error.kind == "http" else None)
    assert said.get("message") or problem["errors"]


@pytest.mark.parametrize(("name", "error"), every("job", "state"))
def test_job_failure(gateway: ThreadGateway, name: str, error: DocumentedError) -> None:
    """A documented job failure stands beside the job in `problems`, and the job's own members stay."""
    answer = ask(gateway, name, error)

    assert answer.status == 200
    problems = answer.json()["problems"]
    house = expected_of(name, error)
    assert answer.header("errgate-job-codes") == house
    for problem in problems:
        check_members(problem)
        assert problem["code"] == house
        assert problem["vendor_error"]["status"] == 200
        assert problem["vendor_error"].get("code") == (error.code if error.kind == "job" else None)
        pointed: object = answer.json()
        for step in problem["job_pointer"].split("/")[1:]:
            pointed = pointed[int(step)] if isinstance(pointed, list) else pointed[step]  # type: ignore[index]
        assert pointed == error.code


def test_every_row_is_walked() -> None:
    """The sandbox knows every documented code of the tables, so that each row is held against it."""
    walked = {(vendor, error.code.upper()) for vendor, errors in ERRORS.items() for error in errors}

    assert {(row.vendor, row.code.upper()) for row in DOCUMENTED} - walked == set()


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in {"slow", "drip"}])
def test_fault_of_an_error(gateway: ThreadGateway, fault: str) -> None:
    """However an error's body is spoilt, its status decides; a connection reset before it is the network's."""
    headers = [("Sandbox-Error", "SERVICE_UNAVAILABLE"), ("Sandbox-Fault", fault)]

    answer = gateway.ask("/pixii/v1/api/scale", headers=headers)

    if fault == "reset":
        check_problem(answer, "vendor_failed", source="network")
    else:
        check_problem(answer, "vendor_unavailable", source="vendor")


@pytest.mark.parametrize("fault", ["slow@0.2", "drip@0.001"])
def test_slow_success(gateway: ThreadGateway, fault: str) -> None:
    """A success that comes late, or byte by byte, is the same success."""
    target = "/apixo/apikeys/current-balance"

    plain = gateway.ask(target)
    answer = gateway.ask(target, headers=[("Sandbox-Fault", fault)])

    assert answer.complete
    assert (plain.status, answer.status) == (200, 200)
    assert json.loads(answer.body).keys() == json.loads(plain.body).keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(gateway: ThreadGateway, name: str) -> None:
    """The request that the demo prints for each vendor brings an envelope."""
    example = EXAMPLES[name]

    answer = gateway.ask(
        f"/{name}{example.path}",
        example.method,
        list(example.headers.items()),
        None if example.body is None else example.body.encode(),
    )

    assert answer.status >= 400
    problem = check_problem(answer, answer.json()["code"], source="vendor", vendor=name)
    assert problem["code"] in HOUSE
