"""Errors of the command line itself; all others are those of `domain.errors`."""

from __future__ import annotations

from previewdrop.domain.errors import PreviewDropError, Unavailable


class WrongUsage(PreviewDropError):
    """The command line does not say what to do; the exit code is 2."""


class NoServer(Unavailable):
    """No server answers where one was looked for."""
