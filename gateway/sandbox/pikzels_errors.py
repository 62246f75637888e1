"""
Pikzels' errors: two generations of its "Errors" page, and the codes of its v1 pages. All come from one host.

    current           {"error": {"code", "message", "details"?: ["…"]}, "request_id"}, and `X-Request-Id`
    current-objects   the same, its `details` a list of {"field", "message"}; the page does not show an item
    current-locs      the same, a list of {"loc", "msg"}
    older             {"error": {"code", "message"}}
    v1                {"error": {"code", "message", "details": "a sentence"}}
"""

from starlette.responses import Response

from . import bodies
from .catalogue import DocumentedError
from .simulator import Field, Refusal

SHAPES = ("current", "current-objects", "current-locs", "older", "v1")
# Without a request id, in body or header.
OLD_SHAPES = ("older", "v1")

CURRENT = (
    ("VALIDATION_ERROR", 400, "Request payload failed validation"),
    ("INVALID_PERSONA", 400, "Persona id is not a valid UUID"),
    ("INVALID_STYLE", 400, "Style id is not a valid UUID"),
    ("INVALID_AMOUNT", 400, "Amount is invalid or negative"),
    ("CONTENT_POLICY", 400, "Request blocked by content policy"),
    ("CANNOT_DELETE_PROCESSING", 400, "Attempted to delete a persona or style while processing"),
    ("SUPPORT_IMAGE_NOT_SUPPORTED", 400, "Support image is not available on the selected model"),
    ("IMAGE_TOO_LARGE", 413, "Input image exceeds the 10 MB size limit"),
    ("MISSING_API_KEY", 401, "Missing X-Api-Key header"),
    ("INVALID_API_KEY_FORMAT", 401, "API key does not start with pkz_"),
    ("INVALID_API_KEY", 401, "API key is unknown"),
    ("API_KEY_INACTIVE", 401, "API key is disabled"),
    ("API_KEY_DELETED", 401, "API key was deleted"),
    ("INSUFFICIENT_CREDITS", 402, "API balance is too low for the requested operation"),
    ("SMART_BALANCE_PAYMENT_FAILED", 402, "Smart Balance is paused: the automatic top-up payment failed"),
    ("API_ACCESS_NOT_ENABLED", 403, "Account does not have API access"),
    ("ACCOUNT_SUSPENDED", 403, "Account is suspended"),
    ("NOT_FOUND", 404, "Requested resource or route was not found"),
    ("NAME_RESERVED", 409, "Persona or style name is reserved"),
    ("NAME_ALREADY_EXISTS", 409, "Persona or style name already in use"),
    ("CONFLICT", 409, "Request conflicts with existing state"),
    ("GENERATION_REJECTED", 422, "Request could not be processed"),
    ("CANCELLED", 499, "Generation was cancelled"),
    ("GENERATION_FAILED", 500, "Generation request failed"),
    ("INVALID_IMAGE", 400, "Image URL/body is invalid or not an accessible image"),
    ("INTERNAL_ERROR", 500, "Unexpected server error"),
    ("SERVICE_UNDER_MAINTENANCE", 503, "Service maintenance window is active"),
    ("GENERATION_TIMEOUT", 504, "Generation request exceeded timeout"),
    ("SCORING_TIMEOUT", 504, "Thumbnail scoring exceeded timeout"),
    ("TITLE_TIMEOUT", 504, "Title generation exceeded timeout"),
    ("TOO_MANY_REQUESTS", 429, "Too many requests. Please try again later."),
)

