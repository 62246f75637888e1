"""
What is measured, a file each: every `measure(bench)` gives plain data for the results, figures of one run of it.

A figure is a list, one number a round: medians and spreads are the report's. In the order in which they are measured:
latency first, while nothing runs but what it asks.
"""

from . import bodies, latency, memory, scaling, startup, throughput

MEASURES = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "scaling": scaling.measure,
    "bodies": bodies.measure,
    "memory": memory.measure,
    "startup": startup.measure,
}
