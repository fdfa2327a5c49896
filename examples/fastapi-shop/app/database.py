"""The database. It knows nothing of FastAPI, so that the seed script starts fast."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.config import settings

engine = create_async_engine(
    settings.database_url,
    pool_size=settings.db_pool_size,
    max_overflow=2,
    pool_pre_ping=True,
    connect_args={"timeout": 5},
)


async def ping() -> None:
    """Asks the database for an answer; raises if there is none."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
