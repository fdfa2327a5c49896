"""The `previewdrop` command: the way in, which loads nothing that the command does not need."""

from __future__ import annotations

import os
import sys

COMPLETION = "_PREVIEWDROP_COMPLETE"
"""Set by a shell that asks for completions, which are typer's to give."""


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code: 0 done, 1 failed, 2 wrong usage.

    Help and version are answered from the catalogue alone: typer takes ten times as long to load.
    """
    from previewdrop.cli import catalogue

    first = arguments[0] if arguments else "--help"
    if COMPLETION not in os.environ:
        if first in ("--help", "-h", "help"):
            sys.stdout.write(catalogue.overview())
            return 0
        if first in ("--version", "-V"):
            from previewdrop import __version__

            sys.stdout.write(f"previewdrop {__version__}\n")
            return 0
        if not first.startswith("-") and catalogue.find(first) is None:
            sys.stderr.write(catalogue.unknown(first))
            return 2
    from previewdrop.cli.app import run_command

    return run_command(arguments)
