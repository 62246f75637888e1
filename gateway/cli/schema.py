"""Print the JSON Schemas that others can check against: of the envelope, and of the settings file."""

import click

from gateway import settings
from normalizers import problem_schema

from .say import print_json

SCHEMAS = {"problem": problem_schema, "config": settings.schema}


@click.command()
@click.argument("what", type=click.Choice(list(SCHEMAS)))
def schema(*, what: str) -> None:
    """Print a JSON Schema (2020-12).

    `problem` is the envelope that every failure becomes; `config` is the settings file, for an editor to complete and
    check it.
    """
    print_json(SCHEMAS[what]())
