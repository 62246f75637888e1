"""How much a run of the tests may cost: `ERRGATE_LONG=1` is the long run (tests/conftest.py)."""

import os

LONG = os.environ.get("ERRGATE_LONG") == "1"
