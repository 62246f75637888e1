"""The hold: what it holds, for how long, and who goes first after it."""

import pytest

from gateway.limits import SECOND, Bounds, Held, hold, scope_key
from normalizers import HouseCode
from tests.gateway.limits.made import vendor_limit

RATE = HouseCode.VENDOR_RATE_LIMITED
QUOTA = HouseCode.QUOTA_EXHAUSTED
LEASE = 300 * SECOND

MINUTE = vendor_limit(requests=10, per="minute", routes=("submit",))
DAY = vendor_limit(requests=500, per="day", routes=("submit",))
FAIR = vendor_limit(name="fair", requests=5, per="minute", by="caller")


@pytest.mark.parametrize(
    ("code", "delay", "seconds"),
    [
        (RATE, 3, 3),
        (RATE, 60, 60),
        (RATE, 61, 60),
        (RATE, 86_400, 60),
        (RATE, None, 5),
        (QUOTA, 1, 1),
        (QUOTA, 3600, 3600),
        (QUOTA, 86_400, 3600),
        (QUOTA, None, 300),
    ],
)
def test_a_hold_lasts_as_the_vendor_says(code: HouseCode, delay: int | None, seconds: int) -> None:
    """Contract 11: the vendor's delay, else 5 s or 5 min, within `hold.max` and `hold.max_quota`."""
    assert hold.lasts(code, delay, Bounds()) == seconds * SECOND


@pytest.mark.parametrize(("code", "seconds"), [(RATE, 0.25), (QUOTA, 2.0)])
def test_the_bounds_are_the_settings(code: HouseCode, seconds: float) -> None:
    """A bound below the delay that stands in for the vendor's bounds that, too."""
    assert hold.lasts(code, None, Bounds(rate=0.25, quota=2.0)) == round(seconds * SECOND)


@pytest.mark.parametrize("code", [code for code in HouseCode if code not in (RATE, QUOTA)])
def test_other_codes_hold_nothing(code: HouseCode) -> None:
    """Only what the vendor throttles is a reason to pause."""
    assert hold.lasts(code, 30, Bounds()) is None


SCOPES = [
    ((MINUTE, DAY), "submit", "POST", "hold/pixii/limits/day,minute"),
    ((DAY, MINUTE), "submit", "PUT", "hold/pixii/limits/day,minute"),
    ((MINUTE, FAIR), "submit", "POST", "hold/pixii/limits/fair,minute"),
    ((), "poll", "GET", "hold/pixii/route/poll"),
    ((), None, "GET", "hold/pixii/method/GET"),
    ((), None, "POST", "hold/pixii/method/POST"),
]


@pytest.mark.parametrize(("limits", "route", "method", "key"), SCOPES)
def test_a_scope_is_what_requests_share(limits: tuple, route: str | None, method: str, key: str) -> None:  # type: ignore[type-arg]
    """Contract 11: exactly the same set of the vendor's limits; with none the same route; else the same method."""
    assert scope_key("pixii", limits, route, method) == key


def test_credentials_that_pass_through_are_held_one_by_one() -> None:
    """One caller's 429 holds nobody else, and the store does not learn the credential."""
    one, other = (scope_key("pixii", (MINUTE,), "submit", "POST", credential) for credential in (b"pk_1", b"pk_2"))

    assert one != other
    assert one == scope_key("pixii", (MINUTE,), "submit", "POST", b"pk_1")
    assert "pk_" not in one
    assert scope_key("pixii", (MINUTE,), "submit", "POST", None) not in (one, other)


