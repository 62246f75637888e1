"""
The rolling window against the sliding log as it is defined.

One file: the definition, and everything that is held against it.
"""

from itertools import islice
from random import Random

import pytest

from gateway.limits.rule import SECOND
from gateway.limits.window import RING, USED, Rolling
from tests.budget import LONG
from tests.gateway.limits.arrivals import Arrivals
from tests.gateway.limits.true_log import TrueLog, worst

SPAN = {"second": SECOND, "minute": 60 * SECOND, "hour": 3600 * SECOND, "day": 86_400 * SECOND}
MARGIN = SECOND // 2

# Count, window, buckets. Up to `buckets` the log is exact.
WINDOWS = [
    (1, "second", 100),
    (2, "minute", 1000),
    (5, "minute", 100),
    (10, "minute", 1000),
    (60, "minute", 1000),
    (99, "hour", 100),
    (100, "hour", 100),
    (101, "hour", 100),
    (500, "day", 1000),
    (500, "minute", 100),
    (1000, "day", 1000),
    (1001, "second", 1000),
    (3000, "minute", 100),
    (5000, "hour", 1000),
    (10_000, "day", 1000),
    (100_000, "day", 100),
]
# A million arrivals in the long run, a hundred thousand in every run.
EACH = (1_000_000 if LONG else 100_000) // len(WINDOWS)


def rule_of(count: int, per: str, buckets: int, margin: int = 0) -> Rolling:
    """A rule as the settings make it."""
    return Rolling.of(count, SPAN[per] + margin, buckets)


def fits_at(rule: Rolling, cells: list[int], cost: int, moment: int) -> bool:
    """What the rule would say at that moment, were nothing admitted until then."""
    return rule.free_at(cells.copy(), cost, moment, 0) == moment


