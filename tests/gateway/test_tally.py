"""What is added up before prometheus_client is told comes out as if each request had told it."""

import asyncio
import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.metrics import tally
from gateway.metrics.tally import Books, Level, Seconds, Tally

BOUNDS = (0.1, 1.0)


def counted(registry: CollectorRegistry) -> str:
    """What a scrape says, but for when a child was made."""
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#") and "_created" not in line)


@pytest.mark.parametrize("times", [(), (0.1,), (0.05, 0.1, 0.100001, 1.0, 1.5, 0.0), (1e-9,) * 5, (math.inf,)])
async def test_times_fall_into_the_same_buckets(times: tuple[float, ...]) -> None:
    """A time on a bucket's bound is in it, and one over the last bound is in none but the last."""
    told, observed = CollectorRegistry(), CollectorRegistry()
    seconds = Seconds(Histogram("h", "h", buckets=BOUNDS, registry=told), BOUNDS)
    histogram = Histogram("h", "h", buckets=BOUNDS, registry=observed)

    seconds.tell((*times, None))
    seconds.tell(())
    for time in times:
        histogram.observe(time)

    assert counted(told) == counted(observed)


async def test_requests_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told at once; soon it is, with all others, and none twice."""
    monkeypatch.setattr(tally, "PERIOD_SECONDS", 0.05)
    registry, books = CollectorRegistry(), Books()
    counter = Counter("c", "c", registry=registry)
    overhead = Seconds(Histogram("o", "o", buckets=BOUNDS, registry=registry), BOUNDS)
    one = Tally(books, [counter], (overhead, None, None, overhead))

    for _ in range(10):
        one.add((0.2, None, None, None))
    before = registry.get_sample_value("c_total")
    async with asyncio.timeout(10):
        while registry.get_sample_value("c_total") != 10:  # noqa: ASYNC110  (a timer of the code under test)
            await asyncio.sleep(0.01)

    assert before == 0
    assert registry.get_sample_value("o_count") == 10


async def test_a_worker_tells_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several workers each tells its requests in the loop's next turn: one that is killed loses few (W-135)."""
    monkeypatch.setattr(tally, "PERIOD_SECONDS", 3600.0)
    registry, books = CollectorRegistry(), Books(each_turn=True)
    counter = Counter("c", "c", registry=registry)
    overhead = Seconds(Histogram("o", "o", buckets=BOUNDS, registry=registry), BOUNDS)
    one, level = (
        Tally(books, [counter], (overhead, None, None, overhead)),
        Level(books, Gauge("g", "g", registry=registry)),
    )

    told = []
    for turn in range(3):
        for _ in range(turn):
            level.inc()
            one.add((0.2, None, None, None))
        await asyncio.sleep(0)
        told.append((registry.get_sample_value("c_total"), registry.get_sample_value("g")))

    assert told == [(0, 0), (1, 1), (3, 3)]


async def test_whoever_looks_has_everything_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tell` leaves nothing for later: neither numbers nor a timer."""
    monkeypatch.setattr(tally, "PERIOD_SECONDS", 3600.0)
    registry, books = CollectorRegistry(), Books()
    level = Level(books, Gauge("g", "g", registry=registry))

    for _ in range(3):
        level.inc()
    level.dec()
    books.tell()

    assert registry.get_sample_value("g") == 2
    assert books._timer is None


async def test_two_generations_share_a_gauge() -> None:
    """A level tells what was added since, so that two of them over one gauge make a sum."""
    registry, books = CollectorRegistry(), Books()
    gauge = Gauge("g", "g", registry=registry)
    before, after = Level(books, gauge), Level(books, gauge)

    before.inc()
    after.inc()
    after.inc()
    before.dec()
    books.tell()

    assert registry.get_sample_value("g") == 2