OLDER = (
    ("VALIDATION_ERROR", 400, "Request payload failed validation"),
    ("INVALID_PERSONA", 400, "Persona id is not a valid UUID"),
    ("INVALID_STYLE", 400, "Style id is not a valid UUID"),
    ("INVALID_AMOUNT", 400, "Credit amount is invalid or negative"),
    ("MISSING_IMAGE_URL", 400, "Missing source image for an image-based thumbnail request"),
    ("MISSING_TARGET_IMAGE", 400, "Missing target image for faceswap"),
    ("MISSING_FACE_REFERENCE", 400, "Missing face reference image for faceswap"),
    ("CONTENT_POLICY", 400, "Request blocked by content policy"),
    ("CANNOT_DELETE_PROCESSING", 400, "Attempted to delete a pikzonality while processing"),
    ("MISSING_API_KEY", 401, "Missing X-Api-Key header"),
    ("INVALID_API_KEY_FORMAT", 401, "API key does not start with pkz_"),
    ("INVALID_API_KEY", 401, "API key is unknown"),
    ("API_KEY_INACTIVE", 401, "API key is disabled"),
    ("API_KEY_DELETED", 401, "API key was deleted"),
    ("INSUFFICIENT_CREDITS", 402, "Balance is too low for requested operation"),
    ("API_ACCESS_NOT_ENABLED", 403, "Account does not have API access"),
    ("NOT_FOUND", 404, "Requested pikzonality does not exist"),
    ("API_USER_NOT_FOUND", 404, "API user record is missing (API access setup issue)"),
    ("NAME_RESERVED", 409, "Pikzonality name is reserved"),
    ("NAME_ALREADY_EXISTS", 409, "Pikzonality name already in use"),
    ("CANCELLED", 499, "Upstream generation was cancelled"),
    ("GENERATION_FAILED", 500, "Upstream generation/scoring/title failure"),
    ("CONFIGURATION_ERROR", 500, "Missing or invalid service configuration variable"),
    ("CONFIG_ERROR", 500, "FAL webhook configuration is incomplete"),
    ("INVALID_MODEL", 500, "No configured generation model for the requested route/model"),
    ("INVALID_IMAGE", 500, "Image URL/body is invalid or not an accessible image"),
    ("DOWNLOAD_FAILED", 500, "Failed to download an input or generated image"),
    ("UPLOAD_FAILED", 500, "Failed to upload generated output to storage"),
    ("DELETE_FAILED", 500, "Failed to delete generated storage artifacts"),
    ("OUTPAINT_FAILED", 500, "Failed while enlarging image with AI outpainting"),
    ("TITLE_GENERATION_ERROR", 500, "Title generation model failed"),
    ("PARSE_ERROR", 500, "Could not parse title model response"),
    ("FAL_ERROR", 500, "FAL generation/webhook processing failed"),
    ("SERVICE_UNDER_MAINTENANCE", 503, "Service maintenance window is active"),
    ("GENERATION_TIMEOUT", 504, "Thumbnail generation exceeded timeout"),
    ("SCORING_TIMEOUT", 504, "Thumbnail scoring exceeded timeout"),
    ("TITLE_TIMEOUT", 504, "Title generation exceeded timeout"),
    ("FAL_TIMEOUT", 504, "FAL generation request exceeded timeout"),
    # Not on that page, but on the rate-limits page of its time.
    ("RATE_LIMITED", 429, "Too many concurrent requests"),
)

V1 = (
    ("BAD_REQUEST", 400, "Invalid or missing fields"),
    ("CONTENT_POLICY_VIOLATION", 400, "Request violates content policy"),
    ("INVALID_AUTH_HEADER", 401, "Invalid API Key"),
    ("INSUFFICIENT_BALANCE", 402, "Not enough credits"),
    ("CONCURRENT_LIMIT_EXCEEDED", 429, "Too many concurrent requests"),
    ("INTERNAL_ERROR", 500, "Server problem"),
    ("MAINTENANCE_ACTIVE", 503, "Under maintenance"),
    ("INVALID_TRAINING_DATA", 400, "Corrupted zip, wrong format, or inaccessible URL"),
    ("INVALID_ORIGINAL_IMAGE", 400, "Target image is missing, corrupted, or contains no face"),
    ("INVALID_FACE_IMAGE", 400, "Source face image is missing, corrupted, or contains no face"),
    ("NOT_FOUND", 404, "Model does not exist or is not available"),
)

ERRORS = (
    *(DocumentedError(code, status, "current", "http", text) for code, status, text in CURRENT),
    *(
        DocumentedError("VALIDATION_ERROR", 400, shape, "http", CURRENT[0][2])
        for shape in ("current-objects", "current-locs")
    ),
    *(DocumentedError(code, status, "older", "http", text) for code, status, text in OLDER),
    *(DocumentedError(code, status, "v1", "http", text) for code, status, text in V1),
    # A persona or style says "failed" and nothing more.
    *(DocumentedError("failed", 200, shape, "state", "Training failed") for shape in ("current", "v1")),
)

# No page says what a wrong method gets; the envelope is said to be everyone's.
STRAY = {
    404: DocumentedError("NOT_FOUND", 404, "current", "http", "Requested resource or route was not found"),
    405: DocumentedError("METHOD_NOT_ALLOWED", 405, "current", "http", "Method not allowed"),
}

BAD_PROMPT = Field("prompt", "Required")


def tell(refusal: Refusal) -> Response:
    """The refusal in its envelope. No generation documents a delay for a 429."""
    error: dict[str, object] = {"code": refusal.error.code, "message": refusal.message}
    field = refusal.field or BAD_PROMPT
    if refusal.shape == "v1":
        error["details"] = f"{field} (see the API reference)"
    elif refusal.shape != "older" and refusal.error.code == "VALIDATION_ERROR":
        error["details"] = {
            "current": [str(field)],
            "current-objects": [{"field": field.name, "message": field.wrong}],
            "current-locs": [{"loc": ["body", field.name], "msg": field.wrong}],
        }[refusal.shape]
    if refusal.shape in OLD_SHAPES:
        return bodies.answer({"error": error}, refusal.status)
    request_id = refusal.asked.request_id
    return bodies.answer({"error": error, "request_id": request_id}, refusal.status, {"X-Request-Id": request_id})
