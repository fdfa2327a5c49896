"""Trying again what passes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from previewdrop.domain.errors import Unavailable

T = TypeVar("T")

DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the attempts, all in all a quarter of a minute."""


async def patiently(attempt: Callable[[], Awaitable[T]], log: Callable[[str], None]) -> T:
    """The result of `attempt`, which is made again as long as it says `Unavailable`."""
    for delay in DELAYS:
        try:
            return await attempt()
        except Unavailable as error:
            log(f"{error.message} Trying again in {delay:g} s.")
            await asyncio.sleep(delay)
    return await attempt()


async def together(*work: Awaitable[object]) -> None:
    """Runs all at the same time; when one fails the others are stopped and its error raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
