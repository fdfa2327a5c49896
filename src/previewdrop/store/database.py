"""The connection to the control plane's own state, and bringing its schema up to date."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine as create_engine

from previewdrop.domain.errors import ServerError, Unavailable
from previewdrop.domain.secret import Secret

HEAD = "0008"
"""The newest revision under `migrations/versions`; a test holds it to the folder."""

CHANGES = "previewdrop_changes"
"""The NOTIFY channel on which every change of a preview is told, as JSON."""


class StateDatabase:
    """Short transactions on the state; none stays open while a driver works."""

    def __init__(self, url: Secret) -> None:
        parsed = make_url(url.reveal()).set(drivername="postgresql+psycopg")
        self._engine = create_engine(
            parsed, pool_pre_ping=True, pool_size=5, max_overflow=15, pool_timeout=10
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        # Not rendered as a URL: SQLAlchemy writes a space as `+`, which libpq takes for a plus.
        self.conninfo = make_conninfo(**parsed.get_dialect()().create_connect_args(parsed)[1])

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """One transaction; `Unavailable` when the server is not there."""
        try:
            async with self._sessions() as session, session.begin():
                yield session
        except (OperationalError, PoolTimeout) as error:
            raise Unavailable("The state database does not answer.") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unavailable("The state database closed the connection.") from error
            raise

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[AsyncIterator[str]]:
        """The payloads of CHANGES as they come, on a connection of its own; or `Unavailable`."""
        try:
            connecting = psycopg.AsyncConnection.connect(self.conninfo, autocommit=True)
            async with await connecting as connection:
                await connection.execute(f"LISTEN {CHANGES}")
                # Left open, it would keep the connection from being closed.
                async with aclosing(connection.notifies()) as notices:
                    yield (notice.payload async for notice in notices)
        except psycopg.Error as error:
            raise Unavailable("The state database tells of no changes.") from error

    async def migrate(self) -> None:
        """Brings the schema to HEAD. Alembic is imported only when there is something to do."""
        async with self._engine.connect() as connection:
            known = await connection.scalar(
                text("SELECT to_regclass('alembic_version') IS NOT NULL")
            )
            if (
                known
                and await connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
            ):
                return
        async with self._engine.begin() as connection:
            await _upgrade(connection)

    async def close(self) -> None:
        await self._engine.dispose()


async def _upgrade(connection: AsyncConnection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "previewdrop:store/migrations")

    def run(sync_connection: object) -> None:
        cast("dict[str, object]", config.attributes)["connection"] = sync_connection
        command.upgrade(config, "head")

    await connection.run_sync(run)


async def create_if_missing(url: Secret) -> None:
    """Creates the database of the URL, on a server where the user may; nothing if it is there."""
    parsed = make_url(url.reveal()).set(drivername="postgresql")
    name = parsed.database or ""
    server = parsed.set(database="postgres").render_as_string(hide_password=False)
    try:
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if await (await connection.execute(query, (name,))).fetchone() is None:
                await connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    except psycopg.errors.DuplicateDatabase:
        return
    except psycopg.Error as error:
        raise ServerError(
            f"The state database {name} cannot be made: {str(error).splitlines()[0]}.",
            "Check PREVIEWDROP_POSTGRES_URL, or name a database with PREVIEWDROP_STATE_URL.",
        ) from error
