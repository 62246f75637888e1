"""The door to Jinja: templates, escaped throughout, and the few filters that they use."""

import json
import re
import time
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

CODE = re.compile("`([^`]+)`")


def fill(template: str, **facts: object) -> str:
    """A template of this package, filled."""
    return _environment().get_template(template).render(facts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "pretty": pretty, "clock": clock, "stamp": stamp}
    return environment


def prose(text: str) -> Markup:
    """A paragraph whose words in backticks are code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  (escaped, then only our own tags)


def pretty(value: object) -> str:
    """A value as JSON, indented for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def clock(at: float) -> str:
    """A time in Unix seconds as a person reads it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def stamp(at: float) -> str:
    """A time in Unix seconds as a program reads it (RFC 3339)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
