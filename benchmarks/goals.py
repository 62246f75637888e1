"""What was to be reached, a row each: the sentence, the bound, and where its figures are."""

from collections.abc import Callable
from dataclasses import dataclass

from .bench import HELLO
from .measures.scaling import FEW, MANY
from .measures.throughput import OURS
from .results import Runs, quotients

NODE, ENVOY, LIBRARY, LITELLM = "@fastify/http-proxy", "Envoy + Lua", "fastapi-proxy-lib", "LiteLLM pass-through"
FEW_NAME, MANY_NAME = (f"{vendors} vendors, {limits} limits" for vendors, limits in (FEW, MANY))


@dataclass(frozen=True, slots=True)
class Goal:
    """
    One row. `at_least`: whether more is better, else less is; `unit` follows the number.

    `by_cpu` gives the same figures by processor time, where there are such.
    """

    what: str
    bound: float
    figures: Callable[[Runs], list[float]]
    by_cpu: Callable[[Runs], list[float]] | None = None
    unit: str = "x"
    at_least: bool = True

    def met(self, median: float) -> bool:
        """Whether a median is as good as was asked."""
        return median >= self.bound if self.at_least else median <= self.bound


def _ratio(what: str, bound: float, case: str, peer: str) -> Goal:
    return Goal(
        what,
        bound,
        lambda runs: runs.ratios(case, peer),
        lambda runs: runs.ratios(case, peer, "per_cpu_second"),
    )


def _vendors(figure: str) -> Callable[[Runs], list[float]]:
    return lambda runs: quotients(runs.sides("vendors", MANY_NAME, figure), runs.sides("vendors", FEW_NAME, figure))


def _at_most(
    what: str,
    bound: float,
    unit: str,
    figures: Callable[[Runs], list[float]],
    by_cpu: Callable[[Runs], list[float]] | None = None,
) -> Goal:
    return Goal(what, bound, figures, by_cpu, unit=" " + unit, at_least=False)


def _passage(name: str, what: str) -> Goal:
    return _at_most(f"{what}: resident memory grows by", 16, "MiB", lambda runs: runs.figures("memory", name + "_mib"))


GOALS = (
    _ratio("Node `@fastify/http-proxy`, http", 1.0, "http, ok", NODE),
    _ratio("Node `@fastify/http-proxy`, TLS", 1.0, "TLS, ok", NODE),
    _ratio("Envoy + Lua + local_ratelimit, TLS", 0.6, "TLS, ok", ENVOY),
    _ratio("bare uvicorn hello, http", 0.45, "http, ok", HELLO.name),
    _ratio("fastapi-proxy-lib, http", 25, "http, ok", LIBRARY),
    _ratio("LiteLLM pass-through, http", 70, "http, ok", LITELLM),
    _ratio("normalized 4xx by ok, TLS", 0.85, "TLS, 4xx to ok", OURS),
    _ratio("429 of our own by bare hello", 0.6, "own 429", HELLO.name),
    Goal(
        "two workers on two cores by one on one, all else scaled alike",
        1.8,
        lambda runs: quotients(runs.sides("workers", "2"), runs.sides("workers", "1")),
    ),
    Goal(f"{MANY_NAME} each by {FEW_NAME} each", 0.95, _vendors("per_second"), _vendors("per_cpu_second")),
    _at_most("added latency at 200 requests a second, p50", 0.3, "ms", lambda runs: runs.latencies("p50", OURS)),
    _at_most("added latency at 200 requests a second, p99", 1.5, "ms", lambda runs: runs.latencies("p99", OURS)),
    _passage("gibibyte_down", "1 GiB down"),
    _passage("gibibyte_up", "1 GiB up"),
    _passage("slow_reader", "slow reading caller"),
    _passage("slow_writer", "slow writing caller"),
    _passage("slow_vendor_reads", "slow reading vendor"),
    _passage("slow_vendor_writes", "slow writing vendor"),
    _at_most("resident, idle, one worker", 60, "MiB", lambda runs: runs.figures("memory", "idle_mib")),
    _at_most(
        "each of 5,000 idle keep-alive callers", 16, "KiB", lambda runs: runs.figures("memory", "idle_caller_kib")
    ),
    _at_most(
        "start to first answer",
        1.0,
        "s",
        lambda runs: runs.figures("startup", "seconds"),
        lambda runs: runs.figures("startup", "cpu_seconds"),
    ),
)
