"""The command lines of the clients for a preview's data, built and never run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

_PG_OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "options": "PGOPTIONS",
}


@dataclass(frozen=True, slots=True)
class Command:
    """An argv, and the variables that it needs besides those of the caller.

    Everything that is said about the connection is said by variables: an argv can be read by
    every user of the machine.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def psql(binary: str, url: str, arguments: Sequence[str]) -> Command:
    """`psql` on the database of a `postgresql://` URL.

    https://www.postgresql.org/docs/current/libpq-envars.html
    """
    parts = urlsplit(url)
    environment = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port) if parts.port else None,
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
    }
    for name, value in parse_qsl(parts.query):
        if name in _PG_OPTIONS:
            environment[_PG_OPTIONS[name]] = value
    return Command(
        (binary, *arguments), {name: value for name, value in environment.items() if value}
    )


def redis_cli(binary: str, url: str, arguments: Sequence[str]) -> Command:
    """`redis-cli` or `valkey-cli` on the database of a `redis://`, `rediss://` or `unix://` URL.

    Both read the password from REDISCLI_AUTH: https://redis.io/docs/latest/develop/tools/cli/
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        where, number = ["-s", unquote(parts.path)], query.get("db", "0")
    else:
        where = ["-h", parts.hostname or "127.0.0.1", "-p", str(parts.port or 6379)]
        number = query.get("db") or parts.path.removeprefix("/") or "0"
    if parts.scheme == "rediss":
        where.append("--tls")
    if parts.username:
        where += ["--user", unquote(parts.username)]
    password = unquote(parts.password or "")
    return Command(
        (binary, *where, "-n", number, *arguments), {"REDISCLI_AUTH": password} if password else {}
    )


def without_connection(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the caller's own connections to PostgreSQL and Redis."""
    return {
        name: value
        for name, value in environment.items()
        if not (name in _PG_VARIABLES or name.startswith(("REDISCLI_", "VALKEYCLI_")))
    }


_PG_VARIABLES = frozenset(_PG_OPTIONS.values()) | {
    "PGHOSTADDR", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGDATABASE", "PGSERVICE",
    "PGSERVICEFILE", "PGSSLCERT", "PGSSLKEY", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS",
}  # fmt: skip
