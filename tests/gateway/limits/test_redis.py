"""
The store of several gateways on a real Redis: one count, and what becomes of it when Redis is not there.

One file: every test needs the same server and the same gateways.
"""

import asyncio
import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.limits import SECOND, Decision, Limit, Moment, Scope, Store
from gateway.limits.redis import LONGEST_PAUSE_SECONDS, Redis
from gateway.limits.redis import PATIENCE_SECONDS as PATIENCE
from gateway.limits.redis.link import Lost, connection_to, reason
from gateway.limits.shares import Lent
from normalizers import HouseCode
from tests.certificates import make_certificates
from tests.gateway.limits.hammer import ENTRY
from tests.gateway.limits.made import keys, vendor_limit
from tests.gateway.limits.redis_server import PATIENCE_SECONDS, RedisServer, free_port
from tests.gateway.limits.true_log import worst

ROOT = Path(__file__).parents[3]
RATE = HouseCode.VENDOR_RATE_LIMITED
HOUR = vendor_limit(requests=8, per="hour")
TODAY = vendor_limit(name="today", requests=8, per="day", window="calendar")
CALLS = vendor_limit(name="calls", in_flight=4)
FAIR = vendor_limit(name="fair", requests=2, per="hour", by="caller")
MINE = vendor_limit(name="mine", in_flight=2, by="caller")
LARGE = vendor_limit(name="large", requests=100_000, per="day")
ALL = (HOUR, TODAY, CALLS, FAIR, MINE, LARGE)
SCOPE = Scope("hold/pixii/limits/hour", 30 * SECOND)

