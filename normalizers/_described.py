"""A vendor from a mapping in the settings."""

from collections.abc import Mapping

from ._vendor import Vendor


def describe(name: str, mapping: Mapping[str, object], base: Vendor | None = None) -> Vendor:
    raise NotImplementedError
