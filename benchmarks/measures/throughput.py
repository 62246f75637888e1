"""
Requests a second, the gateway's beside a peer's: pairs, one after the other, in turns who is first.

Only ratios inside a pair count: absolute numbers move from hour to hour.
"""

from dataclasses import asdict

from benchmarks.bench import HELLO, PEERS, Bench
from benchmarks.load import Broken

OURS = "errgate"

# What is asked of both: the case's name, the gateway's path and the peer's, and whether the answers are errors.
FORWARDED = (
    ("http, ok", "/plain/v1/ok", False),
    ("TLS, ok", "/tls/v1/ok", False),
    ("TLS, 4xx", "/tls/v1/bad", True),
)


def pairs() -> list[tuple[str, str, tuple[str, str, bool], tuple[str, str, bool]]]:
    """Every pair: the case, the peer, and for each side who it is, what it is asked, and whether that is an error."""
    listed = [
        (case, peer.name, (OURS, path, errors), (peer.name, path, errors))
        for case, path, errors in FORWARDED
        for peer in PEERS
    ]
    hello = HELLO.name
    return [
        *listed,
        ("http, ok", hello, (OURS, "/plain/v1/ok", False), (hello, "/", False)),
        ("TLS, ok", hello, (OURS, "/tls/v1/ok", False), (hello, "/", False)),
        ("own 429", hello, (OURS, "/refused/v1/ok", True), (hello, "/", False)),
        ("TLS, 4xx to ok", OURS, (OURS, "/tls/v1/bad", True), (OURS, "/tls/v1/ok", False)),
    ]


def measure(bench: Bench) -> list[dict[str, object]]:
    """Each pair, with the figures of both sides, a number a round."""
    measured: dict[tuple[str, str], dict[str, object]] = {}
    for number in range(bench.effort.rounds):
        for case, peer, ours, theirs in pairs():
            sides = {"ours": ours, "theirs": theirs}
            if any(bench.subject(side[0]) is None for side in sides.values()):
                continue
            row = measured.setdefault((case, peer), {"case": case, "peer": peer, "ours": [], "theirs": []})
            try:
                runs = {key: _run(bench, *sides[key]) for key in (sorted(sides) if number % 2 else sorted(sides)[::-1])}
            except Broken as error:
                row.setdefault("broken", str(error))
                continue
            for key, seen in runs.items():
                row[key].append(seen)  # type: ignore[attr-defined]
    return list(measured.values())


def _run(bench: Bench, name: str, path: str, errors: bool) -> dict[str, float]:  # noqa: FBT001  (a row's column)
    process = bench.subject(name)
    if process is None:
        raise Broken(name)
    return {key: round(value, 1) for key, value in asdict(bench.load(process, path, errors=errors)).items()}
