"""
Pixii, product images.

Source: "Errors" in the API docs of pixii.ai, read 2026-11-21; paths and limits from the pages beside it.

    {"code": "...", "message": "...", "detail": "..." | null, "retry_after": 30}

The document is silent about a wrapper, yet public clients see {"success": false, "data": null, "error": {the same}}.
Both are read, and so are all three places that the pages give for a job's images.
"""

from ._codes import HouseCode as H
from ._vendor import ACCOUNT_REFUSED, KEY_REFUSED, Failure, FieldPlaces, Places, Route, Vendor, http, job

# Two lines a row: what it means here; what the vendor says.
# fmt: off
ROWS = (
    # API errors
    http(401, "UNAUTHORIZED", KEY_REFUSED,
         "Missing or invalid API key", "Check your API key is correct and has not been revoked"),
    http(400, "VALIDATION_ERROR", H.INVALID_REQUEST,
         "One or more request parameters are invalid", "Check the detail field for which parameters failed and why"),
    http(429, "RATE_LIMIT_MINUTE_EXCEEDED", H.VENDOR_RATE_LIMITED,
         "Too many requests in the current minute", "Wait the number of seconds in retry_after before retrying"),
    http(429, "RATE_LIMIT_DAY_EXCEEDED", H.QUOTA_EXHAUSTED,
         "Daily request limit reached", "Wait until tomorrow or check retry_after for exact reset time"),
    # Pixii answers 400; the house answers 402, whoever ran out of credits.
    http(400, "INSUFFICIENT_CREDITS", H.INSUFFICIENT_CREDITS,
         "Not enough credits to process this request", "Top up your credits from your dashboard"),
    http(422, "NO_ACTIVE_BRAND", ACCOUNT_REFUSED,
         "No active brand found for your organization",
         "Set up a brand in your Pixii dashboard before making API requests"),
    http(404, "JOB_NOT_FOUND", H.NOT_FOUND,
         "Job not found", "Check the job ID is correct and belongs to your organization"),
    http(500, "PROCESSING_ERROR", H.VENDOR_FAILED,
         "Unable to process the request", "Retry the request. Contact support if this persists"),
    http(500, "INTERNAL_ERROR", H.VENDOR_FAILED,
         "An unexpected error occurred", "Retry the request. Contact support if this persists"),
    http(503, "SERVICE_UNAVAILABLE", H.VENDOR_UNAVAILABLE,
         "Service is temporarily unavailable", "Wait a few minutes and retry"),

    # Job errors
    job("PRODUCT_FETCH_ERROR", H.UNPROCESSABLE_INPUT,
        "Unable to fetch product data for the given ASIN",
        "Verify the ASIN is correct and available on the target marketplace"),
    job("PRODUCT_NOT_AVAILABLE", H.UNPROCESSABLE_INPUT,
        "Product data is not available or invalid",
        "The ASIN exists but product data could not be retrieved — try a different ASIN"),
    job("PRODUCT_ANALYSIS_ERROR", H.WORK_FAILED,
        "Failed to analyze product data", "Retry the request. Contact support if this persists"),
    job("CONTENT_MODERATION_ERROR", H.CONTENT_REJECTED,
        "Content was flagged by moderation",
        "The product or images were flagged — try different images or contact support"),
    job("IMAGE_GENERATION_ERROR", H.WORK_FAILED,
        "Failed to generate one or more images",
        "Credits for failed images are automatically refunded. Retry the request"),
)
# fmt: on

PLACES = Places(
    code=("/error/code", "/code"),
    message=("/error/message", "/message"),
    retry_after=("/error/retry_after", "/retry_after"),
    # "Additional context about what went wrong": a sentence, a list or an object.
    errors=FieldPlaces(list=("/error/detail", "/detail")),
)

_JOB_CODE = ("/error_code", "/data/error_code")
_JOB_MESSAGE = ("/error/message", "/data/error/message", "/error", "/data/error", "/message")
_JOB_ID = ("/job_id", "/data/job_id", "/id", "/data/id")
JOB = (
    # One page has the reason of a failed job in `error_code`, another speaks of an `error` field.
    Failure(
        at=("/status", "/data/status"),
        equals=frozenset({"failed"}),
        code=(*_JOB_CODE, "/error/code", "/data/error/code"),
        message=_JOB_MESSAGE,
        id=_JOB_ID,
        done=frozenset({"completed"}),
    ),
    # The document: a top-level `error_code` "when an entire job fails" …
    Failure(code=_JOB_CODE, message=_JOB_MESSAGE),
    # … and a code per image "when an individual image fails inside an otherwise-completed job".
    Failure(
        items=("/output/ads", "/data/output/ads", "/ads"),
        code=("/error/code",),
        message=("/error/message",),
    ),
)

VENDOR = Vendor(
    name="pixii",
    title="Pixii",
    rows=ROWS,
    places=PLACES,
    routes=(
        Route("submit", frozenset({"POST"}), ("/v1/api/listing_builder", "/v1/api/a_plus", "/v1/api/scale")),
        Route("poll", frozenset({"GET"}), ("/v1/api/jobs/*",), JOB),
        Route("list", frozenset({"GET"}), ("/v1/api/jobs",)),
    ),
    credential_hint=("Authorization", "Bearer pk_live_…"),
    base_url="https://api.pixii.ai",
    source='"Errors" in the Pixii API docs, read 2026-11-21',
)
