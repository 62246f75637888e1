"""
The house codes: every kind of error a caller can see, one row each.

A code owns its HTTP status, who must act, and whether the same request may be sent again. Two codes are separate only
if one of these, or the person to wake, differs. A row also carries its words: the title, the sentence that stands in
for a vendor's own message, and the two paragraphs of its problem page. The words are two thirds of this file; they
stay beside the facts so that a code cannot exist without them.
"""

from enum import Enum, StrEnum, unique


class Fault(StrEnum):
    """Who must act before the request can succeed."""

    # Each error looks some up; an Enum's own hash is a function of Python.
    __hash__ = str.__hash__

    CALLER = "caller"
    OPERATOR = "operator"
    VENDOR = "vendor"


class Source(StrEnum):
    """Where it failed."""

    __hash__ = str.__hash__

    VENDOR = "vendor"
    NETWORK = "network"
    GATEWAY = "gateway"


_CALLER, _OPERATOR, _VENDOR = Fault.CALLER, Fault.OPERATOR, Fault.VENDOR


@unique
class HouseCode(Enum):
    """
    A kind of error. `str()` and `.code` give its spelling on the wire.

    A row: status, fault, retryable, title; the sentence, in which `{vendor}` stands for the vendor's title; what it
    means; what to do about it.
    """

    INVALID_REQUEST = (
        (400, _CALLER, False, "The request cannot succeed as sent"),
        "{vendor} cannot accept this request as it was sent.",
        "Something in the request is wrong: a field is missing, has the wrong type or breaks a rule of the vendor. "
        "Every 4xx of a vendor that says nothing more precise becomes this code, too.",
        "Read `errors` for the fields and `vendor_error.message` for the vendor's own words, correct the request and "
        "send it again. Sending the same request again cannot help.",
    )
    UNAUTHENTICATED = (
        (401, _CALLER, False, "The caller's credential is missing or wrong"),
        "{vendor} does not accept the credential that came with this request.",
        "The credential of the caller itself did not pass: the gateway's own caller key or, where the vendor's "
        "credential is passed through, the key that the caller sent for the vendor.",
        "Check which header carries the key, that it is the current one and that it was not revoked. "
        "`WWW-Authenticate` names the scheme.",
    )
    INSUFFICIENT_CREDITS = (
        (402, _OPERATOR, False, "The vendor account has no credit left"),
        "The account at {vendor} has not enough credit for this request.",
        "The vendor wants money before it works on: the balance is used up, or an automatic payment failed. "
        "All callers share this account, so all of them see this code at the same time.",
        "Whoever runs the gateway tops up the account or repairs its payment. Callers stop sending until then; "
        "the request itself is fine.",
    )
    PERMISSION_DENIED = (
        (403, _CALLER, False, "This caller may not do this"),
        "This caller's credential does not allow this at {vendor}.",
        "The caller is known but may not use this vendor, this route or, with its own vendor credential, "
        "this resource.",
        "Ask whoever runs the gateway (or owns the vendor account) for the right, or use a route that is allowed.",
    )
    NOT_FOUND = (
        (404, _CALLER, False, "There is no such thing"),
        "{vendor} has no such resource.",
        "The vendor, the path, the job or the resource that the request names does not exist, or not any more.",
        "Check the path and the id. Ids of jobs expire at some vendors after days.",
    )
    CONFLICT = (
        (409, _CALLER, False, "The current state forbids this"),
        "{vendor} cannot do this in the current state of the resource.",
        "The request is well formed, but what it asks for collides with what exists: a name is taken, "
        "a thing is still being processed or is locked.",
        "Change the state first (another name, wait for the job to end, delete what is in the way), then send again.",
    )
    CANCELLED = (
        (409, _CALLER, False, "The work was cancelled at the vendor"),
        "The work was cancelled at {vendor}.",
        "Somebody cancelled this piece of work at the vendor. It is not a failure, but there is no result.",
        "Find out who cancelled it before you order it again: repeating billable work unasked is the worse error.",
    )
    PAYLOAD_TOO_LARGE = (
        (413, _CALLER, False, "The payload is too large"),
        "The request, or something that it refers to, is too large for {vendor}.",
        "The body of the request, or an image or file that it points at, is over a limit of the gateway or the vendor.",
        "Send less: a smaller image, a shorter text, several requests.",
    )
    CONTENT_REJECTED = (
        (422, _CALLER, False, "The content was refused"),
        "{vendor} refused this content by its policy.",
        "A moderation or content policy of the vendor refused the prompt, an image or the result.",
        "Change the content. The same content will be refused again, and repeated attempts can endanger the account.",
    )
    UNPROCESSABLE_INPUT = (
        (422, _CALLER, False, "An input cannot be used"),
        "{vendor} cannot fetch, decode or use something that this request points at.",
        "The request itself is well formed, but a thing it points at (a URL, an image, a file, a product id) cannot "
        "be fetched, read or used.",
        "Check that the URL is public and answers, that the file is whole and of a supported format, and that the id "
        "exists where the vendor looks for it.",
    )
    RATE_LIMITED = (
        (429, _CALLER, True, "This caller's own limit is used up"),
        "This caller has used up its own limit.",
        "The gateway refused this request because this caller has sent too many. The vendor never saw it, and other "
        "callers are not affected.",
        "Wait `retry_after` seconds, then send again; spread requests out. `limit` names the limit that refused.",
    )
    CAPACITY_EXHAUSTED = (
        (429, _OPERATOR, True, "A limit that all callers share is used up"),
        "All callers together have used up what may be sent to {vendor} at the moment.",
        "The gateway keeps its traffic below the vendor's limits. This request would have been over one that all "
        "callers share; the vendor never saw it.",
        "Wait `retry_after` seconds, then send again. If it happens often, whoever runs the gateway raises the limit "
        "(at the vendor first) or gives each caller a share.",
    )
    VENDOR_RATE_LIMITED = (
        (429, _OPERATOR, True, "The vendor throttled this request"),
        "{vendor} allows no more requests at the moment.",
        "The vendor itself answered that there were too many requests, or the gateway holds this request back because "
        "the vendor did so a moment ago.",
        "Wait `retry_after` seconds, then send again. If it happens often, the limits configured in the gateway are "
        "higher than the vendor's, or somebody else uses the same account.",
    )
    QUOTA_EXHAUSTED = (
        (429, _OPERATOR, False, "The quota of the period is used up"),
        "The quota at {vendor} is used up for this period.",
        "A window of a day or more is used up, the vendor's or one that the gateway keeps for all callers. "
        "`retry_after` may be many hours, so this is not for a request thread to wait out.",
        "Queue the work for later, or have the quota raised at the vendor and in the gateway's settings.",
    )
    INTERNAL_ERROR = (
        (500, _OPERATOR, False, "The gateway failed"),
        "The gateway could not handle this request.",
        "A bug or a misconfiguration of the gateway, never of the vendor.",
        "Report `request_id` and `instance` to whoever runs the gateway; its log has one line with both.",
    )
    WORK_FAILED = (
        (502, _VENDOR, True, "The vendor produced no result"),
        "{vendor} took the work but produced no result.",
        "The vendor accepted the work and then failed at it: a generation, an import or a download on its side "
        "went wrong.",
        "Order the work again, a few times at most and with growing pauses. If it fails every time, send the vendor "
        "`vendor_error.request_id`.",
    )
    VENDOR_ACCOUNT_ERROR = (
        (502, _OPERATOR, False, "The vendor refuses our account"),
        "{vendor} does not accept the credential or the account of this gateway.",
        "The vendor refuses the credential that the gateway sends, or the account behind it: unknown, revoked, "
        "locked, suspended or not set up. No caller can mend this, and every request will fail until it is mended.",
        "Wake whoever runs the gateway: check the configured credential against the vendor's dashboard, and the "
        "state of the account. Callers must not retry; a locked account stays locked longer when they do.",
    )
    VENDOR_ACCESS_DENIED = (
        (502, _OPERATOR, False, "Our credential lacks this right at the vendor"),
        "The credential of this gateway lacks a right that this request needs at {vendor}.",
        "The vendor knows the gateway's credential, but this route or resource is outside its rights or scopes.",
        "Whoever runs the gateway grants the scope at the vendor, or forbids the route so that callers get "
        "`permission_denied` instead.",
    )
    VENDOR_FAILED = (
        (502, _VENDOR, True, "The vendor failed"),
        "{vendor} failed to handle this request.",
        "The vendor answered with a server error of its own, with something that nobody can read, or broke off. "
        "Every 5xx of a vendor that says nothing more precise becomes this code.",
        "Send again with growing pauses if `retryable` is true. If it lasts, look at the vendor's status page and "
        "send the vendor `vendor_error.request_id`.",
    )
    VENDOR_UNREACHABLE = (
        (502, _VENDOR, True, "The vendor cannot be reached"),
        "No connection to {vendor} could be made.",
        "The vendor's name did not resolve, its port refused, or TLS failed. Nothing of the request was sent.",
        "Send again with growing pauses. If it lasts, check the vendor's status page, then `base_url`, DNS, "
        "the egress proxy and the certificates.",
    )
    OVERLOADED = (
        (503, _OPERATOR, True, "The gateway is full"),
        "The gateway takes no more requests at the moment.",
        "The gateway has as many requests in flight as it may, has no free connection to the vendor, or is shutting "
        "down. The vendor never saw this request.",
        "Send again after a pause; another instance may take it at once. If it happens often, give the gateway more "
        "connections or more instances.",
    )
    VENDOR_UNAVAILABLE = (
        (503, _VENDOR, True, "The vendor is down"),
        "{vendor} is not available at the moment.",
        "The vendor says that it is down, overloaded or under maintenance, or the gateway stopped asking after "
        "repeated failures and will ask again soon.",
        "Wait `retry_after` seconds where given, else some minutes, then send again.",
    )
    VENDOR_TIMEOUT = (
        (504, _VENDOR, True, "The vendor did not answer in time"),
        "{vendor} gave no answer in time. The work may still complete and be billed.",
        "No answer came before the deadline, by the gateway's clock or by the vendor's own. Whether the vendor went "
        "on with the work is not known: it may still complete and be billed.",
        "If `retryable` is true, send again. If it is false, look first whether the work was done after all, then "
        "decide. Slow routes may need a longer `timeouts.first_byte`.",
    )

    # Of the protocol itself.
    METHOD_NOT_ALLOWED = (
        (405, _CALLER, False, "The method is not allowed here"),
        "{vendor} does not allow this method on this path.",
        "The path exists, but not with this method. `Allow` names those that work.",
        "Use a method that `Allow` names.",
    )
    REQUEST_TIMEOUT = (
        (408, _CALLER, True, "The request was not finished in time"),
        "The request did not arrive in full in time.",
        "The caller began a request and did not finish it: its head or body came too slowly.",
        "Send again. If it happens often, look at the network between caller and gateway, or send smaller bodies.",
    )
    PRECONDITION_FAILED = (
        (412, _CALLER, False, "A condition of the request does not hold"),
        "A condition of the request, such as If-Match, does not hold at {vendor}.",
        "The request carried a condition (`If-Match`, `If-Unmodified-Since`, …) and the resource does not meet it; "
        "usually somebody changed it in between.",
        "Fetch the current state, decide again, and send with the new validator.",
    )
    URI_TOO_LONG = (
        (414, _CALLER, False, "The request target is too long"),
        "The path or query of this request is too long for {vendor}.",
        "The path and query are longer than the gateway or the vendor accepts.",
        "Move data from the query into the body.",
    )
    UNSUPPORTED_MEDIA_TYPE = (
        (415, _CALLER, False, "The body's format is not supported"),
        "{vendor} does not support the format of this request's body.",
        "The `Content-Type` or `Content-Encoding` of the request is one that the vendor does not take. "
        "`Accept`, `Accept-Post` or `Accept-Encoding` may name those that it does.",
        "Send the body in a supported format and label it truly.",
    )
    RANGE_NOT_SATISFIABLE = (
        (416, _CALLER, False, "The range cannot be served"),
        "{vendor} cannot serve the range that was asked for.",
        "The `Range` of the request lies outside the resource. `Content-Range` tells its size.",
        "Ask for a range inside the resource, or for the whole of it.",
    )
    MISDIRECTED_REQUEST = (
        (421, _CALLER, False, "The request is not for this gateway"),
        "The request names an authority that is not this gateway's.",
        "The `Host` (or `:authority`) of the request is none of those that this gateway answers for.",
        "Check the URL and DNS of the caller, or add the name to `server.hosts`.",
    )
    HEADER_FIELDS_TOO_LARGE = (
        (431, _CALLER, False, "The header fields are too large"),
        "The header fields of this request are too large for {vendor}.",
        "The head of the request, or one field of it, is over a limit of the gateway or the vendor.",
        "Send fewer or shorter header fields; cookies are the usual cause.",
    )
    NOT_IMPLEMENTED = (
        (501, _CALLER, False, "Not implemented"),
        "{vendor} does not implement what this request needs.",
        "The request uses a method, protocol version or coding that the gateway, or the vendor by its own 501, "
        "does not speak.",
        "Use plain HTTP/1.1 with a usual method and `Content-Length` or chunked framing.",
    )

    def __init__(self, facts: tuple[int, Fault, bool, str], sentence: str, meaning: str, advice: str) -> None:
        self.code = self.name.lower()
        self.status, self.fault, self.retryable, self.title = facts
        self.sentence = sentence
        self.meaning = meaning
        self.advice = advice

    __hash__ = object.__hash__

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return f"HouseCode.{self.name}"

    @classmethod
    def of(cls, code: str) -> "HouseCode":
        """
        The code of this spelling.

        Raises:
            KeyError: there is none.

        """
        return _BY_SPELLING[code]


_BY_SPELLING = {code.code: code for code in HouseCode}
