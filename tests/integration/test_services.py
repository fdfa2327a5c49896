"""The embedded services: killed, adopted, replaced, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from valkey.asyncio import Valkey

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec, DatabaseSpec, Route
from previewdrop.drivers.base import Cache, Database
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.drivers.valkey.driver import ValkeyCache
from previewdrop.services.caddy import CaddyService
from previewdrop.services.daemon import identify, pids_of
from previewdrop.services.ports import Ports, free_port
from previewdrop.services.postgres import PostgresService
from previewdrop.services.supervisor import ServiceState, Supervisor
from previewdrop.services.valkey import ValkeyService

Service = PostgresService | ValkeyService | CaddyService


ADMIN = Secret("administrator's")


def postgres(home: Home, password: Secret = ADMIN) -> PostgresService:
    ports = Ports(home.path / "ports.json")
    return PostgresService(home, ports, 0, password, Secret("state's"))


def valkey(home: Home, password: Secret = ADMIN) -> ValkeyService:
    return ValkeyService(home, Ports(home.path / "ports.json"), 0, password, 16)


def caddy(home: Home, port: int = 0) -> CaddyService:
    return CaddyService(home, Ports(home.path / "ports.json"), "127.0.0.1", port, 0)


KINDS: list[Callable[[Home], Service]] = [postgres, valkey, caddy]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of PostgreSQL to copy: making one takes a second of two processors."""
    service = postgres(Home(tmp_path_factory.mktemp("initialised") / "home").create())
    supervisor = Supervisor(service, service.pid_file)
    await supervisor.start()
    await supervisor.stop()
    return service.folder


@pytest.fixture
def initialised_home(home: Home, initialised: Path, request: pytest.FixtureRequest) -> Home:
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or callspec.params["kind"] is postgres:
        shutil.copytree(initialised, home.postgres / "data")
    return home