@pytest.mark.parametrize(("count", "per", "buckets"), WINDOWS)
def test_the_window_agrees_with_the_true_log(count: int, per: str, buckets: int) -> None:
    """W-088, W-091: never over N in any window; refused up to one bucket too long at most, and never promised early."""
    rule = rule_of(count, per, buckets, MARGIN)
    cells = [0] * rule.cells
    truth = TrueLog(count, rule.window)
    arrivals = Arrivals(count, count, rule.window, rule.grain)
    random = Random(count)
    # Among small costs some that fill large counts, too.
    costs = (1, 1, min(count, 2), min(count, 7), max(1, count // 30))
    marks: list[tuple[int, int, int]] = []
    refused = 0

    for now in islice(arrivals, EACH):
        cost = random.choice(costs)
        free_at, true = rule.free_at(cells, cost, now, 0), truth.free_at(cost, now)
        # The last grain is cut where the window's end meets the clock.
        assert true <= free_at <= true + rule.grain - 1
        if free_at == now:
            mark, standing = rule.charge(cells, cost, now, 0)
            truth.admit(cost, now)
            marks.append((now, cost, mark))
            # What is left stays all there is until the first unit leaves.
            left, reset = standing
            assert standing == rule.standing(cells, now, 0)
            assert left == count - cells[USED]
            assert reset is not None
            assert rule.grain > 1 or now + reset == truth.free_at(count - truth.used(now) + 1, now)
        else:
            refused += 1
            arrivals.aim(free_at)
            if random.random() < 0.02:
                assert fits_at(rule, cells, cost, free_at)
                assert not fits_at(rule, cells, cost, free_at - 1)
        if marks and random.random() < 0.03:
            time, cost, mark = marks.pop(random.randrange(max(0, len(marks) - 5), len(marks)))
            rule.give_back(cells, cost, mark)
            if time > now - rule.window:
                truth.take_away(cost, time)

    assert worst(truth.admissions, rule.window) <= count
    assert refused > EACH // 20
    assert EACH - refused > EACH // 20


@pytest.mark.parametrize(("count", "per", "buckets"), WINDOWS)
@pytest.mark.parametrize("cost", [1, 3])
def test_saturation_uses_the_window(count: int, per: str, buckets: int, cost: int) -> None:
    """At saturation at least 98 % of N is admitted in every window's length, and N where the log is exact."""
    cost = min(cost, count)
    rule = rule_of(count, per, buckets)
    cells = [0] * rule.cells
    random = Random(count)
    most = count // cost * cost
    admissions: list[tuple[int, int]] = []

    # One window of arrivals at random brings the log into disorder; then somebody always waits.
    now = start = 10**12 + 7
    chunk = max(cost, count // 400 // cost * cost)
    while now < start + 6 * rule.window:
        free_at = rule.free_at(cells, chunk, now, 0)
        if free_at == now:
            rule.charge(cells, chunk, now, 0)
            admissions.append((now, chunk))
            now += random.randrange(rule.window // 200) if now < start + rule.window else 0
        else:
            now = free_at

    assert worst(admissions, rule.window) <= count
    for number in range(1, 6):
        begin = start + number * rule.window
        used = sum(units for time, units in admissions if begin <= time < begin + rule.window)
        assert used >= (0.98 * most if rule.grain > 1 else most - chunk)


@pytest.mark.parametrize(("count", "per", "buckets"), WINDOWS)
def test_a_clock_that_is_set_back_admits_no_more(count: int, per: str, buckets: int) -> None:
    """F-77, F-78: whatever the clock shows, never over N in a window of true time, and never shut for long."""
    rule = rule_of(count, per, buckets)
    cells = [0] * rule.cells
    random = Random(count)
    truth: list[tuple[int, int]] = []
    cost = max(1, count // 40)
    step = 0
    now = admitted = 10**15

    for _ in range(EACH // 4):
        now += random.choice((0, 1, rule.window // 50, rule.window // 7, rule.window))
        if random.random() < 0.05:
            step -= random.choice((1, rule.grain, rule.window // 3, rule.window, 20 * rule.window))
            admitted = now
        shown = now + step
        if rule.free_at(cells, cost, shown, 0) == shown:
            rule.charge(cells, cost, shown, 0)
            truth.append((now, cost))
            admitted = now
        assert now - admitted <= 3 * rule.window

    assert worst(truth, rule.window) <= count


def test_two_processes_may_read_the_clock_out_of_order() -> None:
    """What comes with an earlier time than the last admission is counted at that admission's, never before it."""
    rule = Rolling.of(2, 1000)
    cells = [0] * rule.cells
    rule.charge(cells, 1, 5000, 0)

    mark, standing = rule.charge(cells, 1, 4990, 0)

    assert mark == 5000
    assert standing == (0, 1010)
    assert rule.free_at(cells, 1, 4995, 0) == 6000


def test_a_window_is_half_open() -> None:
    """N at one instant and N one window later, to the microsecond."""
    rule = Rolling.of(3, 1000)
    cells = [0] * rule.cells

    for _ in range(3):
        assert rule.free_at(cells, 1, 7, 0) == 7
        rule.charge(cells, 1, 7, 0)

    assert rule.free_at(cells, 1, 7, 0) == 1007
    assert rule.free_at(cells, 1, 1006, 0) == 1007
    assert rule.free_at(cells, 3, 1007, 0) == 1007


def test_standing_tells_what_is_left_and_until_when() -> None:
    """An unused window has all of N for its length; a used one what is left, until the oldest entry leaves."""
    rule = Rolling.of(10, 60 * SECOND)
    cells = [0] * rule.cells

    unused = rule.standing(cells, 5, 0)
    rule.charge(cells, 4, 5, 0)
    rule.charge(cells, 3, 5 + 10 * SECOND, 0)
    used = rule.standing(cells, 5 + 20 * SECOND, 0)

    assert unused == (10, 60 * SECOND)
    assert used == (3, 40 * SECOND)


def test_a_longer_margin_is_a_longer_window() -> None:
    """`margin` keeps the next request back by so much, against jitter on the way."""
    rule = rule_of(1, "second", 1000, margin=MARGIN)
    cells = [0] * rule.cells

    rule.charge(cells, 1, 0, 0)

    assert rule.free_at(cells, 1, 1, 0) == SECOND + MARGIN


@pytest.mark.parametrize("buckets", [10, 3])
def test_what_is_given_back_can_be_had_again(buckets: int) -> None:
    """A charge that is undone leaves the others as they were, and the next one takes its place."""
    rule = Rolling.of(5, 1000, buckets)
    cells = [0] * rule.cells
    marks = [rule.charge(cells, 1, time, 0)[0] for time in (0, 400, 401, 800, 999)]

    for number in (1, 4, 3, 0):
        assert rule.free_at(cells, 1, 999, 0) > 999
        rule.give_back(cells, 1, marks[number])
        assert rule.free_at(cells, 1, 999, 0) == 999
        rule.charge(cells, 1, 999, 0)

    assert cells[USED] == 5
    assert sum(units for _, units in rule.charges(cells)) == 5


def test_what_has_left_is_not_given_back() -> None:
    """A charge whose window is over, or that was given back before, changes nothing."""
    rule = Rolling.of(5, 1000)
    cells = [0] * rule.cells
    first, _ = rule.charge(cells, 2, 0, 0)
    second, _ = rule.charge(cells, 2, 600, 0)
    rule.free_at(cells, 1, 1100, 0)

    rule.give_back(cells, 2, first)
    rule.give_back(cells, 2, 700)
    assert rule.charges(cells) == [(600, 2)]

    rule.give_back(cells, 2, second)
    rule.give_back(cells, 2, second)
    assert rule.charges(cells) == []
    assert cells[USED] == 0


def test_a_full_ring_is_swept() -> None:
    """However many charges are given back in the midst of others, the state keeps its size and the log is exact."""
    rule = Rolling.of(10, 10**9)
    cells = [0] * rule.cells
    for time in range(8):
        rule.charge(cells, 1, time, 0)
    before, _ = rule.charge(cells, 1, 50, 0)

    for now in range(100, 1000, 2):
        mark, _ = rule.charge(cells, 1, now, 0)
        rule.give_back(cells, 1, before)
        before, _ = rule.charge(cells, 1, now + 1, 0)
        rule.give_back(cells, 1, mark)
        assert rule.charges(cells) == [*((time, 1) for time in range(8)), (now + 1, 1)]

    assert len(cells) == rule.cells
    assert rule.free_at(cells, 2, 1000, 0) == rule.window


@pytest.mark.parametrize(("count", "window"), [(100, 1000), (30, 1000), (100, 5000), (3, 100), (5000, 1000)])
def test_a_reload_keeps_the_counts(count: int, window: int) -> None:
    """A log goes on under another count and another length; where it does not fit, units leave late, never early."""
    old, new = Rolling.of(100, 1000), Rolling.of(count, window)
    before, after = [0] * old.cells, [0] * new.cells
    truth = TrueLog(count, window)
    for time in range(0, 800, 10):
        old.charge(before, 1, time, 0)
        truth.admit(1, time)

    new.adopt(after, old.charges(before))

    assert after[USED] == 80
    assert new.standing(after, 800, 0)[0] == max(0, count - 80)
    for cost in range(1, count + 1):
        assert new.free_at(after.copy(), cost, 800, 0) >= truth.free_at(cost, 800)


def test_state_expires_one_window_after_its_last_charge() -> None:
    """An empty log is worth nothing; any other as long as its newest entry counts."""
    rule = Rolling.of(10, 1000)
    cells = [0] * rule.cells

    assert rule.expires_at(cells, 7, 0) == 7
    rule.charge(cells, 1, 7, 0)
    rule.charge(cells, 1, 90, 0)
    assert rule.expires_at(cells, 100, 0) == 1090
    assert rule.free_at(cells, 10, 1090, 0) == 1090
    assert not any(rule.charges(cells))


@pytest.mark.parametrize(("count", "per", "buckets"), WINDOWS)
def test_the_state_is_small_and_flat(count: int, per: str, buckets: int) -> None:
    """Two integers for each entry, as many entries as are needed, whatever the count."""
    rule = rule_of(count, per, buckets)

    assert rule.cells <= RING + 2 * (buckets + buckets // 4 + 8)
    assert rule.grain * buckets >= rule.window or rule.grain == 1


def test_the_worst_arrivals_for_buckets_lose_two_percent_at_most() -> None:
    """W-091: units at the beginning of each bucket that are kept by one at its end cost at most one bucket a window."""
    rule = Rolling.of(200, 100_000, 100)
    cells = [0] * rule.cells
    admitted = 0

    for now in (moment for bucket in range(1000) for moment in (bucket * 1000, bucket * 1000 + 999)):
        while rule.free_at(cells, 1, now, 0) == now and admitted < 10**6:
            rule.charge(cells, 1, now, 0)
            admitted += 1
            if now < rule.window and now % 1000 == 0:
                break

    assert 0.98 * 200 * 10 <= admitted <= 200 * 10
