"""Which operation is handled by what, and which permission it needs.

GitHub's description does not tell permissions; they are on
https://docs.github.com/rest/authentication/permissions-required-for-github-apps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from github_standin.calls import Answer, Call

Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Known:
    """`permissions` are those of which a viewer needs one, at this level."""

    handle: Handler
    permissions: tuple[str, ...]
    level: str


OPERATIONS: dict[str, Known] = {}


def operation(id: str, *permissions: str, level: str = "read") -> Callable[[Handler], Handler]:
    """Handles an operation of the description, by its `operationId`."""

    def known(handler: Handler) -> Handler:
        OPERATIONS[id] = Known(handler, permissions or ("metadata",), level)
        return handler

    return known
