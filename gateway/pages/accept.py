"""HTML for a browser, JSON for a program: read from `Accept` (RFC 9110 section 12.5.1)."""

HTML, JSON = "text/html", "application/json"


def prefers_json(accept: str) -> bool:
    """Whether a program asks: JSON is wanted more than HTML. Whoever wants both alike, or says nothing, gets HTML."""
    ranges = _ranges(accept)
    return _quality(JSON, ranges) > _quality(HTML, ranges)


def _ranges(accept: str) -> dict[str, float]:
    """Each media range with its quality; one that cannot be read counts as not wanted."""
    ranges: dict[str, float] = {}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            ranges[name] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            ranges[name] = 0.0
    return ranges


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """How much a type is wanted, by the most specific range that covers it."""
    family = f"{media_type.partition('/')[0]}/*"
    return next((ranges[name] for name in (media_type, family, "*/*") if name in ranges), 0.0)
