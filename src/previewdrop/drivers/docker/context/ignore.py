"""Which files of a build context are left out: .dockerignore, as BuildKit reads it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.docker.context.automaton import Automaton, State
from previewdrop.drivers.docker.context.patterns import BadPattern, Token, tokens

NAME = ".dockerignore"
LARGEST = 128 * 1024
"""Bytes of the largest .dockerignore that is read."""

_MOST = 2000
_LONGEST = 4096
_SPACE = " \t\n\v\f\r\x85\xa0"
_HINT = "See https://docs.docker.com/build/concepts/context/#dockerignore-files."


class Ignore:
    """The patterns of one file. The last that fits decides, and `!` takes files back in.

    A pattern that fits a folder fits all that is below. Follows moby/patternmatcher and the walk
    of BuildKit (https://github.com/tonistiigi/fsutil), not the classic builder, which does not
    look for exceptions with wildcards below a folder that is left out.
    """

    def __init__(self, patterns: Iterable[tuple[bool, list[Token]]] = ()) -> None:
        listed = list(patterns)
        self.exceptions = [exception for exception, _ in listed]
        self.automaton = Automaton(pattern for _, pattern in listed)
        self.exception_positions = self.automaton.positions(
            number for number, exception in enumerate(self.exceptions) if exception
        )

    @classmethod
    def parse(cls, text: str, name: str = NAME, always: Iterable[str] = ()) -> Ignore:
        """Reads a file that is called `name`. `always` are paths that no pattern leaves out.

        StageFailed with the line for a pattern that Docker refuses.
        """
        patterns: list[tuple[bool, list[Token]]] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            try:
                pattern = _cleaned(line)
                exception = pattern.startswith("!")
                if pattern:
                    patterns.append((exception, tokens(pattern[exception:])))
            except BadPattern as error:
                raise _failed(
                    f"{name}, line {number}: {line.strip(_SPACE)!r} cannot be used: {error}."
                ) from error
        if len(patterns) > _MOST:
            raise _failed(f"{name} has more than {_MOST} patterns.")
        return cls(patterns + [(True, list[Token](path)) for path in always])

    @property
    def top(self) -> Place:
        """The context's root, from which a walk goes down by `Place.child`."""
        return Place(self, self.automaton.start, "", (), excluded=False)

    def excludes(self, path: str) -> bool:
        """Whether `path` (`app/main.py`, relative to the root) is left out."""
        return self._at(path).excluded

    def may_hold(self, folder: str) -> bool:
        """Whether something below `folder` may be sent. If not, a walk need not go there."""
        return self._at(folder).may_hold

    def _at(self, path: str) -> Place:
        place = self.top
        for part in path.split("/"):
            place = place.child(part)
        return place


@dataclass(frozen=True, slots=True)
class Place:
    """A path that a walk came to: whether it is left out, and what that means for those below.

    `matched` are the numbers of the patterns that count for it, because they fit it or a folder it
    is in.
    """

    ignore: Ignore
    state: State
    separator: str
    matched: tuple[int, ...]
    excluded: bool

    @property
    def may_hold(self) -> bool:
        """Whether something below may be sent, if this is a folder."""
        if not self.excluded:
            return True
        automaton, exceptions = self.ignore.automaton, self.ignore.exception_positions
        return automaton.pending(automaton.walk(self.state, "/"), exceptions, self.matched[-1])

    def child(self, name: str) -> Place:
        """What is called `name` in this folder."""
        ignore = self.ignore
        state = ignore.automaton.walk(self.state, self.separator + name)
        if not state.accepts:
            return Place(ignore, state, "/", self.matched, self.excluded)
        excluded, matched = False, list[int]()
        inherited = set(self.matched)
        for number in sorted(inherited.union(state.accepts)):
            exception = ignore.exceptions[number]
            # An exception that came to nothing at the folder does not count for what is below by
            # way of the folder, because BuildKit notes only those that changed the outcome.
            if exception is excluded or number in inherited:
                matched.append(number)
                excluded = not exception
        return Place(ignore, state, "/", tuple(matched), excluded)


def _cleaned(line: str) -> str:
    """The pattern of a line, an exception with its `!`, or nothing."""
    if line.startswith("#"):
        return ""
    text = line.strip(_SPACE)
    mark = "!" if text.startswith("!") else ""
    text = _normal(text[len(mark) :].strip(_SPACE))
    # Docker cleans twice: once what follows the `!`, then the whole.
    pattern = _normal((mark + (text.removeprefix("/") or text)).strip(_SPACE))
    if pattern == "!":
        raise BadPattern("nothing follows the !")
    if len(pattern) > _LONGEST:
        raise BadPattern(f"it is longer than {_LONGEST} characters")
    return pattern


def _normal(path: str) -> str:
    """As Go's filepath.Clean, but nothing of nothing."""
    normal = posixpath.normpath(path) if path else ""
    return normal[1:] if normal.startswith("//") else normal


def _failed(message: str) -> StageFailed:
    return StageFailed(message, _HINT)
