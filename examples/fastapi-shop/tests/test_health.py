from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine

from app import cache, database

NOBODY = "localhost:1"


def test_everything_answers(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_the_database_is_gone(client, monkeypatch):
    gone = create_async_engine(f"postgresql+asyncpg://{NOBODY}/shop")
    monkeypatch.setattr(database, "engine", gone)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["database"] == "unreachable"
    assert answer.json()["cache"] == "connected"


def test_the_cache_is_gone(client, monkeypatch):
    monkeypatch.setattr(cache, "redis", Redis.from_url(f"redis://{NOBODY}/0"))
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["database"] == "connected"
    assert answer.json()["cache"] == "unreachable"
