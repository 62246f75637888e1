"""
Pixii's errors, word for word from "Errors" in its API docs, and the two shapes they are seen in.

    flat      {"code", "message", "detail": string | null, "retry_after"?}         the document
    wrapped   {"success": false, "data": null, "error": {…the same…}}              the only public client
    image, wrapped-image      a job failure of one image in a job that completed, flat or wrapped
"""

from starlette.responses import Response

from . import bodies
from .catalogue import DocumentedError
from .simulator import Field, Refusal

SHAPES = ("flat", "wrapped", "image", "wrapped-image")

# Returned in the top-level error envelope on a non-2xx HTTP response.
API_ERRORS = (
    ("UNAUTHORIZED", 401, "Missing or invalid API key"),
    ("VALIDATION_ERROR", 400, "One or more request parameters are invalid"),
    ("RATE_LIMIT_MINUTE_EXCEEDED", 429, "Too many requests in the current minute"),
    ("RATE_LIMIT_DAY_EXCEEDED", 429, "Daily request limit reached"),
    ("INSUFFICIENT_CREDITS", 400, "Not enough credits to process this request"),
    ("NO_ACTIVE_BRAND", 422, "No active brand found for your organization"),
    ("JOB_NOT_FOUND", 404, "Job not found"),
    ("PROCESSING_ERROR", 500, "Unable to process the request"),
    ("INTERNAL_ERROR", 500, "An unexpected error occurred"),
    ("SERVICE_UNAVAILABLE", 503, "Service is temporarily unavailable"),
)

# Returned inside a successful (200) job payload; they have no HTTP status.
JOB_ERRORS = (
    ("PRODUCT_FETCH_ERROR", "Unable to fetch product data for the given ASIN"),
    ("PRODUCT_NOT_AVAILABLE", "Product data is not available or invalid"),
    ("PRODUCT_ANALYSIS_ERROR", "Failed to analyze product data"),
    ("CONTENT_MODERATION_ERROR", "Content was flagged by moderation"),
    ("IMAGE_GENERATION_ERROR", "Failed to generate one or more images"),
)

ERRORS = (
    *(DocumentedError(code, status, "flat", "http", text) for code, status, text in API_ERRORS),
    *(DocumentedError(code, status, "wrapped", "http", text) for code, status, text in API_ERRORS),
    *(DocumentedError(code, 200, shape, "job", text) for shape in SHAPES for code, text in JOB_ERRORS),
    # The asynchronous-jobs page lets a job fail without naming an error code.
    *(DocumentedError("failed", 200, shape, "state", "Job failed") for shape in ("flat", "wrapped")),
)

# The document gives these statuses no code; what a path or method that it does not know gets is a guess.
STRAY = {
    404: DocumentedError("NOT_FOUND", 404, "flat", "http", "Resource not found"),
    405: DocumentedError("METHOD_NOT_ALLOWED", 405, "flat", "http", "Method not allowed"),
}

BAD_ASIN = Field("asin", "missing or not 5 to 15 characters")

# "Present on validation errors and rate limit errors"; null elsewhere.
DETAILS = {
    "VALIDATION_ERROR": str(BAD_ASIN),
    "RATE_LIMIT_MINUTE_EXCEEDED": "Limit: 10 requests per minute",
    "RATE_LIMIT_DAY_EXCEEDED": "Limit: 500 requests per day",
}

# Seconds. The vendor's may be a minute or most of a day; these end soon, so that nobody waits for a demo.
DELAYS = {"RATE_LIMIT_MINUTE_EXCEEDED": 7, "RATE_LIMIT_DAY_EXCEEDED": 10}

# What is left of each window when it is the one that refused.
SPENT = {
    "RATE_LIMIT_MINUTE_EXCEEDED": "X-RateLimit-Remaining-Minute",
    "RATE_LIMIT_DAY_EXCEEDED": "X-RateLimit-Remaining-Day",
}


def tell(refusal: Refusal) -> Response:
    """The refusal, flat or wrapped; a rate limit names its delay in the body and in `Retry-After`."""
    code = refusal.error.code
    detail = DETAILS.get(code)
    error: dict[str, object] = {"code": code, "message": refusal.message, "detail": detail}
    headers = {}
    if code in DELAYS:
        error["retry_after"] = DELAYS[code]
        headers = {"Retry-After": str(DELAYS[code]), SPENT[code]: "0"}
    wrapped = {"success": False, "data": None, "error": error}
    return bodies.answer(wrapped if is_wrapped(refusal.shape) else error, refusal.status, headers)


def is_wrapped(shape: str | None) -> bool:
    """Whether this shape wraps its payload."""
    return shape in {"wrapped", "wrapped-image"}
