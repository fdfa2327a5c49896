"""PostgreSQL and Redis URLs: which of them stand for the preview's own, and how those look."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from previewdrop.domain.secret import Secret

PLACEHOLDER_HOSTS = frozenset({"db", "cache", "localhost", "127.0.0.1", "::1", "postgres", "redis"})
"""Hosts that stand for "the database" or "the cache" of whoever runs the app.

`127.0.0.1` and `::1` are `localhost` by number. `postgres` and `redis` are what compose files call
services made from the official images of these names.
"""

_REST = r"(?P<host>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?"
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+._-]*)://(?:[^/?#@]*@)?" + _REST, re.IGNORECASE | re.DOTALL
)
_BARE_PASSWORD_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+._-]*)://(?:[^/?#@:]*:[^@]*@)" + _REST, re.IGNORECASE | re.DOTALL
)
"""A URL whose password holds `/`, `?` or `#` as they are: SQLAlchemy takes it."""

_DATABASE_SCHEME = re.compile(r"(?:db\+)?postgres(?:ql)?(?:\+[a-z0-9_]+)?", re.IGNORECASE)
_CACHE_SCHEME = re.compile(r"redis|rediss|valkey|valkeys", re.IGNORECASE)
_SOCKET_SCHEME = re.compile(r"unix|redis\+socket", re.IGNORECASE)

_DATABASE_PLACE = frozenset(
    {"host", "hostaddr", "port", "user", "password", "dbname", "database", "passfile", "service"}
)
_DATABASE_TLS = frozenset(
    {"sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir"}
)
_TLS_DEMANDED = frozenset({"require", "verify-ca", "verify-full", "true", "1", "on", "yes"})
_CACHE_PLACE = frozenset({"db", "host", "port", "path", "username", "password", "virtual_host"})


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """Where a preview reaches its PostgreSQL database, and as whom. `tls`: the server speaks it.

    `schema` is set when the preview has a schema of its own in a shared database.
    """

    host: str
    port: int
    name: str
    user: str
    password: Secret
    schema: str | None = None
    tls: bool = False


@dataclass(frozen=True, slots=True)
class CacheAccess:
    """Where a preview reaches its Redis database, and as whom. `tls`: the server speaks it."""

    host: str
    port: int
    number: int
    user: str
    password: Secret
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A URL of the preview's own, and what of the old one could not be kept, for people.

    `scheme` is the scheme that was kept, None where the old value had no usable one.
    """

    url: str
    scheme: str | None
    dropped: tuple[str, ...] = ()


def is_database_url(value: str) -> bool:
    """Whether the whole value is a PostgreSQL URL, with any driver in its scheme."""
    match = _parsed(value)
    return match is not None and _DATABASE_SCHEME.fullmatch(match["scheme"]) is not None


def is_cache_url(value: str) -> bool:
    """Whether the whole value is a Redis or Valkey URL over TCP."""
    match = _parsed(value)
    return match is not None and _CACHE_SCHEME.fullmatch(match["scheme"]) is not None


def has_placeholder_host(value: str) -> bool:
    """Whether the URL's host stands for the preview's own database or cache."""
    return host_of(value) in PLACEHOLDER_HOSTS


def host_of(value: str) -> str | None:
    """The host of a URL in lower case, without brackets; None if the value is not a URL."""
    match = _parsed(value)
    if match is None:
        return None
    host = match["host"].lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def database_url(access: DatabaseAccess, like: str = "") -> Rewritten:
    """The URL of the preview's database with the scheme and query string of the URL `like`.

    Dropped from the query: what says where the database is, demands for TLS that the server does
    not speak, and a `search_path` when the role has one of its own. A `like` that is no
    PostgreSQL URL counts for nothing.
    """
    match = _parsed(like) if is_database_url(like) else None
    scheme = match["scheme"] if match else None

    def kept(name: str, value: str) -> bool:
        if name in _DATABASE_PLACE:
            return False
        if access.schema and name == "options" and "search_path" in value:
            return False
        if access.tls:
            return True
        demands = name in ("sslmode", "ssl", "channel_binding") and value.lower() in _TLS_DEMANDED
        return name not in _DATABASE_TLS and not demands

    query, dropped = _filtered((match["query"] or "") if match else "", kept)
    where = _authority(access.user, access.password, access.host, access.port)
    name = quote(access.name, safe="")
    return Rewritten(f"{scheme or 'postgresql'}://{where}/{name}{query}", scheme, dropped)


def cache_url(access: CacheAccess, like: str = "") -> Rewritten:
    """The URL of the preview's Redis database with the scheme and query string of the URL `like`.

    The scheme says TLS exactly if the server speaks it. A Unix socket becomes `redis://`. Dropped
    from the query: what says where the database is, and TLS options without TLS.
    """
    match = _parsed(like)
    scheme = match["scheme"].lower() if match and _CACHE_SCHEME.fullmatch(match["scheme"]) else None
    socket = bool(match and _SOCKET_SCHEME.fullmatch(match["scheme"]))

    def kept(name: str, _value: str) -> bool:
        return name not in _CACHE_PLACE and (access.tls or not name.startswith("ssl"))

    usable = match["query"] or "" if match and (scheme or socket) else ""
    query, dropped = _filtered(usable, kept)
    secured = (scheme or "redis").removesuffix("s" if scheme in ("rediss", "valkeys") else "")
    secured += "s" if access.tls else ""
    where = _authority(access.user, access.password, access.host, access.port)
    kept_scheme = scheme if scheme == secured else None
    return Rewritten(f"{secured}://{where}/{access.number}{query}", kept_scheme, dropped)


def _parsed(value: str) -> re.Match[str] | None:
    match = _URL.fullmatch(value)
    odd = match is None or re.search(r":(?!\d*(?:,|$))", re.sub(r"\[.*?\]", "", match["host"]))
    return _BARE_PASSWORD_URL.fullmatch(value) or match if odd else match


def _authority(user: str, password: Secret, host: str, port: int) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return f"{quote(user, safe='')}:{quote(password.reveal(), safe='')}@{bracketed}:{port}"


def _filtered(query: str, kept: Callable[[str, str], bool]) -> tuple[str, tuple[str, ...]]:
    """The query with its `?`, kept items exactly as they were written, and the dropped names."""
    keep: list[str] = []
    dropped: list[str] = []
    for item in filter(None, query.split("&")):
        name, _, value = item.partition("=")
        if kept(unquote_plus(name).lower(), unquote_plus(value)):
            keep.append(item)
        else:
            dropped.append(unquote_plus(name))
    return ("?" + "&".join(keep) if keep else ""), tuple(dropped)
