"""The JSON Schema of the settings file: valid, described, and as strict as a schema can be."""

import json

import pytest
from jsonschema import Draft202012Validator

from gateway.settings import Settings, SettingsError, VendorSettings, loads, schema
from gateway.settings.keys import models_in
from gateway.settings.shape import STAND_INS


def test_schema_is_one() -> None:
    """The schema is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(schema())

    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_has_its_sentence() -> None:
    """Every key of every mapping is described, as a sentence."""
    nodes = [schema(), *schema()["$defs"].values()]

    undescribed = [
        f"{node['title']}.{key}"
        for node in nodes
        for key, child in node["properties"].items()
        if not child.get("description", "").endswith(".")
    ]

    assert undescribed == []


@pytest.mark.parametrize(
    "document",
    [
        {"srver": {}},
        {"vendors": {"acme": {}}},
        {"vendors": {"-": {"base_url": "https://a.example"}}},
        {"vendors": {"acme": {"base_url": "https://a.example", "timeouts": {"idle": 5}}}},
        {"callers": "everyone"},
        {"server": {"port": 70000}},
    ],
)
def test_schema_refuses(document: dict[str, object]) -> None:
    """What the schema can tell, it refuses as `load` does."""
    assert not Draft202012Validator(schema()).is_valid(document)
    with pytest.raises(SettingsError):
        loads(json.dumps(document))


def test_every_required_key_has_a_stand_in() -> None:
    """A required key that is missing never hides the faults beside it."""
    nodes = [schema(), *schema()["$defs"].values()]

    assert {key for node in nodes for key in node.get("required", ())} <= STAND_INS.keys()
    assert VendorSettings in models_in(Settings.model_fields["vendors"].annotation)