# What happens to one hold, and when, in seconds: what was learned (code, end), who asked and was told what ("goes",
# "first", or a code and the seconds left), what became of the one that went first ("answered", "gone").
Event = tuple[float, str, object]
SCENARIOS: dict[str, list[Event]] = {
    "none": [(0, "ask", "goes"), (1, "ask", "goes")],
    "held, then one goes first and all follow its answer": [
        (0, "learn", (RATE, 3)),
        (0.1, "ask", (RATE, 3)),
        (1.5, "ask", (RATE, 2)),
        (2.9, "ask", (RATE, 1)),
        (3, "ask", "first"),
        (3, "ask", (RATE, 1)),
        (7, "ask", (RATE, 1)),
        (8, "answered", None),
        (8, "ask", "goes"),
        (8, "ask", "goes"),
    ],
    "a later end replaces an earlier one": [
        (0, "learn", (RATE, 3)),
        (0.2, "learn", (RATE, 5)),
        (1, "ask", (RATE, 4)),
        (4.5, "ask", (RATE, 1)),
        (5, "ask", "first"),
    ],
    "an earlier end changes nothing": [
        (0, "learn", (RATE, 5)),
        (0.2, "learn", (RATE, 3)),
        (3.5, "ask", (RATE, 2)),
    ],
    "the later end brings its code": [
        (0, "learn", (RATE, 5)),
        (0.2, "learn", (QUOTA, 300)),
        (0.3, "learn", (RATE, 60)),
        (1, "ask", (QUOTA, 299)),
        (300, "ask", "first"),
        (300, "ask", (QUOTA, 1)),
    ],
    "the first one is refused again": [
        (0, "learn", (RATE, 3)),
        (3, "ask", "first"),
        (4, "learn", (RATE, 9)),
        (4, "answered", None),
        (4, "ask", (RATE, 5)),
        (9, "ask", "first"),
        (9, "ask", (RATE, 1)),
        (10, "answered", None),
        (10, "ask", "goes"),
    ],
    "the first one is gone, the next goes first": [
        (0, "learn", (RATE, 3)),
        (4, "ask", "first"),
        (4.5, "ask", (RATE, 1)),
        (5, "gone", None),
        (5, "ask", "first"),
        (5, "ask", (RATE, 1)),
        (6, "answered", None),
        (6, "ask", "goes"),
    ],
    "one that was under way is refused while the first is": [
        (0, "learn", (RATE, 3)),
        (3, "ask", "first"),
        (3.5, "learn", (RATE, 6)),
        (4, "answered", None),
        (4, "ask", (RATE, 2)),
        (6, "ask", "first"),
    ],
    "gone while a longer hold is on": [
        (0, "learn", (RATE, 3)),
        (3, "ask", "first"),
        (3.5, "learn", (RATE, 6)),
        (4, "gone", None),
        (4, "ask", (RATE, 2)),
        (6, "ask", "first"),
    ],
    "the process of the first one died": [
        (0, "learn", (RATE, 3)),
        (3, "ask", "first"),
        (302, "ask", (RATE, 1)),
        (303, "ask", "first"),
        (303, "ask", (RATE, 1)),
    ],
    "one that was given up for lost is answered after all": [
        (0, "learn", (RATE, 3)),
        (3, "ask", "first"),
        (303, "ask", "first"),
        (304, "late answer", None),
        (304, "ask", (RATE, 1)),
        (305, "answered", None),
        (305, "ask", "goes"),
    ],
    "long after its end the next one still goes first": [
        (0, "learn", (RATE, 3)),
        (90_000, "ask", "first"),
        (90_000, "ask", (RATE, 1)),
    ],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_hold_passes_as_the_table_says(name: str) -> None:
    """W-093: the hold's whole life, for those who ask meanwhile."""
    cells = [0] * hold.CELLS
    tokens: list[int] = [0]

    for seconds, event, expected in SCENARIOS[name]:
        now = 10**9 + round(seconds * SECOND)
        told: object = expected
        match event, expected:
            case "learn", (HouseCode() as code, int() as end):
                hold.learn(cells, code, 10**9 + end * SECOND)
            case "answered", _:
                hold.answered(cells, tokens[-1], now)
            case "late answer", _:
                hold.answered(cells, tokens[-2], now)
            case "gone", _:
                hold.gone(cells, tokens[-1])
            case _:
                told = ask(cells, now, tokens)
        assert told == expected, f"{event} at {seconds}"


def ask(cells: list[int], now: int, tokens: list[int]) -> object:
    """What somebody is told who comes now; goes, if he may."""
    held = hold.held(cells, now)
    if held is not None:
        return held.code, -(-(held.until - now) // SECOND)
    token = hold.go(cells, now, LEASE)
    if not token:
        return "goes"
    tokens.append(token)
    return "first"


def test_many_429s_are_one_hold() -> None:
    """W-093: twenty replies to requests that were under way hold once, until the latest of their ends."""
    cells = [0] * hold.CELLS

    for number in (7, 3, 20, 1, *range(1, 20), 12):
        hold.learn(cells, RATE, number * SECOND)

    assert hold.held(cells, 0) == Held(RATE, 20 * SECOND)
    assert hold.held(cells, 20 * SECOND) is None


def test_who_did_not_go_first_changes_nothing() -> None:
    """The answer to a request from before the hold neither ends it nor lets another go."""
    cells = [0] * hold.CELLS
    hold.learn(cells, RATE, 3 * SECOND)
    token = hold.go(cells, 4 * SECOND, LEASE)
    before = cells.copy()

    hold.answered(cells, 0, 5 * SECOND)
    hold.gone(cells, 0)
    hold.answered(cells, token - 1, 5 * SECOND)
    hold.gone(cells, token + 1)

    assert cells == before
