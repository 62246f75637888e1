"""
What is measured, a file each: every `measure(bench)` gives plain data for the results, figures of one run of it.

A figure is a list, one number a round: medians and spreads are the report's.
"""

from . import bodies, latency, memory, scaling, startup, throughput

MEASURES = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "scaling": scaling.measure,
    "bodies": bodies.measure,
    "memory": memory.measure,
    "startup": startup.measure,
}
