"""Connections to the server of preview databases: a few that are kept, others for one use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret
from previewdrop.drivers.postgres import commands

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_OLDEST = 140000
_CONNECT_TIMEOUT = 10


class Connections:
    """Administrator's connections, all in autocommit.

    `url` is a libpq URL of an administrator: a superuser, or a role with CREATEDB and CREATEROLE.
    Errors of psycopg come through.
    """

    def __init__(self, url: Secret, limit: int = 4) -> None:
        self._url = url.reveal()
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(limit)

    def reach(self) -> tuple[str, int]:
        """Host and port of the URL."""
        parts = conninfo_to_dict(self._url)
        return str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)

    @asynccontextmanager
    async def maintenance(self) -> AsyncGenerator[Connection]:
        """A kept connection to the administrator's own database."""
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            finally:
                if connection.info.transaction_status is TransactionStatus.IDLE:
                    self._idle.append(connection)
                else:
                    await connection.close()

    @asynccontextmanager
    async def inside(self, database: str) -> AsyncGenerator[Connection]:
        """A connection to a preview's database, as the administrator."""
        connection = await self._connect(dbname=database)
        async with connection:
            yield connection

    @asynccontextmanager
    async def as_role(
        self, database: str, role: str, password: Secret, timeout: float
    ) -> AsyncGenerator[Connection]:
        """A connection as the preview's own role; statements end after `timeout` seconds.

        What the role made may run code of its choice when it is read, so it is read as the role.
        """
        options = f"-c statement_timeout={int(timeout * 1000)}"
        connection = await psycopg.AsyncConnection.connect(
            self._to(dbname=database, user=role, password=password.reveal(), options=options),
            autocommit=True,
        )
        async with connection:
            yield connection

    async def forget(self) -> None:
        """Closes the kept connections, for instance because the server was restarted."""
        while self._idle:
            await self._idle.pop().close()

    def _to(self, **asked: str) -> str:
        return make_conninfo(self._url, connect_timeout=_CONNECT_TIMEOUT, **asked)

    async def _connect(self, **asked: str) -> Connection:
        connection = await psycopg.AsyncConnection.connect(self._to(**asked), autocommit=True)
        try:
            if connection.info.server_version < _OLDEST:
                raise BadConfig(
                    "The PostgreSQL server is older than version 14.",
                    "Set PREVIEWDROP_POSTGRES_URL to a newer one, or unset it to use the embedded.",
                )
            await connection.execute(commands.SESSION)
        except BaseException:
            await connection.close()
            raise
        return connection
