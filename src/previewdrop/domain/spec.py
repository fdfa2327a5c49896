"""The frozen desired state that stages and drivers work from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from previewdrop.domain.naming import Names
from previewdrop.domain.secret import Secret

MIB = 1024 * 1024

PROCESS = "process"
DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one preview may use. Memory in bytes, CPUs as a share of cores, counts as they are."""

    memory: int = 512 * MIB
    cpus: float = 1.0
    processes: int = 256
    files: int = 4096
    log_bytes: int = 10 * MIB
    disk: int = 1024 * MIB

    def under(self, ceilings: Limits) -> Limits:
        """These limits, none of them above that of `ceilings`."""
        pairs = {f.name: (getattr(self, f.name), getattr(ceilings, f.name)) for f in fields(self)}
        return Limits(**{name: min(pair) for name, pair in pairs.items()})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each part of a deployment may take, in seconds."""

    fetch: float = 300
    build: float = 900
    release: float = 600
    health: float = 60
    post_deploy: float = 600
    grace: float = 30


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """The database that a preview should have.

    With `isolation` "database" `name` is a database of its own; with "schema" it is the database
    that the project's previews share and `role` names the schema too. `server` is the runtime
    that the database's server belongs to.
    """

    name: str
    role: str
    password: Secret
    isolation: str = "database"
    server: str = PROCESS
    extensions: tuple[str, ...] = ()
    connections: int = 8


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """The numbered Redis database that a preview should have, and the only user that may use it.

    `server` is the runtime that its server belongs to; None, where it is to be removed, is each.
    """

    user: str
    password: Secret
    number: int
    server: str | None = PROCESS


@dataclass(frozen=True, slots=True)
class Route:
    """A public host name and where its requests go: `upstream` is `host:port` or `unix//path`."""

    host: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a preview. `command` is what a shell is given, or an argv run as it is."""

    name: str
    command: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One deployment's running application.

    `deployment` is unique in the installation: two ensures of the same deployment are one.
    `source` is the checkout's folder on this host, `root` the app's folder inside it (working
    folder of every command), `import_path` the folders to make importable, relative to `source`.
    `artifact` is what the builder made. `environment` is complete: nothing is added to it but
    what the runtime itself needs (PATH, HOME, TMPDIR, PYTHONPATH). `port` is where the web process
    must listen; the caller took it from `choose_port` of the runtime. A `web` with an empty command
    is started as its image says.
    """

    installation: str
    names: Names
    deployment: int
    source: str
    root: str
    import_path: tuple[str, ...]
    artifact: dict[str, object]
    environment: dict[str, str]
    port: int
    web: Process
    processes: tuple[Process, ...] = ()
    limits: Limits = field(default_factory=Limits)
