"""The driver contracts: small, asynchronous, idempotent.

Each driver makes one kind of thing so (`ensure`), looks at it (`observe`) and takes it away
(`remove`). Calling `ensure` twice is calling it once; removing nothing succeeds; `observe` never
guesses and never raises because the thing is not there. A handle is plain JSON that the store
keeps, so that a driver survives a restart of the control plane. A driver never decides policy.

Every driver raises `Unavailable` when what it drives did not answer, `StageFailed` when the thing
itself is wrong, and nothing else on purpose. A cancelled call stops what it started before it
lets the cancellation through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from previewdrop.domain.app import AppFacts
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec, DatabaseSpec, Process, Route, RunSpec

Handle = dict[str, object]
"""What a driver needs to find its thing again: JSON, kept by the store.

Those of builders and runtimes say in `runtime` which runtime they belong to; without it they are
of the process runtime.
"""

LogLine = Callable[[str], None]
"""Takes one line of output, without its newline. Called in order, from the event loop."""

Reach = Callable[[], tuple[str, int]]
"""Host and port at which previews reach a service, as they are now."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a builder made: its handle, whether it was there already, and a note for people."""

    handle: Handle
    cached: bool
    note: str


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The image to build. Paths are relative to the repository's top, `""` is the top itself.

    `generated` is the text of a Dockerfile for a repository that has none, `ignore` that of its
    .dockerignore. `args` are build arguments, which are not secret.
    """

    dockerfile: str
    context: str
    target: str | None = None
    args: tuple[tuple[str, str], ...] = ()
    generated: str | None = None
    ignore: str = ""


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What to build: the exported commit in `source`, as `facts` describes it.

    With `image` it is an image, without one an environment of the app's dependencies. `python` is
    a version ("3.12") that the repository or the project asks for. `secrets` are variables for
    private package indexes; they never reach a log, an argv or the artifact.
    `project` is the project's name: artifacts and caches are shared within it, never beyond.
    What is not `trusted` is built without the machine's own logins.
    """

    source: Path
    facts: AppFacts
    python: str | None = None
    timeout: float = 900
    secrets: tuple[tuple[str, Secret], ...] = ()
    project: str = ""
    image: ImageSpec | None = None
    trusted: bool = True


class Builder(Protocol):
    """Turns an exported commit into something a runtime can start."""

    async def ensure(self, spec: BuildSpec, log: LogLine) -> Artifact:
        """Builds, or finds what was built for the same content.

        Calls for the same content at the same moment build once; the others wait for it. When
        the call that builds is cancelled, one of those that wait takes over.
        """
        ...

    async def sweep(self, in_use: Collection[str]) -> list[str]:
        """Removes artifacts whose key is not in `in_use` beyond the limit kept as a cache.

        The key of an artifact is `handle["key"]`. Returns the keys that were removed. Also
        clears what builds that died half-way left behind.
        """
        ...

    async def discard(self, keys: Collection[str]) -> None:
        """The previews that these artifacts were made for are gone, and nothing else uses them.

        What another preview of the project would need just as well may stay, up to the limit.
        """
        ...


