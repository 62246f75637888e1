"""Every limit of one generation of the settings, whose it is, and where it is counted."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from .admission import now
from .gates import Gates
from .limits import SECOND, Bounds, Holding, Limit, Memory, Queue, Standing, Store, of_caller, of_vendor
from .metrics.limits import LimitGauges
from .settings import LimitStore, Settings, Timeouts

# What `limit_store.url` says for no store outside.
IN_MEMORY = "memory"


def store_of(settings: LimitStore, name: str) -> Store:
    """The store that the settings ask for; `name` is the gateway's."""
    url = settings.url.get_secret_value()
    if url == IN_MEMORY:
        return Memory()
    from .limits.redis import Redis  # noqa: PLC0415  (its library is loaded only where it is used)

    return Redis(url, None if settings.ca is None else str(settings.ca), settings.when_away, name=name)


class Allowance:
    """
    The limits of one generation. The one after it counts on where this one did.

    Args:
        settings: the whole of them.
        store: where limits are counted; None: where `before` counts them, or as the settings say.
        before: the allowance of the generation before.
    """

    def __init__(self, settings: Settings, *, store: Store | None = None, before: "Allowance | None" = None) -> None:
        if before is not None:
            self.queue: Queue = before.queue
        else:
            self.queue = Queue(store or store_of(settings.limit_store, settings.server.name), now)
        self._settings = settings
        # What the settings allow a gateway, its workers share: here the places in each line.
        workers = settings.server.workers
        self.of_vendors: Mapping[str, tuple[Limit, ...]] = {
            name: _divided(of_vendor(name, vendor.limits), workers) for name, vendor in settings.vendors.items()
        }
        self._of_callers: Mapping[str, tuple[Limit, ...]] = {
            name: _divided(of_caller(name, caller.limits), workers)
            for name, caller in settings.named_callers.items()
            if caller.limits
        }

    @property
    def store(self) -> Store:
        """Where it is all counted."""
        return self.queue.store

    def gates(self, vendor: str, title: str, timeouts: Mapping[str, Timeouts]) -> Gates:
        """A vendor's gates; `timeouts` by route."""
        settings = self._settings.vendors[vendor]
        hold = settings.hold
        return Gates(
            (vendor, title),
            self.of_vendors[vendor],
            self._of_callers,
            self.queue,
            bounds=Bounds(hold.max, hold.max_quota) if settings.on_vendor_limit == "hold" else None,
            by_credential=settings.credential == "passthrough",
            totals={route: given.total for route, given in timeouts.items()},
            told=self._settings.problems.rate_limit_headers,
        )

    def refusing(self, vendor: str) -> Iterator[tuple[str, str]]:
        """Which limit may refuse whom at this vendor, both by name."""
        callers = self._settings.named_callers
        for caller in callers or ("none",):
            allowed = callers[caller].vendors if callers else None
            if allowed is None or vendor in allowed:
                for limit in (*self.of_vendors[vendor], *self._of_callers.get(caller, ())):
                    yield limit.name, caller

    def keep(self) -> None:
        """This generation is in force: the store may forget the counters of limits that are gone."""
        owned = (*self.of_vendors.values(), *self._of_callers.values())
        self.store.keep([limit for limits in owned for limit in limits])

    async def look(self) -> dict[str, dict[str, Standing]]:
        """What is left of each limit that all callers share, by vendor and name."""
        shared = [(name, limit) for name, limits in self.of_vendors.items() for limit in limits if not limit.keyed]
        found: dict[str, dict[str, Standing]] = {name: {} for name in self.of_vendors}
        if shared:
            limits = tuple(limit for _, limit in shared)
            standings = await self.store.look(limits, tuple(limit.id for limit in limits), now())
            for (name, limit), standing in zip(shared, standings, strict=True):
                found[name][limit.name] = standing
        return found

    def holds(self) -> dict[str, list[Holding]]:
        """The holds that are on, by vendor."""
        by_vendor: dict[str, list[Holding]] = {name: [] for name in self.of_vendors}
        for holding in self.store.holds(now()):
            vendor = holding.key.split("/")[1]
            # A reload may have taken the vendor away.
            if vendor in by_vendor:
                by_vendor[vendor].append(holding)
        return by_vendor

    def note(self, gauges: LimitGauges) -> None:
        """Write when each vendor's latest hold ends, and how the store is, to the gauges."""
        moment = now()
        gauges.held_until(
            {
                name: max((moment.wall + each.held.until - moment.steady for each in holdings), default=0) / SECOND
                for name, holdings in self.holds().items()
            }
        )
        gauges.store(up=self.store.up, errors=self.store.errors)

    def note_standings(self, standings: Mapping[str, Mapping[str, Standing]], gauges: LimitGauges) -> None:
        """Write what `look` has found to the gauges."""
        gauges.standing(
            {
                (name, limit.name): (limit.rule.count, standings[name][limit.name][0])
                for name, limits in self.of_vendors.items()
                for limit in limits
                if not limit.keyed
            }
        )


def _divided(limits: Iterable[Limit], workers: int) -> tuple[Limit, ...]:
    return tuple(replace(limit, queue=-(-limit.queue // workers)) for limit in limits)
