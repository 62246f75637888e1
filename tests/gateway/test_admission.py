"""One request before limits and holds: what it asks, what it tells, and what it gives back."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway import settings
from gateway.access import Access
from gateway.admission import Admission, now
from gateway.allowance import Allowance, store_of
from gateway.lanes import Lane, Runtime
from gateway.limits import Decision, Limit, Memory, Moment, Scope
from gateway.limits.redis import Redis
from gateway.metrics import Metrics
from gateway.problems import Refused
from normalizers import HouseCode, Problem, Source

BASE = "vendors: {pixii: {base_url: 'https://v.example', normalizer: pixii, %s}}"


def lane(more: str = "", store: Memory | None = None) -> Lane:
    """The vendor's lane, with more of its settings."""
    return Runtime(settings.loads(BASE % more, environ={}), Metrics("1"), store=store).lanes["pixii"]


def admission(lane: Lane, route: str = "submit", method: str = "POST", headers: Any = ()) -> Admission:  # noqa: ANN401
    """A request by nobody in particular."""
    access = Access(metrics=lane.metrics, method=method, request_id="r-12345678")
    return Admission(lane.gates, lane.gates.of("none", route, method), access, headers, "192.0.2.1")


def throttled(code: HouseCode = HouseCode.VENDOR_RATE_LIMITED, after: int | None = 30) -> Problem:
    """A vendor's 429."""
    return Problem(code=code, source=Source.VENDOR, detail="no", retry_after=after)


async def test_nothing_to_decide() -> None:
    """Without limits, and while nothing is held, a request asks nobody and tells nothing."""
    asked = admission(lane())

    assert not asked.asks
    asked.ready()
    asked.replied()
    asked.settle(sent=True)
    assert asked.fields() == []
    assert await asked.again(sent=True)


async def test_gates_are_made_once() -> None:
    """The same caller, route and method have the same gate; callers without limits of their own share it."""
    gates = lane("limits: [{requests: 2, per: day}]").gates

    assert gates.of("none", "submit", "POST") is gates.of("billing", "submit", "POST")
    assert gates.of("none", "submit", "POST") is not gates.of("none", "poll", "GET")


async def test_what_is_given_back() -> None:
    """A charge of what was never sent comes back, of what was sent not; a slot always."""
    made = lane("limits: [{name: m, requests: 9, per: day}, {in_flight: 2}]")
    for sent in (False, True):
        asked = admission(made)
        await asked.enter()
        asked.settle(sent=sent)
        asked.settle(sent=False)

    standing = await made.gates.queue.store.look(
        made.gates.limits, tuple(limit.id for limit in made.gates.limits), now()
    )
    assert [units for units, _ in standing] == [8, 2]


async def test_a_retry_is_a_request() -> None:
    """Each further try is charged; one that is refused leaves nothing taken but the tries before."""
    made = lane("limits: [{requests: 2, per: day}, {in_flight: 1}]")
    asked = admission(made)
    await asked.enter()

    assert await asked.again(sent=True)
    assert not await asked.again(sent=True)

    assert b"r=0" in dict(asked.fields())[b"ratelimit"]
    asked.settle(sent=True)
    keys = tuple(limit.id for limit in made.gates.limits)
    assert [units for units, _ in await made.gates.queue.store.look(made.gates.limits, keys, now())] == [0, 1]


async def test_a_429_to_another_one() -> None:
    """A request that waits for its connection is refused when a 429 to another one comes; so is every later one."""
    made = lane("limits: [{requests: 50, per: day}]")
    first, second, third = admission(made), admission(made), admission(made)
    await first.enter()
    await second.enter()
    second.ready()

    first.replied(throttled())

    with pytest.raises(Refused) as refused:
        second.ready()
    assert refused.value.problem.code is HouseCode.VENDOR_RATE_LIMITED
    assert refused.value.problem.retry_after == 30
    with pytest.raises(Refused):
        await third.enter()
    assert third.fields() == []


async def test_a_429_to_one_that_was_not_asked() -> None:
    """Without limits, too: who went past an empty store looks once more before it is sent."""
    made = lane()
    first, second = admission(made), admission(made)
    assert not second.asks

    first.replied(throttled())

    with pytest.raises(Refused):
        second.ready()
    admission(made, "poll", "GET").ready()


