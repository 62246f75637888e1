"""
The limits a gateway keeps, and the holds it learns from its vendors (contract 11). Everything comes from here.

    settings ──of_vendor, of_caller──▶ Limit ──covering──▶ those of a request ──Store.take──▶ Decision

A `Limit` has a rule (`Rolling`, `Calendar` or `Slots`) that works on flat cells of integers. `decide` puts a question
to all the cells of a request at once and charges all or none. `Memory` keeps the cells of one process; other stores
may keep them elsewhere and use the same rules. `Queue` lets a refused request wait.

    limits = covering((*caller_limits, *vendor_limits), route, method)
    decision = await queue.take(limits, tuple(limit.key(who) for limit in limits), scope)
    try: ...                          # refused: decision.code, decision.refused, decision.retry_after
    finally:
        queue.release(decision)       # on every exit path; give_back(decision) where no connection was had
        queue.gone(decision)          # and before it, once the vendor has replied, learn(…) and answered(decision, now)
"""

from . import hold
from .decision import Charge, Decision, decide
from .entries import Entry, of_caller, of_vendor
from .fields import fields, names_of, policies, service_limits
from .hold import Bounds, Held, Scope, scope_key
from .limit import Limit, covering
from .memory import Memory
from .queue import Draining, Queue
from .rule import SECOND, Cells, Moment, Rule, Standing
from .store import Holding, Store

__all__ = [
    "SECOND",
    "Bounds",
    "Cells",
    "Charge",
    "Decision",
    "Draining",
    "Entry",
    "Held",
    "Holding",
    "Limit",
    "Memory",
    "Moment",
    "Queue",
    "Rule",
    "Scope",
    "Standing",
    "Store",
    "covering",
    "decide",
    "fields",
    "hold",
    "names_of",
    "of_caller",
    "of_vendor",
    "policies",
    "scope_key",
    "service_limits",
]
