"""Looking into previews' databases with the previews' own credentials, and no other."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from valkey.exceptions import ResponseError

from previewdrop.cli.redis_client import RedisClient
from previewdrop.domain.errors import Unavailable

_TIMEOUT = 10
_NO_ENTRY = ("permission denied for database",)
_UNKNOWN = ("password authentication failed", "does not exist", "is not permitted to log in")


def columns(database_url: str, table: str) -> set[str]:
    """The columns of a table; empty if there is no such table."""
    found = _query(
        database_url,
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s",
        table,
    )
    return {str(row[0]) for row in found}


def databases_and_roles(database_url: str) -> set[str]:
    """The names of all databases and roles of the server, which every role may read."""
    names = _query(
        database_url, "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles"
    )
    return {str(row[0]) for row in names}


def may_enter(database_url: str, database: str) -> bool:
    """Whether the role of the URL may connect to another database of the same server."""
    parts = urlsplit(database_url)
    return _connects(urlunsplit(parts._replace(path=f"/{database}")), _NO_ENTRY)


def may_log_in(database_url: str) -> bool:
    """Whether the server still knows the role and database of a URL."""
    return _connects(database_url, _UNKNOWN)


def keys(redis_url: str) -> set[str]:
    """The keys of a Redis database."""
    with _redis(redis_url) as ask:
        reply = ask(["KEYS", "*"])
        if isinstance(reply, ResponseError):
            raise Unavailable(f"Redis refused to list the keys: {reply}.")
        return {key.decode(errors="backslashreplace") for key in reply}


def may_select(redis_url: str, number: int) -> bool:
    """Whether the user of the URL may switch to another numbered database."""
    with _redis(redis_url) as ask:
        reply = ask(["SELECT", str(number)])
    if isinstance(reply, ResponseError) and not str(reply).startswith(("NOPERM", "No permissions")):
        raise Unavailable(f"Redis refused for another reason than permissions: {reply}.")
    return not isinstance(reply, ResponseError)


def redis_knows(redis_url: str) -> bool:
    """Whether the server still knows the user of a URL."""
    try:
        with _redis(redis_url) as ask:
            ask(["PING"])
    except Unavailable as error:
        if "username-password" in error.message or "WRONGPASS" in error.message:
            return False
        raise
    return True


def _query(database_url: str, query: LiteralString, *values: str) -> list[tuple[object, ...]]:
    try:
        with psycopg.connect(database_url, connect_timeout=_TIMEOUT) as connection:
            return connection.execute(query, values or None).fetchall()
    except psycopg.Error as error:
        raise Unavailable(f"The database did not answer: {_said(error)}.") from error


def _connects(database_url: str, refusals: tuple[str, ...]) -> bool:
    """Whether a connection is let in; Unavailable if it fails for another reason."""
    try:
        psycopg.connect(database_url, connect_timeout=_TIMEOUT).close()
    except psycopg.OperationalError as error:
        if any(refusal in str(error) for refusal in refusals):
            return False
        raise Unavailable(f"The database did not answer: {_said(error)}.") from error
    return True


@contextmanager
def _redis(url: str) -> Generator[RedisClient]:
    client = RedisClient(url)
    try:
        yield client
    finally:
        client.close()


def _said(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].rstrip(".")
