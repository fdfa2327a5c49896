"""Answers to commands in comments, as Markdown: what follows the mark of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from previewdrop.domain.commands import OURS
from previewdrop.report import wording
from previewdrop.report.markdown import address, block, code, folded, prose

_LINES, _LINE, _LOGS = 120, 240, 2

_COMMANDS = (
    ("/preview", "deploy this pull request, also when the rules leave it out"),
    ("/preview redeploy", "deploy the same commit again"),
    ("/preview stop", "remove the preview until somebody asks for it again"),
    ("/preview reset-db", "begin with a fresh database"),
    ("/preview logs", "show the end of the logs here"),
    ("/preview approve <commit>", "let code from a fork run, at this commit only"),
    ("/preview help", "show this"),
)


def answer_mark(project: str, question: int) -> str:
    """How a project's answer to a comment of this id begins, unseen: there is never a second."""
    return f"{OURS}answer {project} {question} -->"


def help_text(unknown: str | None = None) -> str:
    """All commands; `unknown` is a word that was taken for one."""
    first = "Commands, for everybody with write access to this repository:"
    if unknown:
        first = f"{code(unknown, 40)} is no command. {first}"
    lines = [f"- {code(name, 40)}: {prose(does, 100)}" for name, does in _COMMANDS]
    return "\n".join((first, "", *lines, ""))


def logs_text(
    name: str,
    logs: Sequence[tuple[str, Sequence[str]]],
    details_url: str | None = None,
) -> str:
    """The ends of at most two logs of the preview `name`: each a title of ours and lines.

    Lines are redacted already.
    """
    parts = [folded(title, block(lines[-_LINES:], _LINE)) for title, lines in logs[:_LOGS] if lines]
    if not parts:
        parts = [f"{code(name, 80)} has no logs yet."]
    if details_url:
        parts.append(f"[Full log]({address(details_url)})")
    return "\n\n".join(parts) + "\n"


def approval_text(head: str) -> str:
    """What to say to an approval that does not name the newest commit."""
    return "\n".join(
        (
            f"That is not the newest commit, which is {code(wording.short(head), 7)}. "
            "Please read it first.",
            f"To approve it, write {code(f'/preview approve {head}', 100)}.",
            "",
        )
    )
