r"""
Pikzels, thumbnails and titles.

Source: "Errors" in the API docs of pikzels.com, the current page and the one before it, both read 2026-11-21, and the
public docs of v1. All generations come from one host, so there is one table.

    {"error": {"code": "...", "message": "...", "details": [...]}, "request_id": "..."}

`details` was a sentence in v1. The page escapes its underscores (VALIDATION\_ERROR), and so may an answer.
"""

from ._codes import HouseCode as H
from ._vendor import ACCOUNT_REFUSED, KEY_REFUSED, Failure, FieldPlaces, Places, Route, Vendor, http

# A line a row, as on the vendor's page.
# fmt: off
ROWS = (
    # The current page
    http(400, "VALIDATION_ERROR", H.INVALID_REQUEST, "Request payload failed validation"),
    http(400, "INVALID_PERSONA", H.INVALID_REQUEST, "Persona id is not a valid UUID"),
    http(400, "INVALID_STYLE", H.INVALID_REQUEST, "Style id is not a valid UUID"),
    http(400, "INVALID_AMOUNT", H.INVALID_REQUEST, "Amount is invalid or negative"),
    http(400, "CONTENT_POLICY", H.CONTENT_REJECTED, "Request blocked by content policy"),
    http(400, "CANNOT_DELETE_PROCESSING", H.CONFLICT, "Attempted to delete a persona or style while processing"),
    http(400, "SUPPORT_IMAGE_NOT_SUPPORTED", H.INVALID_REQUEST,
         "Support image is not available on the selected model"),
    http(413, "IMAGE_TOO_LARGE", H.PAYLOAD_TOO_LARGE, "Input image exceeds the 10 MB size limit"),
    http(401, "MISSING_API_KEY", KEY_REFUSED, "Missing X-Api-Key header"),
    http(401, "INVALID_API_KEY_FORMAT", KEY_REFUSED, "API key does not start with pkz_"),
    http(401, "INVALID_API_KEY", KEY_REFUSED, "API key is unknown"),
    http(401, "API_KEY_INACTIVE", KEY_REFUSED, "API key is disabled"),
    http(401, "API_KEY_DELETED", KEY_REFUSED, "API key was deleted"),
    http(402, "INSUFFICIENT_CREDITS", H.INSUFFICIENT_CREDITS,
         "API balance is too low for the requested operation, or Smart Balance is enabled but the configured top-up "
         "cannot cover this request"),
    http(402, "SMART_BALANCE_PAYMENT_FAILED", H.INSUFFICIENT_CREDITS,
         "Smart Balance is paused because the automatic top-up payment could not be processed"),
    http(403, "API_ACCESS_NOT_ENABLED", ACCOUNT_REFUSED, "Account does not have API access"),
    http(403, "ACCOUNT_SUSPENDED", ACCOUNT_REFUSED, "Account is suspended"),
    http(404, "NOT_FOUND", H.NOT_FOUND, "Requested resource or route was not found"),
    http(409, "NAME_RESERVED", H.CONFLICT, "Persona or style name is reserved"),
    http(409, "NAME_ALREADY_EXISTS", H.CONFLICT, "Persona or style name already in use"),
    http(409, "CONFLICT", H.CONFLICT, "Request conflicts with existing state"),
    http(422, "GENERATION_REJECTED", H.CONTENT_REJECTED, "Request could not be processed"),
    http(499, "CANCELLED", H.CANCELLED, "Generation was cancelled"),
    http(500, "GENERATION_FAILED", H.WORK_FAILED, "Generation request failed"),
    # 500 on the page before; by its text the caller's either way.
    http(400, "INVALID_IMAGE", H.UNPROCESSABLE_INPUT, "Image URL/body is invalid or not an accessible image"),
    http(500, "INTERNAL_ERROR", H.VENDOR_FAILED, "Unexpected server error"),
    http(503, "SERVICE_UNDER_MAINTENANCE", H.VENDOR_UNAVAILABLE, "Service maintenance window is active"),
    http(504, "GENERATION_TIMEOUT", H.VENDOR_TIMEOUT, "Generation request exceeded timeout"),
    http(504, "SCORING_TIMEOUT", H.VENDOR_TIMEOUT, "Thumbnail scoring exceeded timeout"),
    http(504, "TITLE_TIMEOUT", H.VENDOR_TIMEOUT, "Title generation exceeded timeout"),
    http(429, "TOO_MANY_REQUESTS", H.VENDOR_RATE_LIMITED, "Rate limit exceeded"),

    # The page before, as far as it has more
    http(400, "MISSING_IMAGE_URL", H.INVALID_REQUEST, "Missing source image for an image-based thumbnail request"),
    http(400, "MISSING_TARGET_IMAGE", H.INVALID_REQUEST, "Missing target image for faceswap"),
    http(400, "MISSING_FACE_REFERENCE", H.INVALID_REQUEST, "Missing face reference image for faceswap"),
    # A 404 about the account, not about a resource.
    http(404, "API_USER_NOT_FOUND", ACCOUNT_REFUSED, "API user record is missing (API access setup issue)"),
    http(500, "CONFIGURATION_ERROR", H.VENDOR_FAILED, "Missing or invalid service configuration variable"),
    http(500, "CONFIG_ERROR", H.VENDOR_FAILED, "FAL webhook configuration is incomplete"),
    http(500, "INVALID_MODEL", H.VENDOR_FAILED, "No configured generation model for the requested route/model"),
    # "an input or generated image": callers are not blamed without proof.
    http(500, "DOWNLOAD_FAILED", H.WORK_FAILED, "Failed to download an input or generated image"),
    http(500, "UPLOAD_FAILED", H.WORK_FAILED, "Failed to upload generated output to storage"),
    http(500, "DELETE_FAILED", H.VENDOR_FAILED, "Failed to delete generated storage artifacts"),
    http(500, "OUTPAINT_FAILED", H.WORK_FAILED, "Failed while enlarging image with AI outpainting"),
    http(500, "TITLE_GENERATION_ERROR", H.WORK_FAILED, "Title generation model failed"),
    http(500, "PARSE_ERROR", H.WORK_FAILED, "Could not parse title model response"),
    http(500, "FAL_ERROR", H.WORK_FAILED, "FAL generation/webhook processing failed"),
    http(504, "FAL_TIMEOUT", H.VENDOR_TIMEOUT, "FAL generation request exceeded timeout"),

    # v1
    http(400, "BAD_REQUEST", H.INVALID_REQUEST, "Invalid or missing fields"),
    http(400, "CONTENT_POLICY_VIOLATION", H.CONTENT_REJECTED, "Request violates content policy"),
    http(401, "INVALID_AUTH_HEADER", KEY_REFUSED, "Invalid API Key"),
    http(402, "INSUFFICIENT_BALANCE", H.INSUFFICIENT_CREDITS, "Not enough credits"),
    http(429, "CONCURRENT_LIMIT_EXCEEDED", H.VENDOR_RATE_LIMITED, "Too many concurrent requests"),
    http(503, "MAINTENANCE_ACTIVE", H.VENDOR_UNAVAILABLE, "Under maintenance"),
    http(400, "INVALID_TRAINING_DATA", H.UNPROCESSABLE_INPUT, "Corrupted zip, wrong format, or inaccessible URL"),
    http(400, "INVALID_ORIGINAL_IMAGE", H.UNPROCESSABLE_INPUT,
         "Target image is missing, corrupted, or contains no face"),
    http(400, "INVALID_FACE_IMAGE", H.UNPROCESSABLE_INPUT,
         "Source face image is missing, corrupted, or contains no face"),
    # Between v1's name for it and today's.
    http(429, "RATE_LIMITED", H.VENDOR_RATE_LIMITED, "Too many concurrent requests"),
)
# fmt: on

