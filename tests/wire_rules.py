"""
Which test keeps which rule of the wire, as a page: docs/wire.md, written from the tests' docstrings.

    python -m tests.wire_rules --write

A test names the rules that it keeps (`W-042`), and the behaviours of other proxies that it repeats (`GO-07`, `RC-21`).
The rules themselves stand in `wire_rules.tsv`: number, section, level, text.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "wire.md"
TABLE = Path(__file__).with_suffix(".tsv")

NAMES = re.compile(r"W-[0-9]{3}|GO-[0-9]{2}|RC-[0-9]{2}")

# A test keeps a few rules, so that a broken rule is found by its name.
MOST = 3

DOES_NOT_APPLY = {
    "W-014": "problem+xml is not offered (W-009 keeps it possible)",
    "W-082": "`Forwarded` is never sent; X-Forwarded-For only with `forward.caller_address`",
}

# Kept by work that is still to come; an entry is taken out with the test that keeps it.
STILL_TO_COME = {
    "W-135": "several workers",
}

# Tests of Go's reverseproxy_test.go in the order of that file, and what of the other proxies' has a number.
GO = {
    "01": "ReverseProxy", "02": "StripHeadersPresentInConnection", "03": "StripEmptyConnection",
    "04": "XForwardedFor", "05": "XForwardedFor_Omit", "06": "RewriteStripsForwarded", "07": "Query",
    "08": "FlushInterval", "09": "ResponseControllerFlushInterval", "10": "FlushIntervalHeaders",
    "11": "Cancellation", "12": "NilBody", "13": "UserAgentHeader", "14": "GetPutBuffer", "15": "Post",
    "16": "RoundTripper NilBody", "17": "AllocatedHeader", "18": "ModifyResponse", "19": "ErrorHandler",
    "20": "CopyBuffer", "21": "ServeHTTPDeepCopy", "22": "ClonesRequestHeaders", "23": "ModifyResponseClosesBody",
    "24": "PanicBodyError", "25": "PanicClosesIncomingBody", "26": "SelectFlushInterval", "27": "WebSocket",
    "28": "WebSocketCancellation", "29": "WebSocketHalfTCP", "30": "UpgradeNoCloseWrite", "31": "UnannouncedTrailer",
    "32": "SetURL", "33": "SingleJoinSlash", "34": "JoinURLPath", "35": "RewriteReplacesOut",
    "36": "1xxHeadersNotModifiedAfterRoundTrip", "37": "1xxResponses",
    "38": "QueryParameterSmuggling DirectorDoesNotParseForm", "39": "QueryParameterSmuggling DirectorParsesForm",
    "40": "QueryParameterSmuggling Rewrite", "41": "QueryParameterSmuggling RewritePreservesRawQuery",
    "42": "HijackCopyError",
}  # fmt: skip
GO_DOES_NOT_APPLY = {
    "07": "`base_url` carries no query",
    "27": "Upgrade is ignored (W-038): there is no tunnel",
    "28": "Upgrade is ignored (W-038): there is no tunnel",
    "29": "Upgrade is ignored (W-038): there is no tunnel",
    "30": "Upgrade is ignored (W-038): there is no tunnel",
    "35": "there is no rewriter that could replace the request",
    "42": "Upgrade is ignored (W-038): there is no tunnel",
}

OTHERS = {
    **{f"{n:02d}": "header hygiene" for n in range(1, 11)},
    **{f"{n:02d}": "the target" for n in range(20, 28)},
    **{f"{n:02d}": "body and framing" for n in range(30, 42)},
    **{f"{n:02d}": "errors" for n in range(50, 59)},
    **{f"{n:02d}": "cookies, redirects, state" for n in range(60, 64)},
    **{f"{n:02d}": "limits, breaker, health" for n in range(70, 75)},
    **{f"{n:02d}": "connections and stop" for n in range(80, 85)},
    **{f"{n:02d}": "telemetry" for n in range(90, 92)},
}
OTHERS_DO_NOT_APPLY = {
    "53": "`source` tells every caller who made an error (contract 5)",
    "80": "the balancer in front ends long connections; ours are bounded by their idle time",
}
OTHERS_STILL_TO_COME: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the wire."""

    name: str
    section: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Keeper:
    """A test and what it names."""

    path: Path
    test: str
    names: tuple[str, ...]

    @property
    def id(self) -> str:
        """The test as pytest selects it."""
        return f"{self.path.relative_to(ROOT).as_posix()}::{self.test}"


def rules() -> list[Rule]:
    """Every rule, in its order."""
    return [Rule(*line.split("\t")) for line in TABLE.read_text(encoding="utf-8").splitlines()]


def keepers() -> Iterator[Keeper]:
    """Every test that names something."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names = tuple(dict.fromkeys(NAMES.findall(ast.get_docstring(node) or "")))
                if names:
                    yield Keeper(path, node.name, names)


@cache
def by_name() -> dict[str, list[Keeper]]:
    """The tests that name each rule or behaviour."""
    found: dict[str, list[Keeper]] = defaultdict(list)
    for keeper in keepers():
        for name in keeper.names:
            found[name].append(keeper)
    return dict(found)


def verdict(name: str, kept: Mapping[str, list[Keeper]], nothing: Mapping[str, str], later: Mapping[str, str]) -> str:
    """What stands in the last column. KeyError where nobody keeps it and nothing says why."""
    if name in kept:
        return ", ".join(f"[`{keeper.test}`](../{keeper.path.relative_to(ROOT).as_posix()})" for keeper in kept[name])
    key = name if name in nothing or name in later else name.partition("-")[2]
    return f"does not apply: {nothing[key]}" if key in nothing else f"still to come: {later[key]}"


def render() -> str:
    """The page."""
    kept = by_name()
    table = rules()
    count = sum(rule.name in kept for rule in table)
    idle = sum(rule.name in DOES_NOT_APPLY for rule in table)
    later = sum(rule.name in STILL_TO_COME and rule.name not in kept for rule in table)
    lines = [
        "# Rules of the wire",
        "",
        "<!-- Written by `python -m tests.wire_rules --write`; do not edit. -->",
        "",
        "What errgate does on the wire, in 171 numbered rules, and the tests that keep each. A rule is broken when its",
        "tests fail: `make mutants` breaks thirty of them and shows that they do.",
        "",
        f"Kept by tests: {count}. Not applying: {idle}. Still to come: {later}.",
    ]
    section = ""
    for rule in table:
        if rule.section != section:
            section = rule.section
            lines += ["", f"## {section}", "", "| rule | level | what holds | kept by |", "| --- | --- | --- | --- |"]
        text = rule.text.replace("|", "\\|")
        lines.append(
            f"| {rule.name} | {rule.level} | {text} | {verdict(rule.name, kept, DOES_NOT_APPLY, STILL_TO_COME)} |"
        )
    lines += ["", "## What Go's ReverseProxy is tested for", "", "| id | test | here |", "| --- | --- | --- |"]
    lines += [
        f"| GO-{number} | {name} | {verdict(f'GO-{number}', kept, GO_DOES_NOT_APPLY, {})} |"
        for number, name in GO.items()
    ]
    lines += ["", "## What other proxies are tested for", "", "| id | about | here |", "| --- | --- | --- |"]
    lines += [
        f"| RC-{number} | {about} | {verdict(f'RC-{number}', kept, OTHERS_DO_NOT_APPLY, OTHERS_STILL_TO_COME)} |"
        for number, about in OTHERS.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(render(), encoding="utf-8")
    else:
        sys.stdout.write(render())
