"""What is remembered of a request for the next one like it decides nothing that it should not."""

import json
from hashlib import sha256

import pytest

from gateway import lanes, settings
from gateway.app import create_app
from tests.cost import Memory, connection

OWN, OTHER = "egk_one_made_up_key_0123456789abcdef", "egk_two_made_up_key_0123456789abcdef"
TEXT = f"""
callers:
  one: {{key_sha256: ["{sha256(OWN.encode()).hexdigest()}"]}}
  two: {{key_sha256: ["{sha256(OTHER.encode()).hexdigest()}"], vendors: {{apixo: all}}}}
log: {{requests: false}}
vendors:
  pixii: {{base_url: "https://api.pixii.example", credential: none}}
  apixo: {{base_url: "https://api.apixo.example", credential: none}}
"""


class Talk:
    """One caller's connection to a gateway over an engine of memory."""

    def __init__(self) -> None:
        self.app = create_app(settings.loads(TEXT, environ={}))
        self.renew()
        self.protocol, self.wire = connection(self.app)

    def renew(self) -> None:
        """Give each lane the engine of memory."""
        for lane in self.app.runtime.lanes.values():
            lane.sender.upstream = Memory()

    async def ask(self, target: str, *fields: str) -> tuple[int, str]:
        """Send a GET on this connection; the answer's status and code."""
        self.wire.written.clear()
        lines = (f"GET {target} HTTP/1.1", "Host: gateway", *fields, "", "")
        self.protocol.data_received("\r\n".join(lines).encode())
        for task in tuple(self.protocol.tasks):
            await task
        head, _, body = b"".join(self.wire.written).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        return status, json.loads(body)["code"] if status >= 400 else ""


@pytest.fixture
async def talk() -> Talk:
    """A connection on which a request was answered, so that its head and its way are known."""
    talk = Talk()
    assert await talk.ask("/pixii/ok", f"Errgate-Key: {OWN}") == (200, "")
    assert await talk.ask("/pixii/ok", f"Errgate-Key: {OWN}") == (200, "")
    return talk


@pytest.mark.parametrize(
    ("target", "fields", "answer"),
    [
        ("/pixii/ok", (f"Errgate-Key: {OTHER}",), (403, "permission_denied")),
        ("/pixii/ok", (), (401, "unauthenticated")),
        ("/pixii/ok", (f"Errgate-Key: {OWN}x",), (401, "unauthenticated")),
        ("/pixii/ok?a=%00", (f"Errgate-Key: {OWN}",), (200, "")),
        ("/pixii/ok?" + "a" * 8190, (f"Errgate-Key: {OWN}",), (414, "uri_too_long")),
        ("/pixii/ok", (f"Errgate-Key: {OWN}", "Content-Length: 5"), (400, "invalid_request")),
        ("/pixii/ok", (f"Errgate-Key: {OWN}", "Connection: host"), (400, "invalid_request")),
        ("/none/ok", (f"Errgate-Key: {OWN}",), (404, "not_found")),
        ("/apixo/ok", (f"Errgate-Key: {OTHER}",), (200, "")),
    ],
)
async def test_whatever_differs_is_looked_at(
    talk: Talk, target: str, fields: tuple[str, ...], answer: tuple[int, str]
) -> None:
    """A request that is not quite the one before is judged as if it were the first."""
    assert await talk.ask(target, *fields) == answer


async def test_a_reload_is_in_force_on_a_connection_that_stays(talk: Talk) -> None:
    """The same request, on the same connection, under new settings: nothing of the old ones is remembered."""
    without = settings.loads(TEXT.replace("  one: ", "  three: "), environ={})
    assert talk.app.prepare(without) == []
    talk.app.commit()
    talk.renew()
    before = talk.protocol.memory.last

    answer = await talk.ask("/pixii/ok", f"Errgate-Key: {OWN}")

    assert answer == (200, "")
    assert talk.protocol.memory.last is not before
    assert talk.protocol.memory.last.caller.name == "three"


async def test_ways_are_bounded(monkeypatch: pytest.MonkeyPatch, talk: Talk) -> None:
    """Ever new paths, and long ones, are not kept for ever."""
    monkeypatch.setattr(lanes, "WAYS_LIMIT", 10)

    for number in range(50):
        await talk.ask(f"/pixii/{number}/ok", f"Errgate-Key: {OWN}")
    await talk.ask(f"/pixii/{'long' * 100}/ok", f"Errgate-Key: {OWN}")

    kept = talk.app.runtime.ways._ways
    assert 0 < len(kept) <= 10
    assert max(len(path) for _, path in kept) <= lanes.PATH_LIMIT_BYTES


async def test_nothing_remembered_shows_what_a_head_says(talk: Talk) -> None:
    """No key and no path stand in a repr (W-151)."""
    way = talk.app.runtime.ways.find("GET", b"/pixii/ok")

    shown = repr(talk.protocol.memory.last) + repr(way)

    assert "Heard(" in shown
    assert "Way(" in shown
    assert OWN not in shown
    assert "/ok" not in shown
