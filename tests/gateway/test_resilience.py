"""When a request is sent again, and when it is not sent at all; no clock but the numbers given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resilience import LONGEST_PAUSE_SECONDS, Breaker, RetryBudget, pause


def test_a_failing_vendor_gets_few_retries() -> None:
    """At 100 requests a second that all fail, at most 11 a second are sent again (W-116)."""
    budget = RetryBudget(0.1)
    taken = [0] * 60

    for tick in range(6000):
        budget.request(tick / 100)
        taken[tick // 100] += budget.take(tick / 100)

    assert max(taken) <= 11
    assert sum(taken[10:]) >= 50 * 10


def test_a_quiet_vendor_gets_one_retry_a_second() -> None:
    """A vendor with a request now and then may still be asked twice (W-116)."""
    budget = RetryBudget(0.1)
    taken = []

    for second in range(100, 160):
        budget.request(second)
        taken.append(budget.take(second))

    assert all(taken)
    assert not (budget.take(159.5) and budget.take(159.6))


@given(st.lists(st.floats(0, 30), min_size=1, max_size=300), st.floats(0, 1))
def test_the_budget_holds_in_any_ten_seconds(times: list[float], share: float) -> None:
    """However requests arrive, retries stay within the share plus one a second (W-116)."""
    budget = RetryBudget(share)
    retries = []

    for now in sorted(times):
        budget.request(now)
        if budget.take(now):
            retries.append(now)

    for start in retries:
        within = sum(start <= now < start + 9 for now in retries)
        assert within <= share * sum(start - 10 <= now < start + 9 for now in times) + 10


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_pause_has_full_jitter_and_a_cap(jitter: float) -> None:
    """The pause before a retry is random from zero, doubles, and ends at 250 ms (W-117)."""
    pauses = [pause(retry, jitter) for retry in range(12)]

    assert pauses[0] == jitter * 0.025
    assert max(pauses) == jitter * LONGEST_PAUSE_SECONDS


def opened(failures: int = 3, open_for: float = 10.0) -> Breaker:
    """A breaker that has just opened at second 0."""
    breaker = Breaker(failures, open_for)
    for _ in range(failures):
        breaker.failed(0, probe=False)
    return breaker


def test_consecutive_failures_open_it() -> None:
    """A success in between starts the count again (W-123)."""
    breaker = Breaker(3, 10)
    breaker.failed(0, probe=False)
    breaker.failed(0, probe=False)
    breaker.succeeded()
    breaker.failed(0, probe=False)
    breaker.failed(0, probe=False)

    assert breaker.admit(0) is None
    breaker.failed(0, probe=False)
    assert breaker.admit(0) == 10


def test_one_request_probes() -> None:
    """After `open_for` one request goes, and the others are refused until it is answered (W-123, F-39)."""
    breaker = opened()

    assert [breaker.admit(9.2), breaker.admit(10), breaker.admit(10), breaker.admit(10)] == [1, None, 1, 1]


def test_a_good_probe_closes_it() -> None:
    """An answer of the vendor closes the breaker at once."""
    breaker = opened()
    breaker.admit(10)

    breaker.succeeded()

    assert [breaker.admit(10), breaker.admit(10)] == [None, None]
    assert not breaker.is_open


def test_each_failed_probe_doubles_up_to_ten_times() -> None:
    """A vendor that stays down is asked ever more rarely, but at least every ten times `open_for` (W-123)."""
    breaker, now, openings = opened(), 0.0, []

    for _ in range(7):
        wait = breaker.admit(now)
        assert wait is not None
        openings.append(wait)
        now += wait
        assert breaker.admit(now) is None
        breaker.failed(now, probe=True)

    assert openings == [10, 20, 40, 80, 100, 100, 100]


def test_late_failures_do_not_prolong_it() -> None:
    """Requests that were sent before it opened say nothing new when they fail."""
    breaker = opened()

    breaker.failed(5, probe=False)

    assert breaker.admit(9) == 1


def test_late_failures_are_no_probe() -> None:
    """While a probe is under way, an old request's failure decides nothing."""
    breaker = opened()
    breaker.admit(10)

    breaker.failed(11, probe=False)

    assert breaker.admit(12) == 1
    breaker.succeeded()
    assert breaker.admit(12) is None


def test_a_probe_that_hangs_up_frees_its_place() -> None:
    """A caller that leaves is no failure, and the next request probes."""
    breaker = opened()
    breaker.admit(10)

    breaker.gone()

    assert breaker.admit(10) is None


def test_a_probe_that_fails_late() -> None:
    """A probe that fails after another request found the vendor well is one failure among others (RC-73)."""
    breaker = opened()
    breaker.admit(10)
    breaker.succeeded()

    breaker.failed(11, probe=True)

    assert breaker.admit(11) is None
    assert not breaker.is_open
