"""A string that redacts itself wherever it could be printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

REDACTED = "•••"
_SHORTEST_WORTH_REDACTING = 6


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret value. `reveal()` is the only way to read it, so every use is found by its name."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return str(self)

    def __bool__(self) -> bool:
        return bool(self._value)


class Redactor:
    """Replaces every known secret in a text by •••.

    Finds a secret also line by line, percent-encoded, and as JSON writes it. Secrets that overlap
    go together, so that no rest of one stays. Values shorter than six characters are left alone:
    redacting every `1` helps nobody.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = {
            form
            for secret in secrets
            for line in (secret.reveal(), *secret.reveal().splitlines())
            for form in _forms(line)
        }
        self._values = sorted(v for v in values if len(v.strip()) >= _SHORTEST_WORTH_REDACTING)

    def __call__(self, text: str) -> str:
        spans = sorted(
            (at, at + len(value))
            for value in self._values
            if value in text
            for at in _places(value, text)
        )
        if not spans:
            return text
        kept: list[str] = []
        end = 0
        for start, stop in spans:
            if start >= end:
                kept += (text[end:start], REDACTED)
            end = max(end, stop)
        return "".join((*kept, text[end:]))


def _forms(value: str) -> tuple[str, ...]:
    quoted = quote(value, safe="", errors="surrogatepass")
    return value, quoted, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]


def _places(value: str, text: str) -> Iterator[int]:
    at = text.find(value)
    while at >= 0:
        yield at
        at = text.find(value, at + 1)
