"""The known word that somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_LIKE = 0.6


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, None if none is like it at all.

    Counts the order of letters and, as much again, the letters themselves, so that `prot` means
    `port` and not `root`.
    """
    scored = [(_likeness(word, other), other) for other in known]
    best = max(scored, default=None)
    return best[1] if best and best[0] >= _LIKE else None


def _likeness(word: str, other: str) -> float:
    one, two = word.lower(), other.lower()
    in_order = SequenceMatcher(None, one, two, autojunk=False).ratio()
    letters = SequenceMatcher(None, sorted(one), sorted(two), autojunk=False).ratio()
    return (in_order + letters) / 2
