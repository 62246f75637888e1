"""
Where a vendor's table and the vendor have drifted apart: codes that no row has, rows whose code never came.

An unknown code comes with a line for the settings, which takes it as what it is answered as already: a person reads it,
puts a better house code where there is one, and pastes it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.settings import Settings, VendorSettings
from normalizers import Vendor

from .totals import Totals


def drift(
    settings: Settings, totals: Mapping[str, Totals], unknown: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """
    Each vendor's drift.

    Args:
        settings: those in force.
        totals: what was counted of each vendor since the start.
        unknown: the codes that are in no table, of all processes.
    """
    found = []
    for name, vendor in settings.vendors.items():
        strange = [code for code in _together(unknown) if code["vendor"] == name]
        below, lines = snippet(name, vendor, strange) if strange else (None, None)
        found.append(
            {
                "vendor": name,
                "title": vendor.vendor.title,
                "unknown": strange,
                "below": below,
                "snippet": lines,
                "silent": _silent(vendor.vendor, totals.get(name)),
                "known": len(vendor.vendor.rows),
            }
        )
    return found


def _together(unknown: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What several workers saw of one code, as one."""
    seen: dict[tuple[str, str, str], dict[str, Any]] = {}
    for code in unknown:
        key = (code["vendor"], code["kind"], code["code"])
        before = seen.get(key)
        if before is None:
            seen[key] = dict(code)
            continue
        newer = max(before, code, key=lambda one: one["last_at"])
        seen[key] = {
            **newer,
            "count": before["count"] + code["count"],
            "first_at": min(before["first_at"], code["first_at"]),
        }
    return sorted(seen.values(), key=lambda code: -code["last_at"])


def snippet(name: str, vendor: VendorSettings, unknown: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Below which key of the settings to paste so that the table knows these codes, and what."""
    rows = [f"{json.dumps(code['code'])}: {_meaning(code)}" for code in unknown]
    codes = f"codes: {{{', '.join(rows)}}}"
    described = vendor.normalizer
    if described is None or isinstance(described, str):
        return f"vendors.{name}", f"normalizer: {{extends: {described or name}, {codes}}}"
    if described.codes:
        return f"vendors.{name}.normalizer.codes", "\n".join(rows)
    return f"vendors.{name}.normalizer", codes


def _meaning(code: Mapping[str, Any]) -> str:
    house = str(code["house_code"])
    return house if code["kind"] == "http" else f"{{house: {house}, kind: {code['kind']}}}"


def _silent(vendor: Vendor, totals: Totals | None) -> list[dict[str, Any]]:
    """The rows of a vendor whose code never came since the start; a code that is spelled in two rows is one."""
    silent = []
    for row in vendor.rows:
        counted = vendor.row(row.code) or row
        if counted is row and not (totals and totals.table[row.kind, row.code]):
            silent.append(
                {"code": row.code, "kind": row.kind, "house_code": row.house.code, "description": row.description}
            )
    return silent
