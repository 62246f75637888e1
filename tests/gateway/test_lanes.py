"""One generation of the settings and the next."""

from gateway.lanes import Runtime
from gateway.metrics import Metrics
from gateway.settings import loads

ONE = "vendors: {acme: {base_url: 'http://127.0.0.1:9'}}\n"
OTHER = "vendors: {acme: {base_url: 'http://127.0.0.1:10'}}\n"


def test_requests_are_bounded_over_generations() -> None:
    """Requests that run on old settings count beside those that run on new ones (W-097)."""
    old = Runtime(loads(ONE), Metrics("1"))
    old.enter()
    new = old.following(loads(OTHER))
    new.enter()

    assert (old.in_flight, new.in_flight, new.gateway.in_flight) == (1, 1, 2)
    new.leave()
    assert old.gateway.in_flight == 1


def test_connections_live_on_where_dialling_is_the_same() -> None:
    """A reload that does not change how a vendor is dialled keeps its connections."""
    old = Runtime(loads(ONE), Metrics("1"))

    assert old.following(loads(ONE)).lanes["acme"].upstream is old.lanes["acme"].upstream
    assert old.following(loads(OTHER)).lanes["acme"].upstream is not old.lanes["acme"].upstream
