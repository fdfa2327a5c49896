"""A preview's database and cache, reached as its app reaches them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import valkey.asyncio

from e2e.server import Json, Server, preview_path


@asynccontextmanager
async def database_of(server: Server, preview: Json) -> AsyncGenerator[psycopg.AsyncConnection]:
    """A connection as the preview's own role; every statement is committed at once."""
    url = (await server.get(preview_path(preview["name"]) + "/connection"))["database_url"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def cache_of(server: Server, preview: Json) -> AsyncGenerator[Any]:
    """A client as the preview's own user."""
    url = (await server.get(preview_path(preview["name"]) + "/connection"))["redis_url"]
    async with cache_at(url) as client:
        yield client


@asynccontextmanager
async def cache_at(url: str) -> AsyncGenerator[Any]:
    """A client that answers bytes; the library's types are not strict enough to be used here."""
    client: Any = valkey.asyncio.Valkey.from_url(url)
    yield client
    await client.aclose()


async def rows(connection: psycopg.AsyncConnection, query: str) -> list[tuple[object, ...]]:
    return await (await connection.execute(query.encode())).fetchall()
