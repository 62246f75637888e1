"""
Pixee PIM's errors, in all the shapes it is known to answer in.

From "Errors" in its API docs, from its External API and WinDev pages, and from the pages of its predecessor.

    main                {"detail", "error_code"?, "timestamp"}; its bare 429: {"detail", "retry_after_seconds"}
    fastapi             {"detail": "Not Found"}; a 422: {"detail": [{"type", "loc", "msg", "input"}]}
    fastapi-object      {"detail": {…}}
    ext                 {"success": false, "data": null, "meta": {…}, "errors": ["… (French)"]}
    windev              {"success": false, "code": 404, "message": "… (French)", "data": null, "count": 0}
    predecessor         {"error": "lower_case", "message", "details": {"field": ["…"]}}; its 429 has `retry_after`
    predecessor-prose   the 429 of another of its pages: `retry_after` is a sentence, the header holds the number
    predecessor-object  {"error": {"code": 404, "error_code", "type", "message", "details", "path", …}}

No page pairs codes with statuses; the pairs below are read off the two lists of the document.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.responses import Response

from . import bodies
from .catalogue import DocumentedError
from .simulator import Field, Refusal

# Seconds; the vendor's own sample says 60. This ends soon, so that nobody waits for a demo.
DELAY = 8

BAD_EAN = Field("ean", "This field is required.")

CODES = (
    ("AUTHENTICATION_REQUIRED", 401, "No credential provided"),
    ("INVALID_API_KEY", 401, "API key is invalid or revoked"),
    ("PERMISSION_DENIED", 403, "Credential does not have access to this resource"),
    ("NOT_FOUND", 404, "The requested resource does not exist"),
    ("VALIDATION_ERROR", 422, "One or more fields failed validation"),
    ("DUPLICATE_EAN", 409, "A product with this EAN already exists"),
    ("RATE_LIMIT_EXCEEDED", 429, "Too many requests — retry after the indicated delay"),
    ("IMPORT_FAILED", 422, "Import job encountered errors — check the error report"),
    ("ACCOUNT_LOCKED", 423, "Too many failed login attempts — try again later"),
)

# `error_code` is optional: the same statuses without one. The French is what /ext and /windev say.
STATUSES = (
    (400, "Invalid request parameters", "Paramètres de requête invalides."),
    (401, "Missing, invalid, or expired credential", "Clé API manquante ou invalide."),
    (403, "Insufficient scope or permissions", "Permissions insuffisantes pour cette opération."),
    (404, "Resource not found", "Produit avec EAN '3760000000001' introuvable."),
    (409, "Resource already exists (e.g. duplicate EAN)", "Un produit avec cet EAN existe déjà."),
    (422, "Validation error on request body", "Le champ 'ean' est obligatoire."),
    (423, "Account locked after repeated failed login attempts", "Compte verrouillé."),
    (429, "Rate limit exceeded", "Trop de requêtes, veuillez réessayer plus tard."),
    (500, "Unexpected server error", "Erreur interne du serveur."),
    (503, "Temporary outage or maintenance", "Service temporairement indisponible."),
)
FRENCH = {status: french for status, _, french in STATUSES}

PREDECESSOR = (
    ("authentication_required", 401, "No API key provided"),
    ("invalid_api_key", 401, "API key is invalid or revoked"),
    ("permission_denied", 403, "Key does not have access to this resource"),
    ("not_found", 404, "The requested resource does not exist"),
    ("validation_error", 422, "One or more fields failed validation"),
    ("duplicate_ean", 409, "A product with this EAN already exists"),
    ("rate_limit_exceeded", 429, "Too many requests. Please retry after the reset time."),
    ("import_failed", 422, "Import job encountered errors — check the error report"),
)

# Code, status, the page's "type", and what the code means.
PREDECESSOR_OBJECT = (
    ("AUTH_TOKEN_MISSING", 401, "authentication_error", "Token absent"),
    ("AUTH_TOKEN_EXPIRED", 401, "authentication_error", "Token expired"),
    ("AUTH_TOKEN_INVALID", 401, "authentication_error", "Token invalid or malformed"),
    ("PERMISSION_DENIED", 403, "authorization_error", "Insufficient permissions"),
    ("PRODUCT_NOT_FOUND", 404, "not_found", "Product not found"),
    ("PRODUCT_ALREADY_EXISTS", 409, "conflict", "Duplicate product (same EAN)"),
    ("VALIDATION_FAILED", 422, "validation_error", "Request validation failed"),
    ("VALIDATION_CONSTRAINT_VIOLATION", 400, "validation_error", "Business constraint violated"),
    ("IMPORT_JOB_NOT_FOUND", 404, "not_found", "Import job not found"),
    ("IMPORT_FILE_INVALID_TYPE", 400, "validation_error", "Unsupported file type"),
    ("IMPORT_FILE_TOO_LARGE", 413, "http_error", "File over the size limit"),
    ("IMPORT_PARSE_FAILED", 500, "internal_server_error", "File parse failure"),
    ("IMPORT_MAPPING_INVALID", 400, "validation_error", "Invalid column mapping"),
    ("IMPORT_PROCESSING_FAILED", 500, "internal_server_error", "Import processing failure"),
    ("STORAGE_UPLOAD_FAILED", 500, "internal_server_error", "Object storage upload failed"),
    ("STORAGE_DOWNLOAD_FAILED", 500, "internal_server_error", "Object storage download failed"),
    ("MEDIA_UPLOAD_FAILED", 500, "internal_server_error", "Media upload failed"),
    ("MEDIA_THUMBNAIL_FAILED", 500, "internal_server_error", "Thumbnail generation failed"),
    ("CACHE_CONNECTION_FAILED", 500, "internal_server_error", "Redis connection failed"),
    ("DATABASE_CONNECTION_FAILED", 500, "database_error", "PostgreSQL connection failed"),
    ("DATABASE_QUERY_FAILED", 500, "database_error", "SQL query failed"),
    ("DATABASE_TRANSACTION_FAILED", 500, "database_error", "Transaction failed"),
    ("RATE_LIMIT_EXCEEDED", 429, "rate_limit_exceeded", "Too many requests"),
)
TYPES = {code: kind for code, _, kind, _ in PREDECESSOR_OBJECT}

ERRORS = (
    *(DocumentedError(code, status, "main", "http", text) for code, status, text in CODES),
    *(DocumentedError(str(status), status, "main", "status", text) for status, text, _ in STATUSES),
    DocumentedError("404", 404, "fastapi", "status", "Not Found"),
    DocumentedError("422", 422, "fastapi", "status", "Validation error on request body"),
    DocumentedError("400", 400, "fastapi-object", "status", "Invalid request parameters"),
    *(DocumentedError(str(status), status, "ext", "status", french) for status, _, french in STATUSES),
    *(DocumentedError(str(status), status, "windev", "status", french) for status, _, french in STATUSES),
    *(DocumentedError(code, status, "predecessor", "http", text) for code, status, text in PREDECESSOR),
    DocumentedError(
        "rate_limit_exceeded", 429, "predecessor-prose", "http", "Too many requests. Please try again later."
    ),
    *(DocumentedError(code, st, "predecessor-object", "http", text) for code, st, _, text in PREDECESSOR_OBJECT),
    DocumentedError("failed", 200, "main", "state", "Aborted due to a critical error"),
)

# Ends of a job that are no errors: nobody maps them, and a gateway must let them pass.
ENDINGS = (
    DocumentedError("cancelled", 200, "main", "state", "Cancelled by the user"),
    DocumentedError("partial", 200, "main", "state", "Completed with failed rows"),
    DocumentedError("awaiting_mapping", 200, "main", "state", "Column mapping required before proceeding"),
    DocumentedError("ready", 200, "main", "state", "Ready to process"),
)

# FastAPI's own, for a path or method it does not know.
STRAY = {
    404: DocumentedError("404", 404, "fastapi", "status", "Not Found"),
    405: DocumentedError("405", 405, "fastapi", "status", "Method Not Allowed"),
}


def tell(refusal: Refusal) -> Response:
    """The refusal in its shape; a rate limit names its delay in the shape's own place, and in the reset header."""
    body = TELL[refusal.shape](refusal)
    headers = {}
    if refusal.status == 429:
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(refusal.asked.at) + DELAY)}
        if refusal.shape.startswith("predecessor"):
            headers["Retry-After"] = str(DELAY)
    if refusal.shape == "predecessor-object":
        headers["X-Request-ID"] = refusal.asked.request_id
    return bodies.answer(body, refusal.status, headers)


