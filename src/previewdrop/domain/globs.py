"""Glob patterns over names with slashes: paths of a repository and branches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

_WILDCARD = re.compile(r"[*?\[\]]")


def matches(pattern: str, path: str) -> bool:
    """Whether the whole of `path` fits `pattern`.

    `*`, `?` and `[abc]` stay within one part between slashes. A part that is `**` stands for any
    number of parts (`src/**/x.py` fits `src/x.py` too); at the end it needs at least one. A
    trailing slash means everything below. Takes time proportional to the product of both lengths
    at most, because patterns come from repositories.
    """
    wanted = (pattern + "**" if pattern.endswith("/") else pattern).split("/")
    parts = path.split("/")
    at = here = 0
    retry: tuple[int, int] | None = None
    while here < len(parts):
        if at < len(wanted) and wanted[at] == "**":
            at += 1
            retry = (at, here)
        elif at < len(wanted) and fnmatchcase(parts[here], wanted[at]):
            at += 1
            here += 1
        elif retry is not None:
            at, here = retry[0], retry[1] + 1
            retry = (at, here)
        else:
            return False
    return at == len(wanted)


def touches(patterns: Iterable[str], changed_paths: Iterable[str]) -> bool:
    """Whether one of the paths fits one of the patterns."""
    wanted = tuple(patterns)
    return any(matches(pattern, path) for path in changed_paths for pattern in wanted)


def by_specificity(patterns: Iterable[str], name: str) -> tuple[str, ...]:
    """The patterns that fit `name`, the most specific last.

    A pattern without wildcards is the most specific; of two others it is the one with more
    characters that are not wildcards, then the one that comes later in the alphabet.
    """
    fitting = {pattern for pattern in patterns if matches(pattern, name)}
    return tuple(sorted(fitting, key=_specificity))


def _specificity(pattern: str) -> tuple[bool, int, str]:
    return (not _WILDCARD.search(pattern), len(_WILDCARD.sub("", pattern)), pattern)
