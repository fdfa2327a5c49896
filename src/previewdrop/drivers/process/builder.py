"""Builds dependency environments with uv: one for each content, shared read-only, made once."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import posixpath
import secrets
import shutil
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from previewdrop.config.home import Home
from previewdrop.domain.app import Dependencies
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.secret import Redactor
from previewdrop.domain.spec import MIB, Limits
from previewdrop.drivers.base import Artifact, BuildSpec, LogLine
from previewdrop.drivers.process import child, commands, environments, failures, task
from previewdrop.drivers.process.cgroups import Group, find_cgroups, removed
from previewdrop.drivers.process.installation import (
    Installation,
    installation_for,
    local_files,
)
from previewdrop.drivers.process.interpreters import Interpreter, choose
from previewdrop.drivers.process.key import environment_key
from previewdrop.drivers.process.reading import NotPlain, read_beneath
from previewdrop.drivers.process.sandbox import Sandbox, find_sandbox
from previewdrop.drivers.process.tree import remove_tree
from previewdrop.drivers.process.walls import HOME, TEMPORARY, Walls
from previewdrop.drivers.process.workplace import Workplace

_LARGEST_FILE = 16 * MIB
_BUILDS = 50_000_000
"""Account numbers of builds begin here; those of deployments are below."""

_LIMITS = Limits(memory=2048 * MIB, cpus=float(os.cpu_count() or 1), processes=1024, files=16384)
_WEIGHT = 50
"""Percent of the CPU time that a running preview gets when there is not enough."""

_KILLED = 137
_PASSED = (
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
)


class ProcessBuilder:
    """Environments under `home.environments`, named by what decides their content.

    One belongs to one project (`BuildSpec.project`), as does uv's cache: whoever may push to a
    project can spoil only that. An environment is made beside the cache and moved when nothing of
    its build runs any more, so it is complete or not there. A project's builds follow each other,
    because they write to one cache.
    """

    def __init__(self, home: Home, sandbox: str = "auto", *, keep_bytes: int = 4096 * MIB) -> None:
        self._home = home
        self._sandbox = find_sandbox(sandbox)
        self._cgroups = find_cgroups()
        self._keep_bytes = keep_bytes
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._building: set[str] = set()
        self._cleared = False

    async def ensure(self, spec: BuildSpec, log: LogLine) -> Artifact:
        """See `Builder.ensure`. The handle has `key`, `path`, `python` and what a run needs."""
        dependencies = spec.facts.dependencies
        contents = await asyncio.to_thread(read_files, spec.source, dependencies)
        interpreter = await choose(spec.python or dependencies.python)
        names = tuple(name for name, _ in spec.secrets)
        key = environment_key(dependencies, contents, interpreter, spec.project, names)
        path = self._home.environments / key
        async with self._lock(key):
            facts = environments.complete(path)
            cached = facts is not None
            if facts is None:
                build = _Build(spec, key, interpreter, installation_for(dependencies, contents))
                facts = await self._build(build, path, log)
            environments.used(path)
        _check_command(spec, path)
        count = facts["packages"]
        note = f"environment {key[:4]} " + ("reused" if cached else f"built, {count} packages")
        log(f"{note} (Python {interpreter.text})")
        handle: dict[str, object] = {
            "key": key,
            "path": str(path),
            "python": commands.python_of(str(path)),
            "prefix": interpreter.prefix,
            "project": {
                "name": spec.facts.project_name,
                "version": spec.facts.project_version,
                "scripts": dict(spec.facts.scripts),
            },
        }
        return Artifact(handle, cached=cached, note=note)

    async def sweep(self, in_use: Collection[str]) -> list[str]:
        """See `Builder.sweep`: the least recently used go first."""
        wanted, removed = frozenset(in_use), list[str]()
        await self._clear()
        await self._clear_leavings()
        for path in await asyncio.to_thread(self._spare, wanted):
            lock = self._lock(path.name)
            if not lock.locked():
                async with lock:
                    if path in await asyncio.to_thread(self._spare, wanted):
                        await asyncio.to_thread(environments.discard, path)
                        removed.append(path.name)
        return removed

    async def discard(self, keys: Collection[str]) -> None:
        """See `Builder.discard`: an environment is the lock file's, not a preview's, and stays."""

    def _spare(self, in_use: frozenset[str]) -> list[Path]:
        return environments.spare(self._home.environments, in_use, self._keep_bytes)

    async def _clear_leavings(self) -> None:
        """Removes what builds that died half-way left behind."""
        for folder in self._home.builds.glob("*"):
            if folder.name not in self._building:
                await asyncio.to_thread(remove_tree, folder)
        for name in self._cgroups.names(self._groups) if self._cgroups else ():
            token = name.removeprefix(self._groups)
            if token not in self._building and (group := self._group(token)):
                group.remove()
        for cache in self._home.package_cache.glob("*"):
            lock = self._lock(f"project {cache.name}")
            if not lock.locked():
                async with lock:
                    for left in cache.glob("building-*"):
                        await asyncio.to_thread(remove_tree, left)

    def _group(self, token: str) -> Group | None:
        return self._cgroups.group(f"{self._groups}{token}") if self._cgroups else None

    @property
    def _groups(self) -> str:
        return f"previewdrop-{self._home.installation}-build-"

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _build(self, build: _Build, path: Path, log: LogLine) -> dict[str, int]:
        project = build.spec.project or "shared"
        await self._clear()
        lock = self._lock(f"project {project}")
        if lock.locked():
            log("another build of the project goes first")
        async with lock:
            token = f"{build.key}-{secrets.token_hex(4)}"
            place = Workplace(self._home.builds / token, self._home.package_cache / project)
            self._building.add(token)
            try:
                return await self._build_in(place, build, path, log)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise StageFailed(
                    "The server's disk is full.", "Free space on the server, then redeploy."
                ) from error
            finally:
                await asyncio.to_thread(place.clear)
                if group := self._group(token):
                    await removed(group)
                self._building.discard(token)

    async def _build_in(
        self, place: Workplace, build: _Build, path: Path, log: LogLine
    ) -> dict[str, int]:
        number = _BUILDS + _number(build.spec.project)
        account, owner = self._sandbox.account(number), self._sandbox.owner(number)
        await asyncio.to_thread(place.prepare, build.installation.files, owner)
        await asyncio.to_thread(self._sandbox.furnish, place.etc, account)
        await self._install(build, place, account, log)
        built = await asyncio.to_thread(place.taken, owner)
        return await asyncio.to_thread(environments.keep, built, path)

    async def _clear(self) -> None:
        """Kills builds that a former server left behind, once."""
        if self._cleared:
            return
        self._cleared = True
        prefix = f"{self._home.installation}-build-"
        marks = await asyncio.to_thread(child.marked, prefix)
        left = [pid for pid, mark in marks.items() if mark[len(prefix) :] not in self._building]
        child.kill(left)
        await asyncio.gather(*(child.gone(pid) for pid in left))

    async def _install(self, build: _Build, place: Workplace, account: int, log: LogLine) -> None:
        uv, spec = _uv(), build.spec
        environment = str(place.environment)
        python = commands.python_of(environment)
        redact = Redactor(secret for _, secret in spec.secrets)
        mark = f"{self._home.installation}-build-{place.token}"
        walls = Walls(
            folder=str(place.repository),
            home=str(place.home),
            temporary=str(place.temporary),
            etc=str(place.etc),
            environment=build_environment(os.environ, spec, place, self._sandbox)
            | {child.MARK: mark},
            read=(uv, build.interpreter.prefix, str(place.repository), *_uv_settings()),
            write=(str(place.cache),),
            account=account,
            shared=_LIMITS.memory // 2,
            bound=True,
        )
        group = self._group(place.token)
        if group:
            group.create(_LIMITS, _WEIGHT)
        deadline = asyncio.get_running_loop().time() + spec.timeout

        async def step(argv: tuple[str, ...]) -> None:
            lines: list[str] = []

            def keep(line: str) -> None:
                lines.append(redact(line))
                log(lines[-1])

            each = task.Task(
                argv,
                walls,
                place.record,
                place.status,
                _LIMITS,
                entries=group.entries("uv") if group else (),
                controllers=self._cgroups.controllers if self._cgroups else frozenset(),
            )
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            try:
                code = await task.run(self._sandbox, each, keep, left)
            except TimeoutError as error:
                if group and group.killed_for_memory("uv"):
                    raise failures.explain(lines, _KILLED) from error
                raise StageFailed(
                    f"Installing the dependencies took longer than {spec.timeout:g} s.",
                    "Use packages that have wheels, or raise PREVIEWDROP_BUILD_TIMEOUT.",
                    log_tail=tuple(lines[-20:]),
                ) from error
            if code:
                killed = group and group.killed_for_memory("uv")
                raise failures.explain(lines, _KILLED if killed else code)

        for local in build.installation.skipped:
            log(f"{local} is imported from where it stands in the repository, not installed")
        dependencies = spec.facts.dependencies
        await step(commands.make_environment(uv, build.interpreter.path, environment))
        await step(
            commands.install(
                uv, python, build.installation, dependencies.folder, dependencies.package
            )
        )
        if "uvicorn" not in await asyncio.to_thread(environments.installed, place.environment):
            log("uvicorn added, the repository does not lock it")
            await step(commands.add(uv, python, "uvicorn"))


@dataclass(frozen=True, slots=True)
class _Build:
    spec: BuildSpec
    key: str
    interpreter: Interpreter
    installation: Installation


def read_files(source: Path, dependencies: Dependencies) -> dict[str, bytes]:
    """The contents of all files that decide the environment, by their name in the repository.

    StageFailed for one that is missing, too large or outside of the repository.
    """
    contents: dict[str, bytes] = {}
    for name in dependencies.files:
        contents[name] = _read(source, name)
    for name in local_files(dependencies, contents):
        if (source / name).is_file():
            contents[name] = _read(source, name)
    return contents


def build_environment(
    machine: Mapping[str, str], spec: BuildSpec, place: Workplace, sandbox: Sandbox
) -> dict[str, str]:
    """uv's variables: the machine's package index, proxy and certificates, and nothing else of it.

    The user's own uv configuration is not read; /etc/uv/uv.toml is.
    """
    passed = {
        name: value
        for name, value in machine.items()
        if name.upper() in _PASSED or name == "UV_INDEX" or name.startswith("UV_INDEX_")
    }
    if (index := machine.get("PIP_INDEX_URL")) and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & set(
        passed
    ):
        passed["UV_DEFAULT_INDEX"] = index
    if (more := machine.get("PIP_EXTRA_INDEX_URL")) and "UV_INDEX" not in passed:
        passed["UV_INDEX"] = more
    own = {name: secret.reveal() for name, secret in spec.secrets}
    return {
        "LANG": "C.UTF-8",
        **passed,
        **own,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME if sandbox.active else str(place.home),
        "TMPDIR": TEMPORARY if sandbox.active else str(place.temporary),
        "UV_CACHE_DIR": str(place.packages),
        "UV_PROJECT_ENVIRONMENT": str(place.environment),
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _check_command(spec: BuildSpec, path: Path) -> None:
    """A server that the repository starts but does not lock is found before anything starts."""
    if not spec.facts.command:
        return
    program = spec.facts.command[0]
    if "/" in program or program in ("python", "python3", "sh", "bash", "env", "exec"):
        return
    if program not in environments.programs(path) and not shutil.which(
        program, path="/usr/bin:/bin"
    ):
        raise StageFailed(
            f"The repository starts {program}, and its dependencies do not include it.",
            f"Add {program} to the dependencies, or set `app` in previewdrop.toml to use uvicorn.",
        )


def _read(source: Path, name: str) -> bytes:
    problem: Callable[[str], StageFailed] = lambda text: StageFailed(  # noqa: E731
        f"{name} {text}.", "Mend it in the repository, then push."
    )
    top = source.resolve()
    place = posixpath.normpath(name)
    path = (top / place).resolve()
    if place.startswith(("/", "../")) or not path.is_relative_to(top):
        raise problem("leads out of the repository")
    try:
        # The app of an earlier deployment may still run in there, and swap what was looked at.
        return read_beneath(top, path.relative_to(top), _LARGEST_FILE)
    except NotPlain as error:
        raise problem(str(error)) from error
    except OSError as error:
        raise problem("is needed for the dependencies and not there") from error


def _number(project: str) -> int:
    return int(hashlib.sha256(project.encode()).hexdigest()[:8], 16) % _BUILDS


def _uv() -> str:
    return os.path.realpath(find_uv_bin())


def _uv_settings() -> tuple[str, ...]:
    return ("/etc/uv",) if Path("/etc/uv").is_dir() else ()