def _main(refusal: Refusal) -> dict[str, object]:
    limited = refusal.status == 429
    if refusal.error.kind == "status" and limited:
        return {"detail": refusal.message, "retry_after_seconds": DELAY}
    coded = refusal.error.kind != "status"
    return {
        "detail": refusal.field.wrong if refusal.field else refusal.message,
        **({"error_code": refusal.error.code} if coded else {}),
        "timestamp": moment(refusal.asked.at),
        **({"retry_after_seconds": DELAY} if limited else {}),
    }


def _fastapi(refusal: Refusal) -> dict[str, object]:
    if refusal.status != 422:
        return {"detail": refusal.message}
    field = refusal.field or BAD_EAN
    return {"detail": [{"type": "missing", "loc": ["body", field.name], "msg": field.wrong, "input": {}}]}


def _fastapi_object(refusal: Refusal) -> dict[str, object]:
    return {"detail": {"message": refusal.message, "status": refusal.status}}


def _ext(refusal: Refusal) -> dict[str, object]:
    meta = {"total": 0, "page": 1, "page_size": 0, "updated_at": moment(refusal.asked.at)}
    return {"success": False, "data": None, "meta": meta, "errors": [FRENCH.get(refusal.status, refusal.message)]}


def _windev(refusal: Refusal) -> dict[str, object]:
    message = FRENCH.get(refusal.status, refusal.message)
    return {"success": False, "code": refusal.status, "message": message, "data": None, "count": 0}


