"""
The benchmark, from beginning to end.

    make bench                               everything, and benchmarks/results.json anew
    make bench ARGS="--add"                  once more: its figures join those that are there
    make bench ARGS="--quick"                a short look; nothing is kept
    make bench ARGS="--measure throughput --peer 'Envoy + Lua'"
"""

import argparse
import sys

from .bench import PEERS, Bench, Effort, Lacking
from .measures import MEASURES
from .report import text
from .results import new, read, save

FULL = Effort(seconds=1.0, rounds=3)
QUICK = Effort(seconds=0.5, rounds=2)


def main() -> int:
    """Measure, print the tables, keep the figures."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short look; nothing is kept")
    parser.add_argument("--add", action="store_true", help="join the figures to those that are kept")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="how often each pair takes turns")
    parser.add_argument("--measure", action="append", choices=MEASURES, help="only this one; may be repeated")
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in PEERS], help="only this one")
    asked = parser.parse_args()
    results = new()
    try:
        with Bench(QUICK if asked.quick else Effort(FULL.seconds, asked.rounds), frozenset(asked.peer or ())) as bench:
            for name in asked.measure or MEASURES:
                sys.stderr.write(f"{name} …\n")
                results["measures"][name] = MEASURES[name](bench)
            results["missing"] = {name: why for name, why in bench.missing.items() if why != "left out"}
    except Lacking as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    whole = not (asked.quick or asked.measure or asked.peer)
    runs = [*(read() if asked.add and whole else ()), results]
    sys.stdout.write(text(runs) + "\n")
    if whole:
        save(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
