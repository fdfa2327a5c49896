"""One pattern of a .dockerignore, taken apart into what its characters stand for.

The documentation is Go's filepath.Match plus `**`; where Docker's own translation into a regular
expression says more by accident (`\\d`, `|`, `{2}`), the documentation is followed.
https://docs.docker.com/build/concepts/context/#dockerignore-files, https://pkg.go.dev/path/filepath#Match
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Wild(enum.Enum):
    """What stands for more than one text."""

    ONE = "any character but a slash"
    PART = "any characters but slashes"
    FOLDERS = "any number of folders, each with its slash"
    REST = "any characters at all"


@dataclass(frozen=True, slots=True)
class Members:
    """One character out of these ranges, or none of them. A negated one fits a slash as well."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def __contains__(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) is not self.negated


Token = str | Wild | Members


class BadPattern(ValueError):
    """Docker refuses it. The text says why."""


def tokens(pattern: str) -> list[Token]:
    """The parts of a clean pattern: characters that stand for themselves, wildcards and classes.

    BadPattern where Docker refuses it.
    """
    # Docker compares the end of the text when nothing follows but characters, and else lets `**`
    # stand for whole folders only: `**me` fits `some`, but `**m?` does not.
    if (
        pattern.startswith("**")
        and pattern[2:3] not in ("", "/")
        and not set("*?[]\\") & set(pattern[2:])
    ):
        return [Wild.REST, *pattern[2:]]
    found: list[Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            found.append(Wild.FOLDERS if at < len(pattern) else Wild.REST)
        elif char == "*":
            found.append(Wild.PART)
        elif char == "?":
            found.append(Wild.ONE)
        elif char == "[":
            members, at = _members(pattern, at)
            found.append(members)
        elif char == "\\":
            found.append(pattern[at : at + 1] or _refuse("nothing follows its last \\"))
            at += 1
        else:
            found.append(char)
    return found


def _members(pattern: str, at: int) -> tuple[Members, int]:
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or not pattern.startswith("]", at):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        if high < low:
            _refuse(f"{low}-{high} is no range")
        ranges.append((low, high))
    return Members(tuple(ranges), negated), at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char in ("-", "]"):
        _refuse(f"{char} needs a \\ before it here")
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
    if at + 1 >= len(pattern):
        _refuse("its [ is never closed")
    return char, at + 1


def _refuse(why: str) -> str:
    raise BadPattern(why)
