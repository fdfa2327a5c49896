"""Makes a database, or a schema, and a role for each preview on one PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import namedtuple_row

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import DatabaseSpec
from previewdrop.drivers.base import Endpoint, ObservedDatabase, Reach
from previewdrop.drivers.postgres import commands
from previewdrop.drivers.postgres.commands import Mark
from previewdrop.drivers.postgres.connections import Connection, Connections
from previewdrop.drivers.postgres.errors import is_collision, is_lost_connection, translated

Result = TypeVar("Result")

_TRIES = 6
_OBSERVE_TIMEOUT = 10.0
_EXTRA_SLOTS = 2


class PostgresDatabase:
    """The Database contract on PostgreSQL 14 or newer.

    `url` is that of an administrator (superuser, or CREATEDB and CREATEROLE). `reach` says host and
    port for previews; without it they are those of the URL. Raises StageFailed when a role or
    database of that name belongs to somebody else. Call `aclose` at the end.
    """

    def __init__(self, url: Secret, installation: str, reach: Reach | None = None) -> None:
        self._connections = Connections(url)
        self._installation = installation
        self._reach = reach or self._connections.reach

    async def ensure(self, spec: DatabaseSpec) -> tuple[Endpoint, bool]:
        there = await self._repeat(lambda: self._ensure(spec))
        schema = spec.role if spec.isolation == "schema" else None
        host, port = self._reach()
        return Endpoint(host, port, spec.name, spec.role, spec.password, schema), there

    async def observe(self, spec: DatabaseSpec) -> ObservedDatabase:
        return await self._repeat(lambda: self._observe(spec))

    async def remove(self, spec: DatabaseSpec) -> None:
        await self._repeat(lambda: self._remove(spec.role, Mark.of(self._installation, spec)))

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        return await self._repeat(lambda: self._sweep(wanted))

    async def aclose(self) -> None:
        await self._connections.forget()

    async def _repeat(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Runs idempotent work again when sessions collided, and once when the server was away."""
        lost = False
        for attempt in range(_TRIES):
            try:
                return await work()
            except psycopg.Error as error:
                first_loss = is_lost_connection(error) and not lost
                if not (first_loss or is_collision(error)) or attempt == _TRIES - 1:
                    raise translated(error) from error
                lost = lost or first_loss
            if lost:
                await self._connections.forget()
            await asyncio.sleep(0.02 * 2**attempt)
        raise AssertionError("unreachable")

    async def _ensure(self, spec: DatabaseSpec) -> bool:
        mark = Mark.of(self._installation, spec)
        async with self._connections.maintenance() as connection:
            seen = await _look(connection, spec.role, spec.name)
            before = self._ours(seen, spec)
            if before and (before.isolation, before.name) != (mark.isolation, mark.name):
                await self._drop_place(connection, spec.role, before)
                seen = await _look(connection, spec.role, spec.name)
            verifier = _verifier(connection, spec)
            await connection.execute(
                commands.mend_role(spec, verifier, mark)
                if seen.role
                else commands.create_role(spec, verifier, mark, superuser=bool(seen.superuser))
            )
            if spec.isolation == "schema":
                async with _locked(connection, spec.name):
                    return await self._ensure_schema(connection, spec)
            owner = spec.role
            return await self._ensure_database(connection, spec, seen, owner) and seen.role

    async def _ensure_database(
        self, connection: Connection, spec: DatabaseSpec, seen: Seen, owner: str | None
    ) -> bool:
        """The database itself with its extensions; whether it was there, complete."""
        if not seen.database:
            await connection.execute(commands.create_database(spec.name, owner))
        plain = commands.database_mark(self._installation, ())
        wanted = commands.database_mark(self._installation, spec.extensions)
        whole = bool(seen.database and seen.open and seen.database_mark)
        if not whole:
            await connection.execute(commands.open_database(spec.name, plain))
        elif seen.public:
            await connection.execute(commands.close_to_public(spec.name))
        if spec.extensions and seen.database_mark != wanted:
            await self._add_extensions(spec, "public" if owner else commands.EXTENSIONS_SCHEMA)
            await connection.execute(commands.remark_database(spec.name, wanted))
        return whole

    async def _ensure_schema(self, connection: Connection, spec: DatabaseSpec) -> bool:
        seen = await _look(connection, spec.role, spec.name)
        if seen.database and not self._is_shared(seen):
            raise _foreign("database", spec.name)
        bare = DatabaseSpec(spec.name, spec.role, spec.password, spec.isolation)
        await self._ensure_database(connection, bare, seen, None)
        await connection.execute(commands.enter_shared_database(spec))
        async with self._connections.inside(spec.name) as inside:
            there = await _column(inside, commands.SCHEMAS)
            await inside.execute(commands.create_schema(spec.role))
        if spec.extensions:
            await self._add_extensions(spec, commands.EXTENSIONS_SCHEMA)
        return spec.role in there

    async def _add_extensions(self, spec: DatabaseSpec, schema: str) -> None:
        async with self._connections.inside(spec.name) as inside:
            rows = await (await inside.execute(commands.AVAILABLE)).fetchall()
            fixed = {str(name): place for name, place in rows}
            for name in spec.extensions:
                if name not in fixed:
                    raise StageFailed(*commands.missing_extension(name, fixed))
                place = None if fixed[name] else schema
                await inside.execute(commands.create_extension(name, place))

    async def _observe(self, spec: DatabaseSpec) -> ObservedDatabase:
        mark = Mark.of(self._installation, spec)
        async with self._connections.maintenance() as connection:
            seen = await _look(connection, spec.role, spec.name)
            if Mark.parse(seen.role_mark) != mark or not (seen.database and seen.open):
                return ObservedDatabase(exists=False)
            verifier = _verifier(connection, spec)
        try:
            async with asyncio.timeout(_OBSERVE_TIMEOUT):
                return await self._observe_inside(spec)
        except TimeoutError as error:
            raise Unavailable(f"The database {spec.name} did not answer.") from error
        except psycopg.OperationalError as error:
            if not isinstance(error, errors.TooManyConnections) and error.sqlstate:
                raise
            # A refused log-in has no SQLSTATE in psycopg: the app's pool is full, or the role
            # changed its password. Both are mended for the moment of the look.
            return await self._observe_mended(spec, verifier, mark)

    async def _observe_mended(
        self, spec: DatabaseSpec, verifier: str, mark: Mark
    ) -> ObservedDatabase:
        async with self._connections.maintenance() as connection:
            await connection.execute(commands.mend_role(spec, verifier, mark, extra=_EXTRA_SLOTS))
            try:
                return await self._observe_inside(spec)
            finally:
                await connection.execute(commands.mend_role(spec, verifier, mark))

    async def _observe_inside(self, spec: DatabaseSpec) -> ObservedDatabase:
        async with self._connections.as_role(
            spec.name, spec.role, spec.password, _OBSERVE_TIMEOUT
        ) as inside:
            by_schema = spec.isolation == "schema"
            if by_schema and spec.role not in await _column(inside, commands.SCHEMAS):
                return ObservedDatabase(exists=False)
            size = commands.SCHEMA_SIZE if by_schema else commands.DATABASE_SIZE
            bytes_ = int((await _column(inside, size))[0])
            revisions: list[str] = []
            for schema in await _column(inside, commands.ALEMBIC_TABLES):
                revisions += await _column(inside, commands.revisions_in(schema))
        return ObservedDatabase(True, bytes_, tuple(revisions))

    async def _remove(self, role: str, expected: Mark) -> None:
        async with self._connections.maintenance() as connection:
            seen = await _look(connection, role, expected.name)
            mark = Mark.parse(seen.role_mark)
            if not seen.role or not mark or mark.installation != self._installation:
                return
            await self._drop_place(connection, role, mark)
            try:
                await connection.execute(commands.drop_role(role))
            except errors.DependentObjectsStillExist:
                await connection.execute(commands.drop_schema(role))
                await connection.execute(commands.drop_role(role))

    async def _drop_place(self, connection: Connection, role: str, mark: Mark) -> None:
        """Drops the database or schema that the mark speaks of; the role stays."""
        seen = await _look(connection, role, mark.name)
        if mark.isolation != "schema":
            if seen.database and seen.owner == role:
                for statement in commands.drop_database(mark.name, template=bool(seen.template)):
                    await connection.execute(statement)
            return
        async with _locked(connection, mark.name):
            seen = await _look(connection, role, mark.name)
            if not seen.database or not self._is_shared(seen):
                return
            await connection.execute(commands.lock_out(role))
            async with self._connections.inside(mark.name) as inside:
                await inside.execute(commands.drop_schema(role))
                others = await _column(inside, commands.SCHEMAS)
            if not others:
                for statement in commands.drop_database(mark.name):
                    await connection.execute(statement)

    async def _sweep(self, wanted: Collection[str]) -> list[str]:
        prefix = commands.mark_prefix(self._installation)
        async with self._connections.maintenance() as connection:
            roles = await (await connection.execute(commands.MARKED_ROLES, (prefix,))).fetchall()
        marks = {str(role): Mark.parse(text) for role, text in roles}
        gone = [role for role in marks if role not in wanted]
        for role in gone:
            if mark := marks[role]:
                await self._remove(role, mark)
        in_use = {mark.name for role, mark in marks.items() if mark and role in wanted}
        async with self._connections.maintenance() as connection:
            for name in await _column(connection, commands.MARKED_DATABASES, prefix):
                if name not in in_use:
                    async with _locked(connection, name):
                        for statement in commands.drop_database(name):
                            await connection.execute(statement)
        return gone

    def _ours(self, seen: Seen, spec: DatabaseSpec) -> Mark | None:
        """The role's mark, None if there is no role; StageFailed if something is not ours."""
        mark = Mark.parse(seen.role_mark)
        if seen.role and (mark is None or mark.installation != self._installation):
            raise _foreign("role", spec.role)
        if spec.isolation != "schema" and seen.database and seen.owner != spec.role:
            raise _foreign("database", spec.name)
        return mark

    def _is_shared(self, seen: Seen) -> bool:
        prefix = commands.mark_prefix(self._installation)
        # Without a mark it was created a moment before a crash, and never opened.
        return (seen.database_mark or "").startswith(prefix) or not (
            seen.open or seen.database_mark
        )


