"""What a preview's role can and cannot do on the shared PostgreSQL, tried with real sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import DatabaseSpec
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.services.postgres import PostgresService

Session = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True)
class Server:
    """A PostgreSQL as its administrator `url` and its previews see it."""

    url: Secret
    superuser: Secret
    host: str
    port: int
    closed: tuple[str, ...] = ("postgres", "template1")


@pytest.fixture(params=["superuser", "ordinary administrator", "container"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "container":
        url = request.getfixturevalue("container_services").database.admin_url
        return Server(url, url, request.getfixturevalue("container_addresses")["db"], 5432)
    service = request.getfixturevalue("postgres_service")
    url = service.admin_url
    if request.param == "ordinary administrator":
        url = request.getfixturevalue("postgres_ordinary_admin")
    closed = (*Server.closed, "previewdrop")
    return Server(url, service.admin_url, "127.0.0.1", service.port, closed)


@pytest.fixture
def url(server: Server) -> Secret:
    return server.url


@pytest_asyncio.fixture
async def driver(url: Secret) -> AsyncGenerator[PostgresDatabase]:
    driver = PostgresDatabase(url, "walls")
    yield driver
    await driver.sweep([])
    await driver.aclose()


@pytest.fixture(params=["database", "schema"])
def isolation(request: pytest.FixtureRequest) -> str:
    return request.param


def spec(number: int, isolation: str = "database", **more: Any) -> DatabaseSpec:
    role = f"walls_pr_{number}"
    name = role if isolation == "database" else "shared__walls"
    return DatabaseSpec(name, role, Secret(f"password {number}"), isolation, **more)


@asynccontextmanager
async def session(
    server: Server, of: DatabaseSpec, database: str | None = None
) -> AsyncGenerator[Session]:
    connection = await psycopg.AsyncConnection.connect(
        host=server.host,
        port=server.port,
        user=of.role,
        password=of.password.reveal(),
        dbname=database or of.name,
        autocommit=True,
    )
    async with connection:
        yield connection


async def value(session: Session, query: str) -> Any:
    row = await (await session.execute(query.encode())).fetchone()
    return row[0] if row else None


async def test_it_works_in_its_own(driver, server, isolation):
    await driver.ensure(spec(1, isolation))
    async with session(server, spec(1, isolation)) as mine:
        await mine.execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
        await mine.execute("INSERT INTO users (email) VALUES ('ali@example.com')")
        await mine.execute("CREATE TYPE colour AS ENUM ('red')")
        await mine.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        await mine.execute("CREATE TEMPORARY TABLE scratch (x int)")
        assert await value(mine, "SELECT count(*) FROM users") == 1
        assert await value(mine, "SHOW server_encoding") == "UTF8"
        where = "SELECT schemaname FROM pg_tables WHERE tablename = 'users'"
        expected = "public" if isolation == "database" else "walls_pr_1"
        assert await value(mine, where) == expected


async def test_the_same_table_in_two_previews_is_two_tables(driver, server, isolation):
    for number in (1, 2):
        await driver.ensure(spec(number, isolation))
        async with session(server, spec(number, isolation)) as mine:
            await mine.execute("CREATE TABLE users (id int)")
            assert await value(mine, "SELECT count(*) FROM users") == 0
            await mine.execute("INSERT INTO users VALUES (1)")


async def test_other_databases_are_closed(driver, server):
    await driver.ensure(spec(1))
    await driver.ensure(spec(2))
    await driver.ensure(spec(3, "schema"))
    for closed in (*server.closed, "walls_pr_2", "shared__walls"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            async with session(server, spec(1), closed):
                pass


async def refused(session: Session, statement: str) -> bool:
    try:
        await session.execute(statement.encode())
    except (errors.InsufficientPrivilege, errors.UndefinedFunction):
        return True
    return False


DENIED = [
    "CREATE DATABASE other",
    "CREATE ROLE other",
    "ALTER ROLE postgres PASSWORD 'x'",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT 100",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SET ROLE postgres",
    "SET ROLE walls_pr_2",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT walls_pr_2 TO CURRENT_USER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/x'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION file_fdw",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'f'",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT pg_reload_conf()",
    "CREATE EVENT TRIGGER t ON login EXECUTE FUNCTION f()",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "SELECT lo_import('/etc/passwd')",
]


async def test_what_reaches_others_is_denied(driver, server, isolation):
    await driver.ensure(spec(1, isolation))
    await driver.ensure(spec(2, isolation))
    async with session(server, spec(1, isolation)) as mine:
        for statement in DENIED:
            assert await refused(mine, statement), f"allowed: {statement}"


async def test_another_schema_is_closed(driver, server):
    await driver.ensure(spec(1, "schema"))
    await driver.ensure(spec(2, "schema"))
    async with session(server, spec(2, "schema")) as theirs:
        await theirs.execute("CREATE TABLE users (id int)")
    async with session(server, spec(1, "schema")) as mine:
        for statement in (
            b"SELECT * FROM walls_pr_2.users",
            b"CREATE TABLE walls_pr_2.mine (id int)",
            b"CREATE TABLE public.mine (id int)",
            b"CREATE TABLE extensions.mine (id int)",
            b"CREATE SCHEMA mine",
            b"DROP SCHEMA walls_pr_2 CASCADE",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                await mine.execute(statement)


async def test_others_queries_are_not_seen(driver, server):
    await driver.ensure(spec(1, "schema"))
    await driver.ensure(spec(2, "schema"))
    async with (
        session(server, spec(1, "schema")) as mine,
        session(server, spec(2, "schema")) as theirs,
    ):
        await theirs.execute("SELECT 'a secret of theirs'")
        seen = await value(mine, "SELECT string_agg(query, ' ') FROM pg_stat_activity")
    assert "a secret of theirs" not in seen


async def test_connections_are_limited(driver, server):
    limited = spec(1, connections=2)
    await driver.ensure(limited)
    async with AsyncExitStack() as open_ones:
        for _ in range(2):
            await open_ones.enter_async_context(session(server, limited))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            async with session(server, limited):
                pass


async def test_revisions_are_read_though_the_pool_is_full(driver, server, isolation):
    limited = spec(1, isolation, connections=2)
    await driver.ensure(limited)
    async with AsyncExitStack() as open_ones:
        for _ in range(2):
            one = await open_ones.enter_async_context(session(server, limited))
        await one.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        await one.execute("INSERT INTO alembic_version VALUES ('a1b2c3')")
        observed = await driver.observe(limited)
        assert observed.revisions == ("a1b2c3",)
        assert observed.bytes > 0
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            async with session(server, limited):
                pass


async def test_reading_revisions_runs_nothing_with_more_rights(driver, server, url):
    """A table that runs code when it is read runs it as the preview's own role."""
    await driver.ensure(spec(1))
    async with session(server, spec(1)) as mine:
        await mine.execute("CREATE TABLE seen (who text)")
        await mine.execute(
            "CREATE FUNCTION spy() RETURNS text LANGUAGE plpgsql AS"
            " $$BEGIN INSERT INTO seen VALUES (session_user); RETURN 'x'; END$$"
        )
        await mine.execute("CREATE TABLE alembic_version (version_num text)")
        await mine.execute("INSERT INTO alembic_version VALUES ('x')")
        await mine.execute("ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY")
        await mine.execute("ALTER TABLE alembic_version FORCE ROW LEVEL SECURITY")
        await mine.execute("CREATE POLICY p ON alembic_version USING (spy() = version_num)")
        await driver.observe(spec(1))
        assert await value(mine, "SELECT string_agg(DISTINCT who, ',') FROM seen") == "walls_pr_1"


