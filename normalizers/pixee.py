"""
Pixee PIM, product information management.

Source: "Errors" in the API docs of pixeepim.com, read 2026-11-21; the second half of the table from the public docs of
what looks like its predecessor (same text, same keys). A code is optional here, and there are eight shapes:

    {"detail": "...", "error_code": "...", "timestamp": "..."}          the documented one
    {"detail": "...", "retry_after_seconds": 30}                        429
    {"detail": [{"loc": ["body", "ean"], "msg": "..."}]}                FastAPI's own; also with an object
    {"success": false, "data": null, "meta": {}, "errors": ["..."]}     /ext
    {"success": false, "code": 404, "message": "...", "data": null}     /windev, where `code` is a status
    {"error": "not_found", "message": "...", "details": {"ean": []}}    the predecessor, earlier
    {"error": {"code": 404, "error_code": "...", "message": "..."}}     the predecessor, later
"""

from dataclasses import replace
from functools import partial

from ._codes import HouseCode as H
from ._vendor import (
    ACCOUNT_REFUSED,
    KEY_REFUSED,
    RIGHT_MISSING,
    Failure,
    FieldPlaces,
    Places,
    Route,
    StatusRow,
    Vendor,
    http,
)

# No document pairs a code with a status.
coded = partial(http, None)

# A line a row, as on the vendor's page.
# fmt: off
ROWS = (
    # Common error codes. The predecessor had the same in lower case.
    coded("AUTHENTICATION_REQUIRED", KEY_REFUSED, "No credential provided"),
    coded("INVALID_API_KEY", KEY_REFUSED, "API key is invalid or revoked"),
    coded("PERMISSION_DENIED", RIGHT_MISSING, "Credential does not have access to this resource"),
    coded("NOT_FOUND", H.NOT_FOUND, "The requested resource does not exist"),
    coded("VALIDATION_ERROR", H.INVALID_REQUEST, "One or more fields failed validation"),
    coded("DUPLICATE_EAN", H.CONFLICT, "A product with this EAN already exists"),
    coded("RATE_LIMIT_EXCEEDED", H.VENDOR_RATE_LIMITED, "Too many requests — retry after the indicated delay"),
    coded("IMPORT_FAILED", H.UNPROCESSABLE_INPUT, "Import job encountered errors — check the error report"),
    # "try again later", but one more wrong login prolongs the lock.
    coded("ACCOUNT_LOCKED", ACCOUNT_REFUSED, "Too many failed login attempts — try again later"),

    # The predecessor's later codes
    coded("AUTH_TOKEN_MISSING", KEY_REFUSED, "Token absent"),
    coded("AUTH_TOKEN_EXPIRED", KEY_REFUSED, "Token expired"),
    coded("AUTH_TOKEN_INVALID", KEY_REFUSED, "Token invalid or malformed"),
    coded("PRODUCT_NOT_FOUND", H.NOT_FOUND, "Product not found"),
    coded("PRODUCT_ALREADY_EXISTS", H.CONFLICT, "Duplicate product (same EAN)"),
    coded("VALIDATION_FAILED", H.INVALID_REQUEST, "Field validation failed"),
    coded("VALIDATION_CONSTRAINT_VIOLATION", H.INVALID_REQUEST, "Business constraint violated"),
    coded("IMPORT_JOB_NOT_FOUND", H.NOT_FOUND, "Import job not found"),
    coded("IMPORT_FILE_INVALID_TYPE", H.UNPROCESSABLE_INPUT, "Unsupported file type"),
    coded("IMPORT_FILE_TOO_LARGE", H.PAYLOAD_TOO_LARGE, "File over the size limit"),
    coded("IMPORT_PARSE_FAILED", H.UNPROCESSABLE_INPUT, "File parse failure"),
    coded("IMPORT_MAPPING_INVALID", H.INVALID_REQUEST, "Invalid column mapping"),
    coded("IMPORT_PROCESSING_FAILED", H.WORK_FAILED, "Import processing failure"),
    coded("STORAGE_UPLOAD_FAILED", H.VENDOR_FAILED, "Object storage upload failed"),
    coded("STORAGE_DOWNLOAD_FAILED", H.VENDOR_FAILED, "Object storage download failed"),
    coded("MEDIA_UPLOAD_FAILED", H.VENDOR_FAILED, "Media upload failed"),
    coded("MEDIA_THUMBNAIL_FAILED", H.WORK_FAILED, "Thumbnail generation failed"),
    coded("CACHE_CONNECTION_FAILED", H.VENDOR_FAILED, "Redis connection failed"),
    coded("DATABASE_CONNECTION_FAILED", H.VENDOR_FAILED, "PostgreSQL connection failed"),
    coded("DATABASE_QUERY_FAILED", H.VENDOR_FAILED, "SQL query failed"),
    coded("DATABASE_TRANSACTION_FAILED", H.VENDOR_FAILED, "Transaction failed"),
)
# fmt: on

PLACES = Places(
    code=("/error_code", "/error/error_code", "/error"),
    message=("/detail", "/message", "/error/message", "/errors/0", "/detail/message"),
    # The predecessor put a sentence into `retry_after` and the number into the header.
    retry_after=("/retry_after_seconds", "/retry_after"),
    request_id=("/error/request_id",),
    errors=FieldPlaces(list=("/detail", "/errors", "/details", "/error/details")),
)

# `cancelled` is no failure; `ready` and `awaiting_mapping` wait for a person and never end by themselves.
WORK = Failure(
    at=("/status", "/data/status"),
    equals=frozenset({"failed"}),
    code=("/error_code",),
    id=("/id", "/data/id"),
    done=frozenset({"completed"}),
    partial=("/failed_rows", "/data/failed_rows"),
)
# What fails an import is the file.
IMPORT = replace(WORK, otherwise=H.UNPROCESSABLE_INPUT)


def _work(name: str, path: str, failure: Failure) -> tuple[Route, Route]:
    # The vendor's pages show a job both below the path itself and below its /jobs.
    paths = (path, f"{path}/*", f"{path}/jobs/*")
    return Route(name, frozenset({"POST"}), paths), Route(f"{name}_job", frozenset({"GET"}), paths, (failure,))


VENDOR = Vendor(
    name="pixee",
    title="Pixee PIM",
    rows=ROWS,
    places=PLACES,
    statuses={423: StatusRow(*ACCOUNT_REFUSED)},  # "Account locked after repeated failed login attempts"
    routes=(
        *_work("import", "/imports", IMPORT),
        *_work("export", "/exports", WORK),
        *_work("enrich", "/enrichments", WORK),
        # A lock of the account is one wrong login away.
        Route("auth", paths=("/auth/*",), refused=True),
    ),
    credential_hint=("X-API-Key", "pm_live_…"),
    base_url="https://api.pixeepim.com/api/v1",
    source='"Errors" in the Pixee PIM API docs, read 2026-11-21',
)
