"""What goes back to a caller: one head at the most, and nothing that is cut looks whole."""

import json
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime

import pytest
from starlette.types import Message

from gateway import settings
from gateway.access import Access
from gateway.answers import Answer, Clock, unread
from gateway.lanes import Runtime
from gateway.metrics import Metrics, Outcome
from gateway.problems import refuse
from gateway.streams import Presence
from gateway.upstream import Cut, Reason
from normalizers import HouseCode

SETTINGS = settings.loads("vendors: {pixii: {base_url: http://127.0.0.1:9}}", environ={})


class Stage:
    """An answer, and what the server was told."""

    def __init__(self) -> None:
        self.metrics = Metrics("1")
        self.runtime = Runtime(SETTINGS, self.metrics)
        self.access = Access(metrics=self.metrics.nobody, method="GET", request_id="r1")
        self.sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.answer = Answer(SETTINGS, self.access, Presence(receive), send)

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The fields of the head."""
        return dict(self.sent[0]["headers"])


@pytest.fixture
async def stage() -> Stage:
    """An answer that has not begun."""
    return Stage()


async def chunks(*pieces: bytes, cut: Reason | None = None) -> AsyncIterator[bytes]:
    """A body, that may break off."""
    for piece in pieces:
        yield piece
    if cut is not None:
        raise Cut(cut)


@pytest.mark.parametrize(("close", "own_close"), [(False, False), (True, False), (False, True), (True, True)])
async def test_refusal(stage: Stage, close: bool, own_close: bool) -> None:
    """A refusal is an envelope with its date and its Proxy-Status; the connection closes where it must."""
    refused = refuse(HouseCode.OVERLOADED, "full", headers=[(b"x-a", b"1")], close=own_close, retry_after=1)

    await stage.answer.refusal(refused, close=close)

    start, body = stage.sent
    assert start["status"] == 503
    assert stage.fields[b"proxy-status"] == b"errgate; error=http_request_error"
    assert parsedate_to_datetime(stage.fields[b"date"].decode())
    assert stage.fields[b"x-a"] == b"1"
    assert stage.fields[b"content-length"] == b"%d" % len(body["body"])
    assert stage.fields.get(b"connection") == (b"close" if close or own_close else None)
    assert (json.loads(body["body"])["instance"], body["more_body"]) == (stage.access.instance, False)
    assert (stage.access.status, stage.access.bytes_out) == (503, len(body["body"]))
    assert stage.answer.begun


async def test_stream(stage: Stage) -> None:
    """What arrives goes on as it arrives, and is counted."""
    await stage.answer.stream(200, [(b"x-a", b"1")], chunks(b"a", b"bc"))

    assert [message.get("body") for message in stage.sent] == [None, b"a", b"bc", b""]
    assert [message.get("more_body") for message in stage.sent] == [None, True, True, False]
    assert (stage.access.bytes_out, stage.access.outcome) == (3, None)


async def test_cut_stream(stage: Stage) -> None:
    """A body that breaks off is never ended: the server cuts the connection, and the reason is noted (W-153)."""
    await stage.answer.stream(200, [], chunks(b"a", cut=Reason.HTTP_RESPONSE_TIMEOUT))

    assert [message.get("more_body") for message in stage.sent] == [None, True]
    assert (stage.access.outcome, stage.access.reason) == (Outcome.ABORTED, "http_response_timeout")


async def test_options(stage: Stage) -> None:
    """An OPTIONS that goes no further says what is allowed."""
    await stage.answer.options(["GET", "POST"])

    assert stage.sent[0]["status"] == 204
    assert stage.fields[b"allow"] == b"GET, POST"
    assert b"content-length" not in stage.fields


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A generation of the settings."""
    return iter([Runtime(SETTINGS, Metrics("1"))])


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (HouseCode.INVALID_REQUEST, "caller_fault"),
        (HouseCode.REQUEST_TIMEOUT, "caller_fault"),
        (HouseCode.OVERLOADED, "refused"),
    ],
)
async def test_unread(stage: Stage, code: HouseCode, outcome: str) -> None:
    """What never became a request is answered in whole, closes its connection, and is counted once (W-021)."""
    raw = unread(stage.runtime, code, "The head never came.")

    stage.metrics.refresh()
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert line.startswith(b"HTTP/1.1 %d " % code.status)
    assert b"connection: close" in fields
    assert b"content-length: %d" % len(body) in fields
    assert json.loads(body)["code"] == code.code
    labels = {"vendor": "none", "route": "other", "method": "_OTHER", "status": str(code.status), "outcome": outcome}
    assert stage.metrics.registry.get_sample_value("errgate_requests_total", labels) == 1


def test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The date is made once a second."""
    now = 784_111_777.2
    monkeypatch.setattr("gateway.answers.time.time", lambda: now)
    clock = Clock()

    first = clock.date()
    now += 0.5
    same = clock.date()
    now += 0.5
    later = clock.date()

    assert first == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert same is first
    assert later == b"Sun, 06 Nov 1994 08:49:38 GMT"
