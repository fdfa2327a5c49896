"""The one LISTEN of the server: whatever happens to it, it listens again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest

from previewdrop.store.database import CHANGES, StateDatabase
from previewdrop.store.previews import PreviewRow
from previewdrop.store.store import Store
from previewdrop.web.events import Change, Changes


@pytest.fixture
async def listening(changes: Changes) -> AsyncGenerator[Changes]:
    """Changes that listen already."""
    with changes.follow() as queue:
        task = asyncio.create_task(changes.run())
        assert await asyncio.wait_for(queue.get(), 10) is None
    yield changes
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_nothing_ends_the_listening(
    main: PreviewRow, listening: Changes, state: StateDatabase, store: Store
) -> None:
    with listening.follow() as queue:
        async with await psycopg.AsyncConnection.connect(state.conninfo, autocommit=True) as other:
            await other.execute(f"NOTIFY {CHANGES}, 'no JSON'")
            assert await asyncio.wait_for(queue.get(), 10) is None
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            )
            assert await asyncio.wait_for(queue.get(), 10) is None
        await store.previews.ask_again(main.preview.id)
        assert await asyncio.wait_for(queue.get(), 10) == Change(main.preview.id)


async def test_a_listen_that_fails_is_tried_again(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = psycopg.AsyncConnection.execute, [psycopg.OperationalError("closed")]

    async def execute(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        if str(query).startswith("LISTEN") and failures:
            raise failures.pop()
        return await real(self, query, *more, **named)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
    with changes.follow() as queue:
        task = asyncio.create_task(changes.run())
        assert await asyncio.wait_for(queue.get(), 10) is None
        assert failures == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