@pytest.mark.parametrize("code", [HouseCode.VENDOR_FAILED, HouseCode.INVALID_REQUEST, HouseCode.OVERLOADED])
async def test_what_teaches_nothing(code: HouseCode) -> None:
    """Only a rate limit or a quota makes a pause; and none does where a 429 is ignored."""
    made, ignoring = lane(), lane("on_vendor_limit: ignore")

    admission(made).replied(throttled(code))
    admission(ignoring).replied(throttled())

    assert made.gates.queue.store.calm
    assert ignoring.gates.queue.store.calm
    assert not admission(ignoring).holds


async def test_each_credential_by_itself() -> None:
    """With `passthrough` what is held is the caller's own credential, in whichever field it is."""
    made = lane("credential: passthrough")
    mine, theirs = [(b"x-other", b"1"), (b"authorization", b"one")], [(b"x-api-key", b"two")]

    admission(made, headers=mine).replied(throttled())

    with pytest.raises(Refused):
        await admission(made, headers=mine).enter()
    with pytest.raises(Refused):
        await admission(made, headers=[(b"x-api-key", b"one")]).enter()
    await admission(made, headers=theirs).enter()
    await admission(made).enter()


class Lending(Memory):
    """A store that is away, and lends shares."""

    async def take(
        self, limits: tuple[Limit, ...], keys: tuple[str, ...], now: Moment, scope: Scope | None = None
    ) -> Decision:
        """Decide by a half of each limit."""
        return await super().take(tuple(limit.share(2) for limit in limits), keys, now, scope)


async def test_shares_are_told() -> None:
    """While the store is away fields and refusals tell what is in force: the share."""
    made = lane("limits: [{requests: 10, per: minute}]", Lending())
    asked = admission(made)

    await asked.enter()
    for _ in range(4):
        await admission(made).enter()
    with pytest.raises(Refused) as refused:
        await admission(made).enter()

    assert dict(asked.fields()) == {b"ratelimit-policy": b'"minute";q=5;w=60', b"ratelimit": b'"minute";r=4;t=60'}
    assert refused.value.problem.detail == 'All callers together may send 5 requests a minute (limit "minute").'


async def test_a_stop_is_told() -> None:
    """Who would have to wait while the gateway drains is answered `overloaded`, and the time it waited is noted."""
    made = lane("limits: [{in_flight: 1, wait: 5s}]")
    first, second = admission(made), admission(made)
    await first.enter()
    waiting = asyncio.ensure_future(second.enter())
    await asyncio.sleep(0.05)

    made.gates.queue.drain()

    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.problem.code is HouseCode.OVERLOADED
    assert second._access.queued > 0.04
    assert first._access.queued == 0


def test_the_store_that_the_settings_ask_for() -> None:
    """`memory` is the process's own; a Redis is named, and not reached before the start."""
    memory = settings.loads(BASE % "", environ={})
    redis = settings.loads("limit_store: {url: 'rediss://:canary@r.example/1', ca: null}", environ={})

    assert isinstance(store_of(memory.limit_store, "errgate"), Memory)
    store = store_of(redis.limit_store, "errgate")
    assert isinstance(store, Redis)
    assert "canary" not in repr(store) + repr(store.about())


async def test_what_another_generation_takes_over() -> None:
    """The next generation counts where this one did; a hold of a vendor that is gone is nobody's."""
    whole = settings.loads(BASE % "limits: [{requests: 5, per: day}, {requests: 3, per: hour, by: caller}]", environ={})
    before = Allowance(whole)
    limits = before.of_vendors["pixii"]
    await before.store.take(limits, tuple(limit.key("a") for limit in limits), now())
    before.store.learn(Scope("hold/pixii/method/GET", 1), HouseCode.QUOTA_EXHAUSTED, 9_000_000, now())
    before.store.learn(Scope("hold/gone/method/GET", 1), HouseCode.QUOTA_EXHAUSTED, 9_000_000, now())

    after = Allowance(whole, before=before)
    after.keep()

    assert {name: left for name, (left, _) in (await after.look())["pixii"].items()} == {"day": 4}
    assert [holding.key for holding in after.holds()["pixii"]] == ["hold/pixii/method/GET"]
    assert list(after.holds()) == ["pixii"]


def test_places_in_line_are_shared_out() -> None:
    """What may wait at a gateway its workers share, rounded up."""
    text = "server: {workers: 3}\n" + BASE % "limits: [{in_flight: 1, wait: 1s, queue: 100}]"

    (limit,) = Allowance(settings.loads(text, environ={})).of_vendors["pixii"]

    assert limit == replace(limit, queue=34)