Start = Callable[..., Awaitable[Redis]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """How long a decision waits: on a busy machine Redis may need longer than one should wait for it."""

    def wait(seconds: float) -> None:
        monkeypatch.setattr("gateway.limits.redis.PATIENCE_SECONDS", seconds)

    wait(1.0)
    return wait


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """An empty Redis."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def gateway(server: RedisServer) -> AsyncIterator[Start]:
    """Start the store of a gateway."""
    started = []

    async def start(
        url: str = server.url,
        ca: str | None = None,
        when_away: Literal["share", "refuse"] = "share",
        *,
        there: bool = True,
    ) -> Redis:
        store = Redis(url, ca, when_away)
        started.append(store)
        await store.start()
        if there:
            await is_back(store)
        return store

    yield start
    for store in started:
        await store.aclose()


def now() -> Moment:
    """What time it is."""
    return Moment(time.monotonic_ns() // 1000, time.time_ns() // 1000)


async def ask(store: Store, *limits: Limit, caller: str = "billing", scope: Scope | None = None) -> Decision:
    """One request."""
    return await store.take(limits, keys(limits, caller), now(), scope)


async def left(store: Store, *limits: Limit, caller: str = "billing") -> list[int]:
    """What each limit has left."""
    return [number for number, _ in await store.look(limits, keys(limits, caller), now())]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  (many things may make it hold)
            await asyncio.sleep(0.005)


async def is_back(store: Redis) -> None:
    """Wait until Redis answers again."""
    await until(lambda: store.up)


async def is_away(store: Redis) -> None:
    """Wait until the store has seen that Redis does not answer."""
    await until(lambda: not store.up)


async def settled(store: Redis) -> None:
    """Wait until Redis has heard everything."""
    await until(lambda: store._link is not None and store._link.waits_since() == math.inf)


# One count.


async def test_two_gateways_count_together(gateway: Start) -> None:
    """W-094: what one gateway takes the other has not, and what one gives back the other has; so with holds."""
    one, other = await gateway(), await gateway()
    decisions = [await ask(store, HOUR, CALLS, FAIR, MINE) for store in (one, other)]

    assert not (await ask(one, FAIR)).admitted
    assert await left(other, HOUR, CALLS, MINE) == [6, 2, 0]
    one.release(decisions[0])
    one.give_back(decisions[0])
    await settled(one)
    assert await left(other, HOUR, CALLS, FAIR, MINE) == [7, 3, 1, 1]

    one.learn(SCOPE, RATE, SECOND // 2, now())
    await settled(one)
    assert (await ask(other, scope=SCOPE)).code == RATE
    decisions[1].scope = SCOPE
    assert other.since(decisions[1], now()) is not None
    await asyncio.sleep(0.5)
    first = await ask(other, scope=SCOPE)
    assert first.token
    assert not (await ask(one, scope=SCOPE)).admitted
    other.answered(first, now())
    await settled(other)
    assert (await ask(one, scope=SCOPE)).admitted


async def test_two_hundred_at_once_over_one_connection(gateway: Start, server: RedisServer) -> None:
    """F-85: of 200 concurrent requests to each of two gateways exactly N are admitted, over one connection each."""
    limit = vendor_limit(requests=100, per="hour")
    stores = [await gateway(), await gateway()]

    decisions = await asyncio.gather(*(ask(store, limit) for store in stores for _ in range(200)))

    assert sum(decision.admitted for decision in decisions) == 100
    assert not any(isinstance(decision, Lent) for decision in decisions)
    assert len(server.client().client_list()) == 1 + len(stores)


async def test_the_others_holds_are_told(gateway: Start) -> None:
    """`/-/status` of one gateway tells the hold that another has learned, and that it is over."""
    one, other = await gateway(), await gateway()
    one.learn(SCOPE, RATE, 60 * SECOND, now())
    for number in range(300):
        one.learn(Scope(f"hold/pixii/route/{number}", SECOND), RATE, 60 * SECOND, now())
    await settled(one)

    await other._beat()
    assert len(other.holds(now())) == 301
    (told,) = [holding for holding in other.holds(now()) if holding.key == SCOPE.key]
    assert 59 * SECOND < told.held.until - now().steady <= 60 * SECOND
    one._link.run([f"{{errgate}}:{key}" for key in ("gateways", "holds", "era")], "learn", one._name, SCOPE.key, 0, 0)  # type: ignore[union-attr]
    other._shares.know("hold/pixii/route/over", [now().steady + SECOND, 0, 0])
    await other._beat()

    assert len(other.holds(now())) == 301


async def test_every_key_expires(gateway: Start, server: RedisServer) -> None:
    """F-84: whatever is written goes by itself, lies in one slot of a cluster, and says no credential."""
    store = await gateway(server.url)
    store.learn(SCOPE, RATE, SECOND // 100, now())
    await asyncio.sleep(0.02)
    decision = await ask(store, *ALL, scope=SCOPE)
    store.gone(decision)
    await settled(store)

    client = server.client()
    found: dict[bytes, int] = {key: client.pttl(key) for key in server.order("KEYS", "*")}

    assert len(found) == 3 + len(ALL)
    assert all(key.startswith(b"{errgate}:") for key in found)
    assert all(0 < ttl <= 2 * 86_400_000 + 3_600_000 for ttl in found.values()), found
    assert found[b"{errgate}:vendor/pixii/hour"] <= 3_601_000


async def test_numbers_stay_exact(gateway: Start, server: RedisServer) -> None:
    """Cells of Redis are the integers that the rules say, whatever a limit counts."""
    store = await gateway()
    for _ in range(3):
        await ask(store, LARGE)

    raw = server.client().get("{errgate}:vendor/pixii/large")
    cells = memoryview(raw).cast("d").tolist()  # type: ignore[arg-type]

    assert cells[:3] == [1, LARGE.rule.cells, 0]
    assert cells[3:6] == [3, 3, cells[5]]
    assert all(cell == int(cell) for cell in cells)
    assert abs(cells[6] - time.time() * SECOND) < 60 * SECOND


async def test_another_kind_under_the_same_name(gateway: Start) -> None:
    """A reload may turn a window into slots and back: it starts empty, and nothing fails."""
    store = await gateway()
    kinds: list[dict[str, Any]] = [
        {"requests": 2, "per": "hour"},
        {"in_flight": 2},
        {"requests": 2, "per": "hour", "window": "calendar"},
        {"requests": 2, "per": "day", "window": "calendar"},
        {"in_flight": 2},
        {"requests": 2, "per": "minute"},
    ]

    for kind in kinds:
        decision = await ask(store, vendor_limit(name="x", **kind))
        assert decision.admitted
        store.give_back(decision)
        store.release(decision)
        await settled(store)

    assert store.up


# Gateways that come and go.


async def test_a_gateway_that_stops_leaves_its_slots(gateway: Start) -> None:
    """A gateway that ends gives its slots back at once, and is no gateway to share with any more."""
    one, other = await gateway(), await gateway()
    await ask(one, CALLS)
    await one._beat()
    assert one.about() == {"kind": "redis", "gateways": 2, "when_away": "share"}

    await other.aclose()
    await one.aclose()
    last = await gateway()

    assert await left(last, CALLS) == [4]
    assert last.about()["gateways"] == 1


async def test_slots_of_a_dead_gateway_come_back(gateway: Start, server: RedisServer) -> None:
    """The slots of a gateway that was not heard of for ten seconds are free; if it lives, it has them again."""
    dead, other = await gateway(), await gateway()
    running = await ask(dead, CALLS, MINE)
    server.client().zadd("{errgate}:gateways", {dead._name: time.time() * SECOND - 10 * SECOND})

    assert await left(other, CALLS, MINE) == [4, 2]
    mine = await ask(other, CALLS)
    assert server.client().hgetall("{errgate}:vendor/pixii/calls") == {other._name.encode(): b"1"}

    more = await ask(dead, CALLS, MINE)
    assert (more.admitted, isinstance(more, Lent)) == (True, False)
    assert await left(other, CALLS, MINE) == [1, 0]
    for store, decision in ((dead, running), (dead, more), (other, mine)):
        store.release(decision)
        await settled(store)
    assert await left(other, CALLS, MINE) == [4, 2]


@pytest.mark.alone
def test_two_processes_and_a_killed_one(server: RedisServer, tmp_path: Path) -> None:
    """W-094: two gateways at saturation, one of them killed meanwhile: never over N in any window, at least 98 %."""
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.limits.hammer", "redis", server.url, str(tmp_path / name)], cwd=ROOT
        )
        for name in "abc"
    ]
    deadline = began + PATIENCE_SECONDS
    while len(list(tmp_path.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.7)
    processes[2].kill()
    time.sleep(1.6)
    for process in processes:
        process.kill()
        process.wait()

    log = [entry for name in "abc" for entry in entries(tmp_path / name)]
    times = sorted(time for time, _ in log)

    # The hammer's limit is 200 a second; the log has Redis's own times. Where the machine is too busy for Redis, shares
    # are admitted, which cost 0 there.
    assert worst(log, SECOND) <= 200
    # A busy machine may miss a part of one second, but hardly of two.
    whole = (times[-1] - times[0]) // SECOND
    assert len(log) >= 0.98 * 200 * max(1, whole - 1)


def entries(file: Path) -> list[tuple[int, int]]:
    """The admissions that a gateway wrote down, the last perhaps in part."""
    log = file.read_bytes()
    return list(ENTRY.iter_unpack(log[: len(log) // ENTRY.size * ENTRY.size]))


# Redis is not there.


Fault = Callable[[RedisServer], object]
FAULTS: dict[str, tuple[Fault, Fault]] = {
    "stopped": (RedisServer.stop, RedisServer.go_on),
    "killed": (RedisServer.kill, RedisServer.start),
    "read-only": (
        lambda server: server.order("REPLICAOF", "127.0.0.1", free_port()),
        lambda server: server.order("REPLICAOF", "NO", "ONE"),
    ),
    "full": (
        lambda server: server.order("CONFIG", "SET", "maxmemory", 1),
        lambda server: server.order("CONFIG", "SET", "maxmemory", 0),
    ),
    "locked": (
        lambda server: new_password(server, "other"),
        lambda server: new_password(server, ""),
    ),
}


def new_password(server: RedisServer, password: str) -> None:
    """Change the password, and disconnect everybody."""
    server.client().config_set("requirepass", password)
    server._password = password or None
    server.client().client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("name", FAULTS)
async def test_away_and_back(
    name: str,
    gateway: Start,
    server: RedisServer,
    patience: Callable[[float], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F-80, F-82: the share, said once; then all of it counts in Redis, and nothing is counted twice."""
    fault, mend = FAULTS[name]
    one, other = await gateway(), await gateway()
    await one._beat()
    before = [await ask(one, HOUR, TODAY, CALLS, FAIR) for _ in range(2)]
    caplog.set_level(logging.INFO, "errgate")
    caplog.clear()

    # Half of eight, of which two are taken; half of four slots, of which two are taken.
    fault(server)
    patience(PATIENCE)
    lent = [await ask(one, HOUR, TODAY)]
    assert isinstance(lent[0], Lent)
    assert not one.up
    assert not (await ask(one, CALLS)).admitted
    one.release(before[0])
    lent += [await ask(one, HOUR, TODAY, CALLS) for _ in range(2)]
    assert [decision.admitted for decision in lent] == [True, True, False]
    assert await left(one, HOUR, TODAY, CALLS, FAIR) == [0, 0, 0, 0]
    assert one.errors >= 1
    assert "away" in one.about()
    # What is learned and given back meanwhile is told later.
    one.learn(SCOPE, RATE, 60 * SECOND, now())
    assert (await ask(one, scope=SCOPE)).held is not None
    one.give_back(before[1])

    # Back.
    patience(1.0)
    mend(server)
    await is_back(one)
    await settled(one)
    await is_back(other)
    assert await left(other, HOUR, TODAY, CALLS) == [5, 5, 2]
    assert (await ask(other, scope=SCOPE)).code == RATE
    one.release(lent[1])
    one.release(before[1])
    await settled(one)
    assert await left(other, CALLS) == [4]
    said = [record.message for record in caplog.records if "limit store" in record.message]
    assert said.count("limit store is away: this gateway admits its share") == len(said) / 2 <= 2


async def test_a_decision_waits_fifty_milliseconds(
    gateway: Start, server: RedisServer, patience: Callable[[float], None]
) -> None:
    """F-80: a Redis that does not answer costs the first requests 50 ms, and those after them nothing."""
    store = await gateway()
    patience(PATIENCE)
    server.stop()

    began = time.monotonic()
    first = await asyncio.gather(*(ask(store, LARGE) for _ in range(50)))
    waited = time.monotonic() - began
    link = store._link
    assert link is not None
    unanswered = len(link._unanswered)
    later = [await ask(store, LARGE) for _ in range(200)]

    assert all(isinstance(decision, Lent) and decision.admitted for decision in (*first, *later))
    assert waited >= 0.04
    # Nobody asks Redis any more, so nobody can wait for it.
    assert len(link._unanswered) <= unanswered + 1
    assert not link._unsent


async def test_answers_that_come_too_late_are_undone(
    gateway: Start, server: RedisServer, patience: Callable[[float], None]
) -> None:
    """F-83: what Redis charges for a request that has gone on without it comes back, windows, slots and all."""
    store, other = await gateway(), await gateway()
    await store._beat()
    server.stop()

    patience(PATIENCE)
    decisions = await asyncio.gather(*(ask(store, LARGE, CALLS, TODAY) for _ in range(3)))
    patience(1.0)
    assert [decision.admitted for decision in decisions] == [True, True, False]
    server.go_on()
    await is_back(store)
    await settled(store)

    # Two were admitted by the share of two gateways; Redis has heard of two, not of five.
    assert await left(other, LARGE, CALLS, TODAY) == [99_998, 2, 6]


@pytest.mark.parametrize("turns", range(8))
async def test_a_caller_that_hangs_up(turns: int, gateway: Start) -> None:
    """F-83: a request that is cancelled at any moment charges nothing, and the next one gets its own answer."""
    store = await gateway()
    task = asyncio.create_task(ask(store, *ALL))
    for _ in range(turns):
        await asyncio.sleep(0)
    if turns == 7:
        await settled(store)
    task.cancel()
    other = await ask(store, FAIR, caller="other")
    assert (other.limits, other.admitted) == ((FAIR,), True)
    await asyncio.gather(task, return_exceptions=True)
    await settled(store)

    assert store.up
    if task.cancelled():
        assert await left(store, *ALL) == [limit.rule.count for limit in ALL]


async def test_a_caller_that_hangs_up_as_the_answer_comes(gateway: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-83: an answer that was read, and that nobody takes, is undone, too."""
    store = await gateway()
    hear = store._hear

    def hear_and_hang_up(*heard: Any) -> None:  # noqa: ANN401  (as the store's)
        hear(*heard)
        task.cancel()

    with monkeypatch.context() as patch:
        patch.setattr(store, "_hear", hear_and_hang_up)
        task = asyncio.create_task(ask(store, *ALL))
        await asyncio.gather(task, return_exceptions=True)
    await settled(store)

    assert task.cancelled()
    assert await left(store, *ALL) == [limit.rule.count for limit in ALL]
    assert store._taken == {}


async def test_what_is_lent_comes_back_to_the_share(gateway: Start, server: RedisServer) -> None:
    """While Redis is away, requests that end or were never sent give back to the share that admitted them."""
    store = await gateway()
    server.kill()
    await is_away(store)
    lent = [await ask(store, HOUR, MINE) for _ in range(2)]
    assert await left(store, HOUR, MINE) == [6, 0]

    store.release(lent[0])
    store.give_back(lent[1])
    store.answered(lent[0], now())
    store.gone(lent[1])
    assert await left(store, HOUR, MINE) == [7, 1]

    server.start()
    await is_back(store)
    assert await left(store, HOUR, MINE) == [7, 1]
    store.release(lent[1])
    await settled(store)
    assert await left(store, HOUR, MINE) == [7, 2]


async def test_redis_has_another_time(gateway: Start) -> None:
    """A calendar window is that of Redis's clock; a gateway that is wrong about it by days learns so and asks again."""
    store = await gateway()

    store._wording.ahead = -7 * 86_400 * SECOND
    assert (await ask(store, TODAY)).standings[0][0] == 7
    store._wording.ahead = 7 * 86_400 * SECOND
    assert await left(store, TODAY) == [7]

    assert abs(store._wording.ahead) < 60 * SECOND


async def test_a_connection_that_is_gone_answers_at_once(gateway: Start) -> None:
    """Who asks over a connection that is gone is told so, and waits for nothing."""
    store = await gateway()
    link = store._link
    assert link is not None
    await link.close()

    with pytest.raises(Lost):
        await link.run([], "beat")

    assert not store.up
    await is_back(store)


async def test_all_data_is_lost(gateway: Start, server: RedisServer) -> None:
    """F-81: after FLUSHALL the next decision knows what each gateway admitted before, and the slots of its requests."""
    one, other = await gateway(), await gateway()
    running = [await ask(store, *ALL) for store in (one, one, other)]
    assert [decision.admitted for decision in running] == [True, True, False]
    running[2] = await ask(other, HOUR, CALLS)

    server.client().flushall()
    more = await ask(one, HOUR, CALLS)
    await other._beat()
    await settled(other)

    assert (more.admitted, isinstance(more, Lent)) == (True, False)
    assert await left(other, HOUR, CALLS, FAIR, MINE, TODAY) == [4, 0, 0, 0, 6]
    for store, decision in zip((one, one, other, one), (*running, more), strict=True):
        store.release(decision)
        await settled(store)
    assert await left(other, CALLS, MINE) == [4, 2]


async def test_the_script_is_lost(gateway: Start, server: RedisServer) -> None:
    """F-81: after SCRIPT FLUSH everybody gets an answer, in the same order."""
    store = await gateway()
    await ask(store, HOUR)
    server.client().script_flush()

    decisions = await asyncio.gather(*(ask(store, HOUR) for _ in range(10)))

    assert [decision.admitted for decision in decisions] == [True] * 7 + [False] * 3
    assert (store.errors, store.up) == (0, True)


async def test_refuse_what_is_limited(gateway: Start, server: RedisServer) -> None:
    """`when_away: refuse`: nothing that is limited is admitted, and all else is."""
    store = await gateway(when_away="refuse")
    server.kill()
    await is_away(store)

    refused = await ask(store, HOUR, FAIR)

    assert (refused.admitted, refused.retry_after, refused.code) == (False, 1, HouseCode.CAPACITY_EXHAUSTED)
    assert refused.refusing == (0, 1)
    assert (await ask(store)).admitted
    store.learn(SCOPE, RATE, 60 * SECOND, now())
    assert not (await ask(store, scope=SCOPE)).admitted


async def test_a_share_is_of_all_gateways_seen(gateway: Start, server: RedisServer) -> None:
    """Contract 11: N divided by the gateways, at least one."""
    stores = [await gateway() for _ in range(3)]
    await asyncio.gather(*(store._beat() for store in stores))
    server.kill()
    await asyncio.gather(*(is_away(store) for store in stores))

    admitted = [sum([(await ask(store, HOUR, LARGE)).admitted for _ in range(8)]) for store in stores]
    few = [sum([(await ask(store, FAIR)).admitted for _ in range(8)]) for store in stores]

    assert admitted == [2, 2, 2]
    assert few == [1, 1, 1]


async def test_together_they_stay_within_n(gateway: Start, server: RedisServer) -> None:
    """Contract 11: who took less than its share does not take the rest, when Redis goes, on top of what others took."""
    one, other = await gateway(), await gateway()
    await asyncio.gather(one._beat(), other._beat())
    limits = (HOUR, TODAY)
    assert [(await ask(one, *limits)).admitted for _ in range(6)] == [True] * 6
    # The other knows what is left only from what it was told last.
    assert [(await ask(other, *limits)).admitted for _ in range(3)] == [True, True, False]
    server.kill()
    await asyncio.gather(is_away(one), is_away(other))

    assert not any([(await ask(store, *limits)).admitted for store in (one, other) for _ in range(5)])
    assert (await ask(other, LARGE)).admitted

    server.start()
    await asyncio.gather(is_back(one), is_back(other))
    await asyncio.gather(settled(one), settled(other))
    assert await left(one, *limits, LARGE) == [0, 0, 99_999]


async def test_it_is_away_from_the_start(gateway: Start, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A gateway starts without Redis, says so once, and has it as soon as it is there."""
    caplog.set_level(logging.INFO, "errgate")
    server.kill()
    store = await gateway(there=False)
    assert (store.up, (await ask(store, HOUR)).admitted) == (False, True)
    await until(lambda: store.errors > 2)

    server.start()
    await is_back(store)

    assert await left(store, HOUR) == [7]
    assert [record.levelno for record in caplog.records if "limit store" in record.message] == [
        logging.ERROR,
        logging.INFO,
    ]


async def test_a_connection_that_is_stuck_is_given_up(
    gateway: Start, server: RedisServer, patience: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an answer is missing for long, the next attempt is over a new connection, and the old one's slots go."""
    monkeypatch.setattr("gateway.limits.redis.STUCK_SECONDS", 0.1)
    store = await gateway()
    stuck = store._link
    patience(PATIENCE)
    server.stop()
    lent = await ask(store, HOUR, CALLS)
    await until(lambda: store._link is not stuck)
    patience(1.0)

    server.go_on()
    await is_back(store)
    await settled(store)

    assert lent.admitted
    # The old connection's question is answered, too, for nobody: its slot goes with the name, its charge with the hour.
    hour, calls = await left(store, HOUR, CALLS)
    assert (hour in {6, 7}, calls) == (True, 3)


async def test_a_gateway_says_that_it_is_there(
    gateway: Start, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any request a gateway renews its name, hears how many there are, and joins a Redis that forgot it."""
    monkeypatch.setattr("gateway.limits.redis.BEAT_SECONDS", 0.02)
    one, _ = await gateway(), await gateway()
    await until(lambda: one.about()["gateways"] == 2)
    name = one._name

    server.client().flushall()
    await until(lambda: one._name != name)
    await until(lambda: one.about()["gateways"] == 2)

    assert one.up


async def test_attempts_to_have_it_back_are_few(gateway: Start, server: RedisServer) -> None:
    """While Redis is away, it is tried after ever longer pauses, that no two gateways have the same."""
    store = await gateway()
    server.kill()
    await is_away(store)
    await asyncio.sleep(1.0)

    assert 1 <= store.errors <= 8
    assert LONGEST_PAUSE_SECONDS <= 5


# Doors.


async def test_a_password_and_a_database(gateway: Start) -> None:
    """A server with a password lets in who has it; who has another is told so in the log, without the password."""
    with RedisServer(password="s3cret-word") as server:
        store = await gateway(server.url + "/3")
        assert (await ask(store, HOUR)).admitted
        assert store.up
        wrong = await gateway(f"redis://:wr0ng-word@127.0.0.1:{server.port}", there=False)

        assert not wrong.up
        assert wrong.about()["away"] == "AuthenticationError: WRONGPASS"
        assert isinstance(await ask(wrong, HOUR), Lent)
        assert "word" not in json.dumps([store.about(), wrong.about()])
        await store.aclose()


async def test_tls(gateway: Start, tmp_path: Path) -> None:
    """`rediss://`: a certificate of the authority in `ca` is spoken to, one of a stranger is not."""
    folder = make_certificates(tmp_path)
    with RedisServer(tls=folder) as server:
        store = await gateway(server.url, str(folder / "ca.pem"))
        assert store.up
        assert (await ask(store, HOUR)).admitted

        for ca in (str(folder / "stranger.pem"), None):
            # What follows the `?` turns no verification off.
            stranger = await gateway(server.url + "?ssl_cert_reqs=none&ssl_check_hostname=false", ca, there=False)
            assert not stranger.up
            await stranger.aclose()
        await store.aclose()


async def test_a_cluster_says_where_to_ask(gateway: Start) -> None:
    """A server of a cluster that has not our slot names the one that has."""
    buses = free_port(), free_port()
    one, other = (RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses)
    with one, other:
        other.order("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        one.order("CLUSTER", "MEET", "127.0.0.1", other.port, buses[1])
        deadline = time.monotonic() + 3 * PATIENCE_SECONDS
        while b"cluster_state:ok" not in one.order("CLUSTER", "INFO"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

        store = await gateway(one.url)

        assert await left(store, HOUR) == [8]
        assert (await ask(store, *ALL, scope=SCOPE)).admitted
        assert other.client().dbsize() > 5
        await store.aclose()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis://localhost:notaport", "rediss://name.invalid"])
async def test_a_door_that_is_none(url: str, gateway: Start) -> None:
    """Whatever the URL says, the gateway starts, and says why it is alone."""
    store = await gateway(url, there=False)

    assert not store.up
    assert store.about()["away"]
    assert (await ask(store, HOUR)).admitted


def test_what_the_log_says_of_a_failure() -> None:
    """The kind of failure and the server's own word for it, nothing that could be a name or a secret."""
    assert reason(ConnectionResetError("peer 10.0.0.1")) == "ConnectionResetError"
    assert reason(Lost("NOPERM user bob has no permissions")) == "Lost: NOPERM"


def test_only_the_path_of_a_url_is_heeded() -> None:
    """Options of the client cannot be given in the URL."""
    connection = connection_to("redis://bob:pw@redis.example:7000/5?db=9&socket_timeout=1&client_name=x", None)

    assert (connection.host, connection.port, connection.db) == ("redis.example", 7000, 5)
    assert (connection.username, connection.password, connection.client_name) == ("bob", "pw", "errgate")
