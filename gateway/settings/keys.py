"""Which keys and models there are at a place of the settings, by the models' own annotations."""

from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

from pydantic import BaseModel

from .faults import KeyPath


def models_in(kind: object) -> Iterator[type[BaseModel]]:
    """Find the models that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inside in get_args(kind):
        yield from models_in(inside)


def keys_at(kind: object, path: KeyPath) -> frozenset[str]:
    """Tell the keys of the mapping at this path, by the models' own annotations."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return frozenset(kind.model_fields)
        field = kind.model_fields.get(str(path[0]))
        return keys_at(field.annotation, path[1:]) if field else frozenset()
    inside = get_args(kind)
    if path and get_origin(kind) is Mapping:
        return keys_at(inside[1], path[1:])
    if get_origin(kind) is tuple:
        # One mapping may stand for a list of one.
        return keys_at(inside[0], path[1:] if path and isinstance(path[0], int) else path)
    return frozenset[str]().union(*(keys_at(branch, path) for branch in inside))
