"""
APIXO, image and video generation by many models.

Source: "Error Codes" in the API docs of apixo.ai, read 2026-11-21, and the PascalCase list that its page "Errors"
publishes beside it (cut off, so not complete).

    {"code": 400, "message": "...", "data": {"error": "..."}}                  an error; also in a 200
    {"code": 200, "message": "success", "data": {"state": "failed", "failCode": "...", "failMsg": "..."}}     a task

An error has no code of its own, only its status; a failed task has one.
"""

import re

from ._codes import HouseCode as H
from ._vendor import Failure, Pattern, Places, Route, SuccessError, Vendor, job

# A line a row, as on the vendor's page.
# fmt: off
ROWS = (
    # Content errors
    job("CONTENT_VIOLATION", H.CONTENT_REJECTED, "Prompt violates content policy", "Modify your prompt"),
    job("NSFW_DETECTED", H.CONTENT_REJECTED, "NSFW content detected", "Use appropriate content"),
    job("PROMPT_TOO_LONG", H.INVALID_REQUEST, "Prompt exceeds character limit", "Shorten your prompt"),
    job("INVALID_PROMPT", H.INVALID_REQUEST, "Prompt is empty or malformed", "Provide a valid prompt"),

    # Image/Media errors
    job("INVALID_IMAGE_URL", H.UNPROCESSABLE_INPUT,
        "Cannot access the provided image URL", "Use a publicly accessible URL"),
    job("IMAGE_TOO_LARGE", H.PAYLOAD_TOO_LARGE, "Input image exceeds size limit", "Resize to under 10MB"),
    job("UNSUPPORTED_FORMAT", H.UNPROCESSABLE_INPUT, "Image format not supported", "Use JPEG, PNG, or WebP"),
    job("IMAGE_DOWNLOAD_FAILED", H.UNPROCESSABLE_INPUT,
        "Failed to download reference image", "Check URL accessibility"),

    # Processing errors
    job("PROCESSING_TIMEOUT", H.VENDOR_TIMEOUT, "Generation took too long", "Retry the request"),
    job("MODEL_UNAVAILABLE", H.VENDOR_UNAVAILABLE, "Model is temporarily offline", "Try again later"),
    job("GENERATION_FAILED", H.WORK_FAILED, "Generic generation failure", "Retry with different parameters"),
    job("INSUFFICIENT_CREDITS", H.INSUFFICIENT_CREDITS, "Account has no credits", "Add credits to your account"),

    # The second list
    job("SensitiveContent", H.CONTENT_REJECTED, "Content violates policy"),
    job("SensitiveContentDetected", H.CONTENT_REJECTED, "Content flagged as violation"),
    job("InputImageSensitiveContentDetected", H.CONTENT_REJECTED, "Input image contains violation"),
    job("InputOutputSensitiveContentDetected", H.CONTENT_REJECTED, "Input or output contains sensitive content"),
    job("NSFW", H.CONTENT_REJECTED, "NSFW content detected"),
    job("ProhibitedContentDetected", H.CONTENT_REJECTED, "Prohibited content detected"),
    job("PromptLengthExceeded", H.INVALID_REQUEST, "Prompt exceeds limit"),
)
# fmt: on

PLACES = Places(
    # "A provider error identifier for some immediate errors"; the page does not show where.
    code=("/failCode", "/data/failCode", "/data/error/code", "/error/code"),
    # Of a 400 the useful text is the inner one.
    message=("/data/error", "/data/error/message", "/message", "/error/message"),
)

PATTERNS = (
    # One page says "API key lacks permission" of a 403, the other "content violates policy".
    Pattern(
        re.compile("(?i)sensitive|nsfw|prohibited|violation"),
        H.CONTENT_REJECTED,
        at=("/message", "/data"),
        statuses=frozenset({403}),
    ),
    # Guesses at the codes of the providers behind it, which are open-ended.
    Pattern(re.compile("(?i)sensitive|nsfw|prohibit|violation|moderation|copyright"), H.CONTENT_REJECTED),
    Pattern(re.compile("(?i)timeout"), H.VENDOR_TIMEOUT),
    Pattern(re.compile("(?i)credit|balance"), H.INSUFFICIENT_CREDITS),
    Pattern(re.compile("(?i)unavailable|overload"), H.VENDOR_UNAVAILABLE),
    Pattern(re.compile("(?i)invalid|length|param"), H.INVALID_REQUEST),
)

TASK = Failure(
    at=("/data/state",),
    equals=frozenset({"failed"}),
    code=("/data/failCode",),
    message=("/data/failMsg",),
    id=("/data/taskId",),
    done=frozenset({"success"}),
)

VENDOR = Vendor(
    name="apixo",
    title="APIXO",
    rows=ROWS,
    places=PLACES,
    patterns=PATTERNS,
    routes=(
        Route("submit", frozenset({"POST"}), ("/generateTask/*",)),
        Route("poll", frozenset({"GET"}), ("/statusTask/*",), (TASK,)),
        Route("balance", frozenset({"GET"}), ("/apikeys/current-balance",)),
    ),
    errors_in_success=tuple(SuccessError(route, at="/code", statuses=True) for route in ("submit", "poll")),
    credential_hint=("Authorization", "Bearer …"),
    base_url="https://api.apixo.ai/api/v1",
    source='"Error Codes" and "Errors" in the APIXO API docs, read 2026-11-21',
)
