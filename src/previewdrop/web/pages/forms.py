"""Forms of our pages: what they send, and what is told when they were done."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request

from previewdrop.domain.errors import BadInput

_MOST_BYTES = 16 * 1024
_MOST_FIELDS = 20
_KEPT = 100


async def fields(request: Request) -> dict[str, str]:
    """The fields that are filled in. BadInput for what is no form of ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise BadInput("This form is too large.")
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadInput("This form cannot be read.") from error
    return {name: value.strip() for name, value in pairs if value.strip()}


@dataclass(frozen=True, slots=True)
class Notice:
    """What came of a form: one sentence, and what else is to be said of it."""

    message: str
    more: tuple[str, ...] = ()
    bad: bool = False


class Notices:
    """Notices by an id for the address of the page that shows them, in memory, the newest ones."""

    def __init__(self) -> None:
        self._kept: dict[str, Notice] = {}

    def keep(self, notice: Notice) -> str:
        id = secrets.token_hex(8)
        self._kept = dict([*self._kept.items(), (id, notice)][-_KEPT:])
        return id

    def get(self, id: str) -> Notice | None:
        return self._kept.get(id)
