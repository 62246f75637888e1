"""How the four vendors are set up in the tests, and the bodies in which they say an error; from their documents."""

from collections.abc import Callable, Mapping
from typing import Any

Body = dict[str, Any]

# The credential that the gateway holds for each vendor: header, value, and the secret in it. All made up.
SECRETS = {
    "pixii": "pk_live_9ZrT4uQx7Lm2Vb8N",
    "pixee": "pm_live_5HdY1kWc3Sf6Jp0R",
    "apixo": "axo-8Kq2Xn7Tz4Bd9Mw1",
    "pikzels": "pkz_3Gv6Re1Uj8Yc5Fa0",
}
CREDENTIALS = {
    "pixii": {"header": "Authorization", "value": f"Bearer {SECRETS['pixii']}"},
    "pixee": {"header": "X-API-Key", "value": SECRETS["pixee"]},
    "apixo": {"header": "Authorization", "value": f"Bearer {SECRETS['apixo']}"},
    "pikzels": {"header": "X-Api-Key", "value": SECRETS["pikzels"]},
}

SAID = "What the vendor has to say about it"

# Every shape in which a vendor's documents, old and new, put a code.
SHAPES: Mapping[str, Mapping[str, Callable[[str], Body]]] = {
    "pixii": {
        "flat": lambda code: {"code": code, "message": SAID, "detail": None},
        "wrapped": lambda code: {"success": False, "data": None, "error": {"code": code, "message": SAID}},
    },
    "pixee": {
        "current": lambda code: {"detail": SAID, "error_code": code, "timestamp": "2026-05-14T10:30:00Z"},
        "older": lambda code: {"error": code, "message": SAID, "details": {}},
        "predecessor": lambda code: {"error": {"code": 500, "error_code": code, "type": "Error", "message": SAID}},
    },
    "pikzels": {
        "current": lambda code: {"error": {"code": code, "message": SAID}, "request_id": "18b2ad5e-2a9e-4d3f-b9a8"},
        "older": lambda code: {"error": {"code": code, "message": SAID}},
        "escaped": lambda code: {"error": {"code": code.replace("_", "\\_"), "message": SAID}},
    },
}


def both_ways(url: str, **options: object) -> dict[str, Body]:
    """Each vendor twice: with a credential of ours, and as `<name>_own` with the caller's."""
    vendors: dict[str, Body] = {}
    for name, credential in CREDENTIALS.items():
        common = {"base_url": f"{url}/{name}", "normalizer": name, **options}
        vendors[name] = {**common, "credential": credential}
        vendors[f"{name}_own"] = {**common, "credential": "passthrough"}
    return vendors


def failed_job(vendor: str, code: str | None) -> Body:
    """A finished job that failed with that code, as the vendor's poll route answers it."""
    if vendor == "pixii":
        return {"job_id": "job-1", "status": "failed", "error_code": code, "output": None}
    return {
        "code": 200,
        "message": "success",
        "data": {"taskId": "job-1", "state": "failed", "failCode": code, "failMsg": SAID, "resultJson": ""},
    }


POLL = {"pixii": "/v1/api/jobs/job-1", "apixo": "/statusTask/kling?taskId=job-1"}
FAILED_AT = {"pixii": "/error_code", "apixo": "/data/failCode"}