def _predecessor(refusal: Refusal) -> dict[str, object]:
    body: dict[str, object] = {"error": refusal.error.code, "message": refusal.message}
    if refusal.status == 429:
        return {**body, "retry_after": DELAY}
    if refusal.status == 422:
        body["details"] = {BAD_EAN.name: [BAD_EAN.wrong]}
    return body


def _predecessor_prose(refusal: Refusal) -> dict[str, object]:
    prose = {"retry_after": "Please wait before making more requests", "detail": "1 per 1 minute"}
    return {"error": refusal.error.code, "message": refusal.message, **prose}


def _predecessor_object(refusal: Refusal) -> dict[str, object]:
    wrong = {"field": f"body.{BAD_EAN.name}", "message": BAD_EAN.wrong, "type": "value_error.missing"}
    error = {
        "code": refusal.status,
        "error_code": refusal.error.code,
        "type": TYPES.get(refusal.error.code, "http_error"),
        "message": refusal.message,
        "details": [wrong] if refusal.status == 422 else None,
        "path": refusal.asked.path,
        "request_id": refusal.asked.request_id,
        "timestamp": moment(refusal.asked.at),
    }
    return {"error": error}


TELL: dict[str, Callable[[Refusal], dict[str, object]]] = {
    "main": _main,
    "fastapi": _fastapi,
    "fastapi-object": _fastapi_object,
    "ext": _ext,
    "windev": _windev,
    "predecessor": _predecessor,
    "predecessor-prose": _predecessor_prose,
    "predecessor-object": _predecessor_object,
}
SHAPES = tuple(TELL)


def moment(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
