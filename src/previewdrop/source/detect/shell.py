"""Command lines as a shell would split them, read and never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

UNKNOWN = "\0"
"""Stands for text that only exists when the command runs: `$(nproc)`, an unset variable."""

_VARIABLE = re.compile(
    r"\$\{(?P<braced>\w+)(?:(?P<operator>:?[-=+?])(?P<word>[^}]*))?\}|\$(?P<plain>[A-Za-z_]\w*)"
)
_SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")
_JOINTS = frozenset({"&&", "||", ";", "|", "&", "(", ")"})


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replaces `$NAME`, `${NAME}` and `${NAME:-default}`; what is not known becomes UNKNOWN."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        known = environment.get(name)
        operator, word = match["operator"] or "", match["word"] or ""
        if "+" in operator:
            return word if known else ""
        if known or (known is not None and not operator.startswith(":")):
            return known
        return expand(word, environment) if "-" in operator or "=" in operator else UNKNOWN

    return _VARIABLE.sub(value, _SUBSTITUTION.sub(UNKNOWN, text))


def simple_commands(line: str, environment: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The commands of a shell line, one tuple of words each, without redirections."""
    line = re.sub(r"\\\n", " ", _SUBSTITUTION.sub(UNKNOWN, line))
    line = re.sub(r"(^|\s)#[^\n]*", r"\1", line).replace("\n", " ; ")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        words = line.split()
    commands: list[list[str]] = [[]]
    redirected = False
    for word in words:
        if word in _JOINTS or set(word) <= {";", "&", "|", "(", ")"}:
            commands.append([])
        elif set(word) <= {"<", ">", "&"}:
            redirected = True
            if commands[-1] and commands[-1][-1] in {"1", "2"}:
                commands[-1].pop()
        elif redirected:
            redirected = False
        else:
            commands[-1].append(expand(word, environment))
    return [tuple(command) for command in commands if command]