class ProcessState(StrEnum):
    RUNNING = "running"
    EXITED = "exited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ObservedProcess:
    """One process as it is. `exit_code` is negative for a signal; `reason` is for people.

    `lost` tells that it did not end by itself, but with what ran it, which is back by now.
    """

    name: str
    state: ProcessState
    exit_code: int | None = None
    reason: str | None = None
    memory: int | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A deployment's processes as they are. Nothing there at all: `web` is MISSING."""

    web: ObservedProcess
    processes: tuple[ObservedProcess, ...] = ()

    @property
    def running(self) -> bool:
        return self.web.state is ProcessState.RUNNING


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the web process listens in fact: addresses as `host:port`, as seen inside."""

    addresses: tuple[str, ...]


class Runtime(Protocol):
    """Runs deployments: the web process, its extra processes, and commands beside them."""

    @property
    def isolation(self) -> str:
        """One sentence on how previews are kept apart here, or that they are not."""
        ...

    @property
    def isolated(self) -> bool:
        """False when previews run without a sandbox."""
        ...

    def choose_port(self, configured: int | None, artifact: Handle) -> int:
        """The PORT of an app.

        Where each has its own network it is `configured`, else what the artifact says, else 3000;
        on a shared network a free one.
        """
        ...

    def web_command(self, facts: AppFacts, port: int, artifact: Handle) -> Process:
        """How the app is served here: what the repository asks for, without reloading.

        Its command is empty where the artifact says how it is started.
        """
        ...

    async def ensure(self, spec: RunSpec) -> Handle:
        """Starts the web process and the extra ones; finds them when they run already.

        A process that ended is started again. The handle is complete before the app listens.
        `handle["upstream"]` is where the edge sends requests, `handle["port"]` the PORT of the app.
        `handle["hosts"]`, if there, are addresses of names that only the preview's network knows.
        """
        ...

    async def observe(self, handle: Handle) -> ObservedRun:
        """What runs. May be called for a deployment that never started or is long gone."""
        ...

    async def listening(self, handle: Handle) -> Listening:
        """The addresses the web process listens on, to explain an app that cannot be reached."""
        ...

    async def wait(self, handle: Handle) -> ObservedProcess:
        """Returns when the web process has ended; at once if it does not run."""
        ...

    async def run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        """Runs a command beside the app (release, post-deploy, exec) and returns its exit code.

        Same code, environment and walls as the app, which need not run. Every process that the
        command started is gone when this returns, is cancelled or raises. A command that exceeds
        `timeout` seconds is stopped: TimeoutError. Output beyond the log limit is dropped, and a
        line says so.
        """
        ...

    def logs(self, handle: Handle, *, follow: bool = False) -> AsyncIterator[tuple[str, str]]:
        """(process name, line) pairs, oldest first; with `follow` until the process is gone."""
        ...

    async def stop(self, handle: Handle, grace: float) -> None:
        """SIGTERM, up to `grace` seconds, SIGKILL, for every process of the deployment."""
        ...

    async def remove(self, handle: Handle) -> None:
        """Stops what still runs, at once, and removes everything of the deployment.

        `{"deployment": id, "runtime": name}` is handle enough: a deployment that only ran commands
        has no other.
        """
        ...

    async def sweep(self, wanted: Collection[int]) -> list[str]:
        """Removes every deployment of this installation that is not in `wanted`; names them."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a preview reaches its database or cache, and as whom.

    `name` is the database's name, or the number of the Redis database as text.
    """

    host: str
    port: int
    name: str
    user: str
    password: Secret
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class ObservedDatabase:
    """A preview's database as it is. `revisions` are those in its alembic_version table."""

    exists: bool
    bytes: int = 0
    revisions: tuple[str, ...] = ()


class Database(Protocol):
    """A PostgreSQL database (or schema) and a role a preview."""

    async def ensure(self, spec: DatabaseSpec) -> tuple[Endpoint, bool]:
        """Creates what is missing, mends grants, password and limit; True if it was there before.

        `StageFailed` when the server lacks an extension of the spec.
        """
        ...

    async def observe(self, spec: DatabaseSpec) -> ObservedDatabase: ...

    async def remove(self, spec: DatabaseSpec) -> None:
        """Drops database or schema and role, with sessions that are open."""
        ...

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        """Removes databases, schemas and roles of this installation whose role is not wanted."""
        ...


class Cache(Protocol):
    """A numbered Redis database and a user that can use only that number."""

    async def capacity(self) -> int:
        """How many numbers there are to lease; number 0 is never leased."""
        ...

    async def ensure(self, spec: CacheSpec) -> tuple[Endpoint, bool]:
        """Creates or mends the user; empties the number first if the user is new."""
        ...

    async def remove(self, spec: CacheSpec) -> None:
        """Empties the number and deletes the user; its connections are closed."""
        ...

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        """Deletes users of this installation that are not wanted, and empties their numbers."""
        ...


OURS = "PreviewDrop"
"""The User-Agent of our own requests of previews: to look at one is not to use it."""


class Edge(Protocol):
    """The public side: HTTPS for each host, switched without dropping a request."""

    async def ensure(self, route: Route) -> None:
        """Sends the host's requests to the upstream from now on; running requests finish."""
        ...

    async def observe(self, host: str) -> Route | None: ...

    async def remove(self, host: str) -> None: ...

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        """Removes every route of this installation whose host is not in `wanted`."""
        ...

    async def last_requests(self) -> dict[str, float]:
        """Seconds since the epoch of the last request, by host, as far as the edge knows.

        Those whose User-Agent is OURS do not count.
        """
        ...


@dataclass(frozen=True, slots=True)
class Drivers:
    """One of each: everything that a deployment is made with."""

    builder: Builder
    runtime: Runtime
    database: Database
    cache: Cache
    edge: Edge