async def test_the_password_is_mended(driver, server):
    await driver.ensure(spec(1))
    async with session(server, spec(1)) as mine:
        await mine.execute("ALTER ROLE CURRENT_USER PASSWORD 'my own'")
    assert (await driver.observe(spec(1))).exists
    async with session(server, spec(1)):
        pass


async def test_an_owner_who_opens_its_database_finds_it_closed_again(driver, server):
    await driver.ensure(spec(1))
    await driver.ensure(spec(2))
    async with session(server, spec(1)) as mine:
        await mine.execute("GRANT CONNECT ON DATABASE walls_pr_1 TO PUBLIC")
    await driver.ensure(spec(1))
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        async with session(server, spec(2), "walls_pr_1"):
            pass


async def test_removing_ends_open_sessions(driver, server, isolation):
    await driver.ensure(spec(1, isolation))
    async with session(server, spec(1, isolation)) as mine:
        await mine.execute("CREATE TABLE users (id int)")
        await driver.remove(spec(1, isolation))
        with pytest.raises(psycopg.OperationalError):
            await mine.execute("SELECT 1")


async def test_a_database_that_was_made_a_template_goes_too(driver, server):
    await driver.ensure(spec(1))
    async with session(server, spec(1)) as mine:
        await mine.execute("ALTER DATABASE walls_pr_1 IS_TEMPLATE true")
    await driver.remove(spec(1))
    assert not (await driver.observe(spec(1))).exists


