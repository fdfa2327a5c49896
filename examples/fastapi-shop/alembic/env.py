"""Runs the migrations with the app's own asynchronous driver."""

import asyncio
import os
from logging.config import fileConfig

from sqlalchemy import Connection, MetaData, pool
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import context

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)


def database_url() -> str:
    if url := os.environ.get("DATABASE_URL"):
        return url
    from app.config import settings

    return settings.database_url


def target_metadata() -> MetaData | None:
    """The models, for the commands that compare them. An upgrade starts faster without them."""
    command = getattr(config.cmd_opts, "cmd", None)
    if command and command[0].__name__ not in {"revision", "check"}:
        return None
    from app.models import SQLModel

    return SQLModel.metadata


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=target_metadata())
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    engine = create_async_engine(database_url(), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=database_url(), literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(run_online())
