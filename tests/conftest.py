"""
What every test shares: the budgets of the property tests.

`ERRGATE_LONG=1` is the long run, 20,000 examples a property; without it a few hundred, so that `make test` stays short.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    max_examples=300,
    # A loaded machine is no finding; slow examples are measured in the long run.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # On a build machine the same commit gives the same verdict; new examples are looked for elsewhere.
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.register_profile("long", settings.get_profile("default"), max_examples=20_000, derandomize=False)
settings.load_profile("long" if os.environ.get("ERRGATE_LONG") == "1" else "default")
