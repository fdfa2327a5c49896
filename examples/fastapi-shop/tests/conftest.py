import asyncio

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from app import cache, database
from app.main import app


class Memory:
    """As much of Redis as the app uses."""

    def __init__(self):
        self.values = {}

    async def ping(self):
        return True

    async def get(self, key):
        return self.values.get(key)

    async def set(self, key, value, ex):
        self.values[key] = value

    async def delete(self, key):
        self.values.pop(key, None)

    async def aclose(self):
        self.values.clear()


@pytest.fixture
def redis(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(cache, "redis", memory)
    return memory


@pytest.fixture
def client(tmp_path, monkeypatch, redis):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    monkeypatch.setattr(database, "engine", engine)

    async def create_tables():
        async with engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
        await engine.dispose()

    asyncio.run(create_tables())
    with TestClient(app) as client:
        yield client
