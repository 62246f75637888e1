"""
The settings file as JSON Schema 2020-12, for editors and other programs: every key, its sentence, its default.

It describes the values themselves: a number or a flag that is written as `${NAME}` is more than a schema can follow.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from .keys import models_in
from .models import Settings


def schema() -> dict[str, Any]:
    """Build the JSON Schema of a settings file; defaults are spelled as the file spells them."""
    document = Settings.model_json_schema()
    kinds: list[type[BaseModel]] = [Settings, *_models(Settings)]
    known = {kind.__name__: kind for kind in kinds}
    for node in (document, *document["$defs"].values()):
        _spell(node, known[node["title"]])
    return {"$schema": GenerateJsonSchema.schema_dialect} | document


def _models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Find every model below this one."""
    for field in kind.model_fields.values():
        for model in models_in(field.annotation):
            yield model
            yield from _models(model)


def _spell(node: Mapping[str, Any], kind: type[BaseModel]) -> None:
    """Write defaults in the words of the file, and leave out titles that repeat the key."""
    spelled = kind.model_construct().model_dump(mode="json")
    for key, child in node["properties"].items():
        child.pop("title", None)
        if "default" in child:
            # The defaults of a mapping stand at its keys.
            child["default"] = {} if isinstance(spelled[key], dict) else spelled[key]