async def test_nothing_is_left(driver, server, isolation):
    await driver.ensure(spec(1, isolation, extensions=("pg_trgm",)))
    await driver.remove(spec(1, isolation))
    async with await psycopg.AsyncConnection.connect(server.superuser.reveal()) as admin:
        left = await admin.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE '%walls%' "
            "UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'walls%'"
        )
        assert await left.fetchall() == []


async def test_extensions_are_there_and_stay(driver, server, isolation):
    wanted = spec(1, isolation, extensions=("pg_trgm", "citext"))
    await driver.ensure(wanted)
    assert (await driver.ensure(wanted))[1]
    async with session(server, wanted) as mine:
        assert await value(mine, "SELECT similarity('word', 'word')") == 1
        await mine.execute("CREATE TABLE t (email citext)")
        await mine.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


async def test_what_the_server_has_instead_is_told(driver):
    with pytest.raises(StageFailed) as raised:
        await driver.ensure(spec(1, extensions=("pg_trigram",)))
    assert "pg_trgm" in raised.value.hint
    with pytest.raises(StageFailed) as raised:
        await driver.ensure(spec(1, extensions=("uuid-ossp",)))
    assert "gen_random_uuid" in raised.value.hint


async def test_another_isolation_starts_anew(driver, server):
    await driver.ensure(spec(1))
    _, there = await driver.ensure(spec(1, "schema"))
    assert not there
    assert not (await driver.observe(spec(1))).exists
    _, there = await driver.ensure(spec(1))
    assert not there


async def test_what_is_not_ours_is_left_alone(driver, url, server):
    theirs = PostgresDatabase(url, "somebody else")
    await theirs.ensure(spec(1))
    with pytest.raises(StageFailed, match="did not make"):
        await driver.ensure(spec(1))
    await driver.remove(spec(1))
    assert await driver.sweep([]) == []
    assert (await theirs.observe(spec(1))).exists
    assert await theirs.sweep([]) == ["walls_pr_1"]
    await theirs.aclose()


async def test_a_failure_in_the_middle_is_completed(driver, server):
    """The server dies between CREATE DATABASE and what follows: the next ensure completes it."""
    await driver.ensure(spec(1))
    async with await psycopg.AsyncConnection.connect(
        server.superuser.reveal(), autocommit=True
    ) as admin:
        await admin.execute("COMMENT ON DATABASE walls_pr_1 IS NULL")
        await admin.execute("ALTER DATABASE walls_pr_1 ALLOW_CONNECTIONS false")
    assert not (await driver.observe(spec(1))).exists
    _, there = await driver.ensure(spec(1))
    assert not there
    assert (await driver.observe(spec(1))).exists


async def test_making_and_removing_at_once_in_a_shared_database(driver):
    for _ in range(2):
        await driver.ensure(spec(1, "schema"))
        await asyncio.gather(
            driver.remove(spec(1, "schema")),
            driver.ensure(spec(2, "schema")),
            driver.ensure(spec(3, "schema")),
        )
        assert (await driver.observe(spec(2, "schema"))).exists
        assert (await driver.observe(spec(3, "schema"))).exists
        await asyncio.gather(driver.remove(spec(2, "schema")), driver.remove(spec(3, "schema")))


async def test_no_password_reaches_a_log(postgres_service):
    driver = PostgresDatabase(postgres_service.admin_url, "walls")
    await driver.ensure(spec(1))
    await driver.ensure(spec(1))
    await driver.remove(spec(1))
    await driver.aclose()
    assert "password 1" not in postgres_service.log.read_text()


async def test_our_own_roles_are_refused_over_tcp(postgres_service: PostgresService):
    """Not even with the right password: previews reach the TCP port."""
    for url in (postgres_service.admin_url, postgres_service.state_url):
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            await psycopg.AsyncConnection.connect(
                url.reveal(), host="127.0.0.1", port=postgres_service.port
            )


async def test_no_server_is_unavailable():
    nobody = PostgresDatabase(Secret("postgresql://a:b@127.0.0.1:1/postgres"), "walls")
    with pytest.raises(Unavailable, match="did not answer") as raised:
        await nobody.ensure(spec(1))
    assert "a:b" not in str(raised.value)
