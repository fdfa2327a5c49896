"""The cache: users as JSON in Redis. Without Redis, reads go to the database."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.config import settings
from app.models import UserRead

TTL = 300
"""Seconds a user stays cached."""

redis = Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
log = logging.getLogger(__name__)


def user_key(user_id: int) -> str:
    return f"user:{user_id}:cache"


async def read_user(user_id: int) -> UserRead | None:
    with optional():
        if cached := await redis.get(user_key(user_id)):
            return UserRead.model_validate_json(cached)
    return None


async def write_user(user: UserRead) -> None:
    with optional():
        await redis.set(user_key(user.id), user.model_dump_json(), ex=TTL)


async def forget_user(user_id: int) -> None:
    with optional():
        await redis.delete(user_key(user_id))


@contextmanager
def optional() -> Iterator[None]:
    """The API works without its cache; what is stale then is so for TTL seconds at most."""
    try:
        yield
    except RedisError as error:
        log.warning("The cache did not answer: %s", error)


async def ping() -> None:
    """Asks the cache for an answer; raises if there is none."""
    await redis.ping()
