"""Whatever a settings file says, it is settings or faults."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import Settings, SettingsError, VendorSettings, loads, schema

KEYS = sorted({key for node in [schema(), *schema()["$defs"].values()] for key in node["properties"]})
PARAGRAPH = (
    "none open all pixii acme submit poll 5s 64KiB 10% https://a.example http://127.0.0.1:80/x POST GET /a/* "
    "/error/code conflict ${A} ${file:x} $${ 0.0.0.0 [::1]:80 memory redis://x UTC minute calendar generic off true"
)
WORDS = st.sampled_from([*PARAGRAPH.split(), "\ud800", "\0", "\0mapping", "\U0001f600"])
LEAVES = st.one_of(WORDS, st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=8))
TREES = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=4)), inside, max_size=6),
    ),
    max_leaves=20,
)
VENDORS = st.fixed_dictionaries(
    {"base_url": WORDS}, optional={key: TREES for key in VendorSettings.model_fields if key != "base_url"}
)
FILES = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(Settings.model_fields, TREES), "vendors": st.dictionaries(WORDS, VENDORS, max_size=2)}
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(FILES.map(json.dumps), st.text(), st.binary().map(lambda octets: octets.decode("latin-1"))))
def test_any_text_is_settings_or_faults(text: str) -> None:
    """Whatever a file says, it is settings or one-line faults that show no secret; nothing else is raised."""
    faults: list[str] = []
    try:
        loads(text, environ={"A": "canary"})
    except SettingsError as wrong:
        faults = wrong.faults or ["an error without a fault"]

    for line in faults:
        assert line.startswith("errgate.yaml:")
        assert line.isprintable()
        assert "canary" not in line
