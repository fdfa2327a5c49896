"""The state's schema: from every revision to the newest, the same as the tables say."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from previewdrop.domain.secret import Secret
from previewdrop.services.embedded import with_database
from previewdrop.services.postgres import PostgresService
from previewdrop.store.database import HEAD, StateDatabase
from previewdrop.store.tables import Base


@pytest_asyncio.fixture
async def url(postgres_service: PostgresService) -> AsyncGenerator[Secret]:
    """An empty database."""
    admin = postgres_service.admin_url.reveal()
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
        await connection.execute("CREATE DATABASE migrated")
        yield with_database(postgres_service.admin_url, "migrated")
        await connection.execute("DROP DATABASE migrated WITH (FORCE)")


def upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "previewdrop:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def sync_url(url: Secret) -> str:
    return url.reveal().replace("postgresql://", "postgresql+psycopg://", 1)


def test_head_is_the_newest_revision() -> None:
    import previewdrop

    folder = Path(previewdrop.__file__).parent / "store" / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


async def test_the_tables_are_what_the_revisions_make(url: Secret) -> None:
    database = StateDatabase(url)
    await database.migrate()
    await database.migrate()
    await database.close()
    engine = create_engine(sync_url(url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or _ours(name)}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def _ours(name: str | None) -> bool:
    return name in Base.metadata.tables


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://bob:hunter2secret@example.com/shop", "https://example.com/shop"),
        ("http://token@example.com/shop@home", "http://example.com/shop@home"),
        ("ssh://git@example.com/shop", "ssh://git@example.com/shop"),
        ("/srv/a@b", "/srv/a@b"),
    ],
)
def test_logins_leave_the_addresses(url: Secret, before: str, after: str) -> None:
    engine = create_engine(sync_url(url))
    with engine.begin() as connection:
        upgrade(connection, "0001")
        row = text("INSERT INTO projects (name, source) VALUES ('shop', :source)")
        connection.execute(row, {"source": before})
        upgrade(connection, "head")
        assert connection.execute(text("SELECT source, login FROM projects")).one() == (after, None)
    engine.dispose()


def test_webhook_calls_that_nobody_knows_the_connection_of_are_forgotten(url: Secret) -> None:
    engine = create_engine(sync_url(url))
    with engine.begin() as connection:
        upgrade(connection, "0004")
        connection.execute(text("INSERT INTO deliveries (id) VALUES ('d-1')"))
        upgrade(connection, "head")
        row = text("INSERT INTO deliveries (forge_id, id) VALUES (:forge, 'd-1')")
        for forge in (1, 2):
            connection.execute(row, {"forge": forge})
    engine.dispose()
