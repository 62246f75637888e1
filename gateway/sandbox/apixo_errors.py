"""
APIXO's errors, from its two pages "Error Codes" (`/error-codes` and `/errors`), which contradict each other.

    envelope     {"code": <int>, "message", "data"?}; a 400 has its useful text at `data.error`, a 401 no `data`
    content      a 403 as `/errors` means it: the content violates policy
    in-success   the envelope of an error in an HTTP 200, which public clients guard against
    task         {"code": 200, "message": "success", "data": {"state": "failed", "failCode", "failMsg", …}}
    immediate    a failure code at once: "a provider error identifier for some immediate errors"
"""

from starlette.responses import Response

from . import bodies
from .catalogue import DocumentedError
from .simulator import Field, Refusal

SHAPES = ("envelope", "content", "in-success", "task", "immediate")

STATUSES = (
    (400, "Invalid request parameters"),
    (401, "Invalid or missing API key"),
    (402, "Insufficient balance"),
    (403, "API key lacks permission"),
    (404, "Resource doesn't exist"),
    (429, "Rate limit exceeded"),
    (500, "Internal server error"),
    (503, "Model temporarily unavailable"),
)

# `/error-codes`, "Task Failure Codes".
TASK_FAILURES = (
    ("CONTENT_VIOLATION", "Prompt violates content policy"),
    ("NSFW_DETECTED", "NSFW content detected"),
    ("PROMPT_TOO_LONG", "Prompt exceeds character limit"),
    ("INVALID_PROMPT", "Prompt is empty or malformed"),
    ("INVALID_IMAGE_URL", "Cannot access the provided image URL"),
    ("IMAGE_TOO_LARGE", "Input image exceeds size limit"),
    ("UNSUPPORTED_FORMAT", "Image format not supported"),
    ("IMAGE_DOWNLOAD_FAILED", "Failed to download reference image"),
    ("PROCESSING_TIMEOUT", "Generation took too long"),
    ("MODEL_UNAVAILABLE", "Model is temporarily offline"),
    ("GENERATION_FAILED", "Generic generation failure"),
    ("INSUFFICIENT_CREDITS", "Account has no credits"),
)

# `/errors`, the same under other names, as far as the page shows them; and the status of an immediate one.
PROVIDER_FAILURES = (
    ("SensitiveContent", 403, "Content violates policy"),
    ("SensitiveContentDetected", 403, "Content flagged as violation"),
    ("InputImageSensitiveContentDetected", 403, "Input image contains violation"),
    ("InputOutputSensitiveContentDetected", 403, "Input or output contains sensitive content"),
    ("NSFW", 403, "NSFW content detected"),
    ("ProhibitedContentDetected", 403, "Prohibited content detected"),
    ("PromptLengthExceeded", 400, "Prompt exceeds limit"),
)

# Relayed from the provider underneath, with a suffix that no page lists. Any code takes one.
DOTTED = ("InputImageSensitiveContentDetected.PrivacyInformation", "Input image contains violation")

ERRORS = (
    *(DocumentedError(str(status), status, "envelope", "status", text) for status, text in STATUSES),
    DocumentedError("403", 403, "content", "status", "Content violates policy"),
    *(DocumentedError(str(status), 200, "in-success", "status", text) for status, text in STATUSES),
    *(DocumentedError(code, 200, "task", "job", text) for code, text in TASK_FAILURES),
    *(DocumentedError(code, 200, "task", "job", text) for code, _, text in PROVIDER_FAILURES),
    DocumentedError(DOTTED[0], 200, "task", "job", DOTTED[1]),
    *(DocumentedError(code, status, "immediate", "http", text) for code, status, text in PROVIDER_FAILURES),
    # `failCode` is null, as for a task that nobody can say more about.
    DocumentedError("failed", 200, "task", "state", "Generation failed"),
)

STRAY = {
    404: DocumentedError("404", 404, "envelope", "status", "Resource doesn't exist"),
    405: DocumentedError("405", 405, "envelope", "status", "Method Not Allowed"),
}

BAD_PROMPT = Field("input", "prompt is required")


def tell(refusal: Refusal) -> Response:
    """The refusal in its envelope. `code` is an integer, normally the status; no delay is documented for a 429."""
    code = refusal.error.code
    number = int(code) if refusal.error.kind == "status" else refusal.status
    body: dict[str, object] = {"code": number, "message": refusal.message, "data": None}
    if refusal.error.kind != "status":
        body["data"] = {"failCode": code, "failMsg": refusal.message}
    elif refusal.shape == "content":
        body["data"] = {"error": "SensitiveContentDetected"}
    elif number == 400:
        body["data"] = {"error": str(refusal.field or BAD_PROMPT)}
    elif number == 401:
        del body["data"]
    return bodies.answer(body, refusal.status)