class Seen:
    """One row of commands.LOOK."""

    superuser: bool
    role: bool
    role_mark: str | None
    database: bool
    database_mark: str | None
    owner: str | None
    open: bool | None
    template: bool | None
    public: bool | None


async def _look(connection: Connection, role: str, name: str) -> Seen:
    cursor = connection.cursor(row_factory=namedtuple_row)
    await cursor.execute(commands.LOOK, {"role": role, "name": name})
    return await cursor.fetchone()  # pyright: ignore[reportReturnType]


async def _column(connection: Connection, query: sql.SQL | sql.Composed, *values: str) -> list[str]:
    return [row[0] for row in await (await connection.execute(query, values or None)).fetchall()]


def _verifier(connection: Connection, spec: DatabaseSpec) -> str:
    """The SCRAM verifier, made here, so that the password is in no statement and no log."""
    return connection.pgconn.encrypt_password(
        spec.password.reveal().encode(), spec.role.encode(), b"scram-sha-256"
    ).decode()


@asynccontextmanager
async def _locked(connection: Connection, name: str) -> AsyncGenerator[None]:
    """One session at a time makes or drops a shared database."""
    await connection.execute(commands.LOCK, (f"previewdrop:{name}",))
    try:
        yield
    finally:
        await connection.execute(commands.UNLOCK, (f"previewdrop:{name}",))


def _foreign(kind: str, name: str) -> StageFailed:
    return StageFailed(
        f"The PostgreSQL server has a {kind} {name!r} already that PreviewDrop did not make.",
        "Rename it, or rename the project.",
    )