PLACES = Places(
    code=("/error/code",),
    message=("/error/message", "/error"),
    request_id=("/request_id",),
    errors=FieldPlaces(list=("/error/details",)),
)

# A persona or style that failed says no more than that; should it, then where errors do.
TRAINING = Failure(
    at=("/status", "/data/status"),
    equals=frozenset({"failed"}),
    code=PLACES.code,
    message=PLACES.message,
    id=("/id", "/data/id"),
    done=frozenset({"completed"}),
)

VENDOR = Vendor(
    name="pikzels",
    title="Pikzels",
    rows=ROWS,
    places=PLACES,
    routes=(
        # Thumbnails and titles hold the connection until they are made. Pikzels gives up first and says so by a code;
        # a shorter deadline of ours would lose that, and may pay for a result that nobody gets.
        Route(
            "generate",
            frozenset({"POST"}),
            ("/v1/*", "/v2/thumbnail/*", "/v2/title/*"),
            timeouts={"first_byte": 300.0, "total": 300.0},
        ),
        Route("train", frozenset({"POST"}), ("/v2/pikzonality/*",)),
        Route("persona", frozenset({"GET"}), ("/v2/pikzonality/*", "/v1/persona", "/v1/style"), (TRAINING,)),
    ),
    credential_hint=("X-Api-Key", "pkz_…"),
    base_url="https://api.pikzels.com",
    source='"Errors" in the Pikzels API docs, the current page and the one before, read 2026-11-21',
)
