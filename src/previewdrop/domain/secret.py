"""A string that redacts itself wherever it could be printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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

    Values shorter than six characters are left alone: redacting every `1` helps nobody.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = {
            line for secret in secrets for line in (secret.reveal(), *secret.reveal().splitlines())
        }
        self._values = sorted(
            (v for v in values if len(v) >= _SHORTEST_WORTH_REDACTING), key=len, reverse=True
        )

    def __call__(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, REDACTED)
        return text
