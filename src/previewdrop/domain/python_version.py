"""Which version of Python an image gets for what a repository asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

DEFAULT = "3.12"

_CHOICES = (DEFAULT, "3.13", "3.11", "3.14", "3.10", "3.9")
"""The best first: what has wheels of almost everything, then its neighbours."""

_LATEST_PATCH = 999
_EXACT = re.compile(r"\s*(?:cpython-?|python-?)?@?(\d+\.\d+)(?:\.\d+)*\s*")
_CLAUSE = re.compile(r"\s*(===|==|!=|<=|>=|~=|<|>|\^|~|=)?\s*v?(\d+(?:\.\d+)*)(\.\*)?\s*")


def image_python(wanted: str | None, wish: str | None = None) -> str:
    """The version as images name it, "3.12".

    `wanted` is a version ("3.12.4") or a specifier (">=3.11,<3.13", "^3.11", alternatives with
    `||`). A specifier is met by the version in `wish` if that fits, else by the default, else by
    the nearest that does; images carry the newest patch of their version.
    """
    if wanted and (exact := _EXACT.fullmatch(wanted)):
        return exact[1]
    wished = _EXACT.fullmatch(wish or "")
    choices = (wished[1], *_CHOICES) if wished else _CHOICES
    fitting = (each for each in choices if not wanted or _fits(each, wanted))
    lowest = re.search(r"3\.\d+", wanted or "")
    return next(fitting, lowest[0] if lowest else DEFAULT)


def _fits(version: str, wanted: str) -> bool:
    numbers = (*_numbers(version), _LATEST_PATCH)
    return any(_meets(numbers, part.split(",")) for part in wanted.split("||"))


def _meets(version: tuple[int, ...], clauses: Iterable[str]) -> bool:
    matches = (_CLAUSE.fullmatch(clause) for clause in clauses if clause.strip())
    return all(_satisfies(version, match) for match in matches if match)


def _satisfies(version: tuple[int, ...], clause: re.Match[str]) -> bool:
    """One clause; https://packaging.python.org/en/latest/specifications/version-specifiers/"""
    wanted = _numbers(clause[2])
    full = (*wanted, 0, 0)[:3]
    match clause[1] or "":
        case "" | "=" | "==" | "===":
            return version[: len(wanted)] == wanted
        case "!=":
            return version[: len(wanted)] != wanted
        case ">=":
            return version >= full
        case "<=":
            return version <= full
        case ">":
            return version > full
        case "<":
            return version < full
        case "^":
            return version >= full and version[0] == wanted[0]
        case "~":
            return version >= full and version[: min(len(wanted), 2)] == wanted[:2]
        case _:
            return version >= full and version[: max(len(wanted) - 1, 1)] == wanted[:-1]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(".")[:3])
