"""Options and arguments that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="PROJECT/SLUG, or a slug or branch that only one preview has. "
        "Without it: the preview of the current folder's branch.",
    ),
]

Project = Annotated[
    str | None,
    typer.Option("--project", "-P", metavar="P", help="Else: the current folder's project."),
]


def print_json(value: Any) -> None:
    """Prints the API's object as it is."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