@pytest_asyncio.fixture
async def supervise() -> AsyncGenerator[Callable[[Service], Supervisor]]:
    """Supervisors that are stopped at the end, whatever happened."""
    supervisors: list[Supervisor] = []

    def make(service: Service) -> Supervisor:
        supervisors.append(Supervisor(service, service.pid_file))
        return supervisors[-1]

    yield make
    for supervisor in supervisors:
        await supervisor.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_killed_it_comes_back(kind, initialised_home: Home, supervise):
    supervisor = supervise(kind(initialised_home))
    await supervisor.start()
    first = supervisor.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)
    assert supervisor.pid != first
    assert "SIGKILL" in supervisor.error


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_server_adopts_it(kind, initialised_home: Home, supervise):
    before = supervise(kind(initialised_home))
    await before.start()
    await before.release()
    after = supervise(kind(initialised_home))
    await after.start()
    assert after.adopted
    assert after.pid == before.pid
    os.kill(after.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await after.reached(ServiceState.RUNNING, restarts=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_of_another_configuration_is_replaced(kind, initialised_home: Home, supervise):
    before = supervise(kind(initialised_home))
    await before.start()
    await before.release()
    record = json.loads(before.program.pid_file.read_text())
    before.program.pid_file.write_text(json.dumps({**record, "fingerprint": "older"}))
    after = supervise(kind(initialised_home))
    await after.start()
    assert not after.adopted
    assert identify(before.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", KINDS)
async def test_one_without_a_pid_file_is_found_and_replaced(
    kind, initialised_home: Home, supervise
):
    before = supervise(kind(initialised_home))
    await before.start()
    await before.release()
    before.program.pid_file.unlink()
    after = supervise(kind(initialised_home))
    await after.start()
    assert after.pid != before.pid
    assert identify(before.pid) is None
    assert after.pid in pids_of(after.program.executable, after.program.folder)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_pid_that_a_stranger_has_now_is_not_trusted(
    kind, initialised_home: Home, supervise
):
    first = supervise(kind(initialised_home))
    await first.start()
    await first.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:  # noqa: ASYNC220
        record = {"pid": stranger.pid, "started": "long ago", "fingerprint": ""}
        first.program.pid_file.write_text(json.dumps(record))
        if kind is postgres:
            (initialised_home.postgres / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n")
        second = supervise(kind(initialised_home))
        await second.start()
        assert second.pid != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_hangs_is_replaced(kind, initialised_home: Home, supervise):
    before = supervise(kind(initialised_home))
    await before.start()
    await before.release()
    os.kill(before.pid, signal.SIGSTOP)
    service = kind(initialised_home)
    service.stop_signals = ((signal.SIGTERM, 0.1),)
    after = Supervisor(service, service.pid_file, adopt_timeout=0.5)
    await after.start()
    assert not after.adopted
    assert identify(before.pid) is None
    await after.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_our_interrupt_does_not_reach_it(kind, initialised_home: Home, supervise):
    supervisor = supervise(kind(initialised_home))
    await supervisor.start()
    assert os.getsid(supervisor.pid) == supervisor.pid
    assert os.getpgid(supervisor.pid) != os.getpgid(0)


@pytest.mark.parametrize("kind", KINDS)
async def test_stopped_nothing_is_left_running(kind, initialised_home: Home, supervise):
    supervisor = supervise(kind(initialised_home))
    await supervisor.start()
    pid = supervisor.pid
    await supervisor.stop()
    await supervisor.stop()
    assert identify(pid) is None
    assert pids_of(supervisor.program.executable, supervisor.program.folder) == []
    assert not supervisor.program.pid_file.exists()


async def test_all_three_start_together_and_soon(home: Home, supervise):
    supervisors = [supervise(kind(home)) for kind in KINDS]
    async with asyncio.timeout(20):
        await asyncio.gather(*(each.start() for each in supervisors))
    assert {each.state for each in supervisors} == {ServiceState.RUNNING}


@pytest.mark.parametrize("kind", [postgres, valkey])
async def test_the_port_stays_the_same_unless_a_stranger_took_it(
    kind, initialised_home: Home, supervise
):
    first = supervise(kind(initialised_home))
    await first.start()
    port = first.program.port
    await first.stop()
    again = supervise(kind(initialised_home))
    await again.start()
    assert again.program.port == port
    await again.stop()
    with socket.create_server(("127.0.0.1", port)):
        service = kind(initialised_home)
        elsewhere = supervise(service)
        await elsewhere.start()
        assert elsewhere.program.port != port
        assert service.reach() == ("127.0.0.1", service.port)


@pytest.mark.parametrize("kind", [postgres, valkey])
async def test_a_stranger_on_its_port_gets_no_password_and_does_not_move_it(
    kind, initialised_home: Home, supervise
):
    """A preview that takes the port of a killed service: previews that run know that port."""
    service = kind(initialised_home)
    supervisor = supervise(service)
    await supervisor.start()
    driver, spec = driver_of(service)
    endpoint, _ = await driver.ensure(spec)
    asked: list[bytes] = []
    async with contextlib.AsyncExitStack() as stack:
        os.kill(supervisor.pid, signal.SIGKILL)
        squatter = await take(service.port, asked)
        stack.push_async_callback(close, squatter)
        async with asyncio.timeout(30):
            while "is taken by" not in (supervisor.error or ""):  # noqa: ASYNC110 - a text
                await asyncio.sleep(0.01)
        assert f"Port {service.port} on 127.0.0.1" in supervisor.error
        assert f"process {os.getpid()} (" in supervisor.error
        with pytest.raises(Unavailable):
            await driver.ensure(spec)
        assert asked == []
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)
    assert await driver.ensure(spec) == (endpoint, True)
    await driver.aclose()


def driver_of(service: Service) -> tuple[Database | Cache, Any]:
    password = Secret("password")
    if isinstance(service, PostgresService):
        driver = PostgresDatabase(service.admin_url, "squat", service.reach)
        return driver, DatabaseSpec("shop_pr_1", "shop_pr_1", password)
    return ValkeyCache(service.admin_url, "squat", service.reach), CacheSpec("s_1", password, 3)


async def take(port: int, asked: list[bytes]) -> asyncio.Server:
    """Listens on the port as soon as it is free, and keeps what it is sent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4096))
        # PostgreSQL's AuthenticationCleartextPassword
        writer.write(b"R\0\0\0\x08\0\0\0\x03")
        asked.append(await reader.read(4096))
        writer.close()

    while True:
        try:
            return await asyncio.start_server(talk, "127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0)


async def close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def test_the_edge_s_port_taken_is_told(home: Home):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(ServerError, match=f"Port {port}"):
            caddy(home, port)


async def test_a_lost_password_is_told(initialised_home: Home, supervise):
    first = supervise(postgres(initialised_home))
    await first.start()
    await first.stop()
    with pytest.raises(ServerError, match="key file"):
        await supervise(postgres(initialised_home, Secret("another"))).start()


async def test_valkey_s_password_may_change(home: Home, supervise):
    first = supervise(valkey(home))
    await first.start()
    await first.release()
    second = valkey(home, Secret("another"))
    await supervise(second).start()
    client = Valkey.from_url(second.admin_url.reveal())
    async with client:
        assert await client.ping()


async def test_what_makes_a_start_fail_is_told(home: Home, supervise):
    service = valkey(home)
    service.folder.mkdir()
    (service.folder / "users.acl").write_text("user broken nonsense\n")
    with pytest.raises(ServerError, match="ended while it started"):
        await supervise(service).start()


async def test_data_of_another_version_is_told(home: Home, supervise):
    service = postgres(home)
    service.folder.mkdir(parents=True)
    (service.folder / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServerError, match="is PostgreSQL 12"):
        await supervise(service).start()


async def test_a_half_made_data_folder_is_made_anew(home: Home, supervise):
    (home.postgres / "data.new" / "base").mkdir(parents=True)
    await supervise(postgres(home)).start()


async def test_databases_outlive_a_kill(initialised_home: Home, supervise):
    service = postgres(initialised_home)
    supervisor = supervise(service)
    await supervisor.start()
    driver = PostgresDatabase(service.admin_url, "kill", service.reach)
    spec = DatabaseSpec("shop_pr_1", "shop_pr_1", Secret("password"))
    endpoint, _ = await driver.ensure(spec)
    url = f"postgresql://shop_pr_1:password@{endpoint.host}:{endpoint.port}/{endpoint.name}"
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)
    await connection.close()
    assert (await driver.ensure(spec))[1]
    await driver.aclose()


async def test_caches_and_their_users_outlive_a_kill(home: Home, supervise):
    service = valkey(home)
    supervisor = supervise(service)
    await supervisor.start()
    driver = ValkeyCache(service.admin_url, "kill", service.reach)
    spec = CacheSpec("shop_pr_1", Secret("password"), 3)
    await driver.ensure(spec)
    url = f"redis://shop_pr_1:password@127.0.0.1:{service.port}/3"
    async with Valkey.from_url(url) as client:
        await client.set("kept", "1")
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)
    async with Valkey.from_url(url) as client:
        assert await client.get("kept") == b"1"
    assert (await driver.ensure(spec))[1]
    await driver.aclose()


async def test_routes_and_certificates_outlive_a_kill(home: Home, supervise):
    service = caddy(home)
    supervisor = supervise(service)
    await supervisor.start()
    authority = home.ca_file.read_text()
    by_api = CaddyEdge(service.admin, "kill", service.https)
    by_file = CaddyEdge(service.admin, "kill", service.https, routes=service.routes)
    routes = [Route(f"{name}.shop.localhost", "127.0.0.1:1") for name in ("api", "file")]
    await by_api.ensure(routes[0])
    await by_file.ensure(routes[1])
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)
    assert await by_api.observe("api.shop.localhost") == routes[0]
    assert await by_file.observe("file.shop.localhost") == routes[1]
    assert home.ca_file.read_text() == authority
    await by_api.aclose()
    await by_file.aclose()


async def test_stop_while_it_waits_to_be_restarted(home: Home, supervise, monkeypatch):
    service = valkey(home)
    supervisor = supervise(service)
    await supervisor.start()
    monkeypatch.setattr(supervisor, "_up", _never)
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await supervisor.reached(ServiceState.WAITING)
    await supervisor.stop()
    assert supervisor.state is ServiceState.STOPPED


async def _never() -> None:
    await asyncio.Event().wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs the namespace")
async def test_as_root_no_user_is_made_and_it_is_said(home: Home, supervise):
    users = [user.pw_name for user in pwd.getpwall()]
    service = postgres(home)
    await supervise(service).start()
    assert [user.pw_name for user in pwd.getpwall()] == users
    assert "root" in service.note


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs the namespace")
async def test_as_root_without_namespaces_what_to_do_is_told(home: Home, supervise, monkeypatch):
    service = postgres(home)
    monkeypatch.setattr(service, "_wrap", ("unshare", "--no-such-option", "--"))
    with pytest.raises(ServerError, match="PREVIEWDROP_POSTGRES_URL"):
        await supervise(service).start()


@pytest.mark.skipif(sys.platform != "linux", reason="bounded on Linux alone")
async def test_valkey_s_memory_is_bounded(home: Home, supervise):
    supervisor = supervise(valkey(home))
    await supervisor.start()
    assert resource.prlimit(supervisor.pid, resource.RLIMIT_AS)[0] == 2 * 1024**3


async def test_nobody_listens_beyond_loopback(home: Home, supervise):
    for kind in (postgres, valkey):
        service = kind(home)
        await supervise(service).start()
        with socket.create_connection(("127.0.0.1", service.port)):
            pass
        other = socket.gethostbyname(socket.gethostname())
        if not other.startswith("127."):
            with pytest.raises(OSError), socket.create_connection((other, service.port), 1):
                pass


def test_free_ports_are_below_those_of_outgoing_connections():
    assert free_port() < 32768
