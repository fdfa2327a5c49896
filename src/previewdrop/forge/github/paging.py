"""Lists that come in pages: https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from previewdrop.forge.github.answers import Answer
from previewdrop.forge.github.calls import Call

Send = Callable[[Call], Awaitable[Answer]]
"""Sends a call with the right token."""


async def pages(send: Send, call: Callable[[int], Call]) -> AsyncGenerator[Any]:
    """The JSON of each page, from the first, which is 1.

    Only whether there is a next page is taken from the host's links, not where: an Enterprise
    Server behind a proxy may name itself in a way that we do not reach.
    """
    page, more = 1, True
    while more:
        answer = await send(call(page))
        yield answer.value
        page, more = page + 1, answer.more
