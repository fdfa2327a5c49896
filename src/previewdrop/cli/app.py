"""Runs one command: loads its module, hands it to typer, turns errors into a sentence."""

from __future__ import annotations

import importlib
import sys

import typer

from previewdrop.cli import catalogue
from previewdrop.cli.errors import WrongUsage
from previewdrop.domain.errors import PreviewDropError

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def run_command(arguments: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    entry = catalogue.find(arguments[0]) if arguments else None
    try:
        code = application(entry)(arguments, prog_name="previewdrop", standalone_mode=False)
    except typer.TyperException as error:
        sys.stderr.write(_usage_error(error))
        return error.exit_code
    except typer.Abort:
        return 130
    except PreviewDropError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2 if isinstance(error, WrongUsage) else 1
    return code if isinstance(code, int) else 0


def application(only: catalogue.Entry | None = None) -> typer.Typer:
    """The typer application with every command, or with the modules of one entry alone."""
    app = typer.Typer(
        rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=_CONTEXT
    )
    app.callback()(_top)
    entries = catalogue.entries() if only is None else (only,)
    for module in dict.fromkeys(entry.module for entry in entries):
        commands: typer.Typer = importlib.import_module(f"previewdrop.cli.{module}").commands
        group = next((each for each in entries if each.module == module and each.group), None)
        if group:
            app.add_typer(commands, name=group.name, help=group.summary)
        else:
            app.add_typer(commands)
    return app


def _top() -> None:
    """Preview environments for FastAPI teams."""


def _usage_error(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "previewdrop"
    return f"Error: {error.format_message()} See `{path} --help`.\n"
