"""Commands in comments: `/preview` and what may follow it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

OURS = "<!-- previewdrop:"
"""How every comment of ours begins; such a comment commands nothing, whoever posts it for us."""

SHORTEST_COMMIT = 7
_LONGEST_WORD = 40
_COMMAND = re.compile(r" {0,3}/preview(?:[.!:,]*)(?:\s(?P<rest>.*))?", re.IGNORECASE | re.DOTALL)
_HEX = re.compile(r"[0-9a-f]{4,64}")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)")
_LINES = re.compile(r"\r\n|\r|\n")
_AROUND = "`*_\"'.,:;!?()[]<>"


class Verb(StrEnum):
    """What may be asked for in a comment. `/preview` alone is to deploy."""

    DEPLOY = "deploy"
    REDEPLOY = "redeploy"
    STOP = "stop"
    RESET_DB = "reset-db"
    LOGS = "logs"
    HELP = "help"
    APPROVE = "approve"


_VERBS = {verb.value: verb for verb in Verb}


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `commit` is what an approval names, as it was typed but in lower case.

    `unknown` is a word that is no command, at most 40 characters; then the verb is help.
    """

    verb: Verb
    commit: str | None = None
    unknown: str | None = None

    def approves(self, head: str, shown: str | None) -> bool:
        """Whether this is an approval of `head`, the pull request's newest commit.

        `shown` is the commit that our comment asked about when the command was written. Without
        a commit an approval means that one, so a push in the same minute is not approved unread.
        So does one that is cut short, seven characters at least: two commits with the same
        beginning are quickly made, one to be read and one to be pushed after it.
        """
        if self.verb is not Verb.APPROVE:
            return False
        given = self.commit or head
        if len(given) < len(head):
            return head == shown and len(given) >= SHORTEST_COMMIT and head.startswith(given)
        return given == head and (self.commit is not None or head == shown)


def command_in(body: str) -> Command | None:
    """The first command in a comment's Markdown; None if there is none.

    It stands at the start of a line, in any case, and not in code, a quotation or an HTML comment.
    What follows a command that is known is ignored; a word that is not known asks for help.
    """
    if body.lstrip().startswith(OURS):
        return None
    for line in _spoken(body):
        if found := _COMMAND.fullmatch(line):
            return _command((found["rest"] or "").split())
    return None


def _command(words: list[str]) -> Command:
    plain = [stripped for word in words if (stripped := word.strip(_AROUND))]
    if not plain:
        return Command(Verb.DEPLOY)
    verb, commit = _VERBS.get(plain[0].lower()), None
    if verb is None:
        return Command(Verb.HELP, unknown=plain[0][:_LONGEST_WORD])
    if verb is Verb.APPROVE and len(plain) > 1 and _HEX.fullmatch(plain[1].lower()):
        commit = plain[1].lower()
    return Command(verb, commit)


def _spoken(body: str) -> Iterator[str]:
    """The lines that are neither in a fence nor in an HTML comment."""
    fence, hidden = "", False
    for line in _LINES.split(body):
        if hidden:
            hidden = "-->" not in line
        elif fence:
            closing = _FENCE.fullmatch(line)
            if closing and closing[1].startswith(fence) and not closing[2].strip():
                fence = ""
        elif opening := _FENCE.fullmatch(line):
            fence = opening[1]
        elif "<!--" in line:
            hidden = "-->" not in line.rpartition("<!--")[2]
        else:
            yield line
