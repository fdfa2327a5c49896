"""Every request that came, so that tests can hold a client to a budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """`operation` is the description's id, such as `pulls/list`, or `git/upload-pack`."""

    operation: str
    method: str
    path: str
    query: str
    status: int


class Traffic(list[Seen]):
    """In the order that requests were answered."""

    @property
    def counts(self) -> Counter[str]:
        """By operation, whatever the answer was."""
        return Counter(each.operation for each in self)

    def of(self, operation: str) -> list[Seen]:
        return [each for each in self if each.operation == operation]
