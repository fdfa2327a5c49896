"""Builds dependency environments with uv: one for each content, shared read-only, made once."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import posixpath
import secrets
import shutil
import time
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
from previewdrop.drivers.process import child, commands, failures, task
from previewdrop.drivers.process.installation import (
    Installation,
    installation_for,
    local_files,
)
from previewdrop.drivers.process.interpreters import Interpreter, choose
from previewdrop.drivers.process.key import environment_key
from previewdrop.drivers.process.sandbox import Sandbox, find_sandbox
from previewdrop.drivers.process.tree import free_size, give, remove_tree
from previewdrop.drivers.process.walls import HOME, TEMPORARY, Walls

COMPLETE = "previewdrop.json"
"""Stands in an environment that is complete: number of packages and bytes."""

_RECENT = 3600.0
"""Seconds for which an environment is kept though no deployment is known to use it yet."""

_LARGEST_FILE = 16 * MIB
_BUILDS = 50_000_000
"""Account numbers of builds begin here; those of deployments are below."""

_LIMITS = Limits(memory=8192 * MIB, processes=2048, files=16384)
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
    project can spoil only that. Everything is done in a folder beside the cache and renamed at
    the end, so an environment is complete or not there.
    """

    def __init__(self, home: Home, sandbox: str = "auto", *, keep_bytes: int = 4096 * MIB) -> None:
        self._home = home
        self._sandbox = find_sandbox(sandbox)
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
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            complete = _complete(path)
            cached = complete is not None
            if complete is None:
                build = _Build(spec, key, interpreter, installation_for(dependencies, contents))
                complete = await self._build(build, path, log)
            os.utime(path / COMPLETE)
        _check_command(spec, path)
        count = complete["packages"]
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
        return await asyncio.to_thread(self._sweep, frozenset(in_use))

    def _sweep(self, in_use: frozenset[str]) -> list[str]:
        for staging in self._home.package_cache.glob("*/building-*"):
            if staging.name not in self._building:
                remove_tree(staging)
        unused: list[tuple[float, Path, int]] = []
        removed: list[str] = []
        for path in self._home.environments.glob("*"):
            complete = _complete(path)
            if complete is None:
                remove_tree(path)
                removed.append(path.name)
                continue
            used = (path / COMPLETE).stat().st_mtime
            if path.name not in in_use and time.time() - used > _RECENT:
                unused.append((used, path, complete["bytes"]))
        kept = 0
        for _, path, size in sorted(unused, reverse=True):
            kept += size
            if kept > self._keep_bytes:
                (path / COMPLETE).unlink()
                remove_tree(path)
                removed.append(path.name)
        return removed

    async def _build(self, build: _Build, path: Path, log: LogLine) -> dict[str, int]:
        cache = self._home.package_cache / (build.spec.project or "shared")
        staging = cache / f"building-{build.key}-{secrets.token_hex(4)}"
        self._building.add(staging.name)
        await self._clear()
        number = _BUILDS + _number(build.spec.project)
        account, owner = self._sandbox.account(number), self._sandbox.owner(number)
        try:
            await asyncio.to_thread(_prepare, cache, staging, owner, build.installation)
            await asyncio.to_thread(self._sandbox.furnish, staging / "etc", account)
            await self._install(build, cache, staging, account, log)
            return await asyncio.to_thread(_finish, staging / "environment", path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StageFailed(
                "The server's disk is full.", "Free space on the server, then redeploy."
            ) from error
        finally:
            await asyncio.to_thread(remove_tree, staging)
            self._building.discard(staging.name)

    async def _clear(self) -> None:
        """Kills builds that a former server left behind, once."""
        if self._cleared:
            return
        self._cleared = True
        prefix = f"{self._home.installation}-build-"
        marks = await asyncio.to_thread(child.marked, prefix)
        child.kill(
            pid for pid, mark in marks.items() if mark.removeprefix(prefix) not in self._building
        )

    async def _install(
        self, build: _Build, cache: Path, staging: Path, account: int, log: LogLine
    ) -> None:
        uv, spec = _uv(), build.spec
        environment = str(staging / "environment")
        python = commands.python_of(environment)
        redact = Redactor(secret for _, secret in spec.secrets)
        mark = f"{self._home.installation}-build-{staging.name}"
        walls = Walls(
            folder=str(staging / "repository"),
            home=str(staging / "home"),
            temporary=str(staging / "tmp"),
            etc=str(staging / "etc"),
            environment=build_environment(os.environ, spec, cache, staging, self._sandbox)
            | {child.MARK: mark},
            read=(uv, build.interpreter.prefix, *_uv_settings()),
            write=(str(cache),),
            account=account,
            bound=True,
        )
        deadline = asyncio.get_running_loop().time() + spec.timeout

        async def step(argv: tuple[str, ...]) -> None:
            lines: list[str] = []

            def keep(line: str) -> None:
                lines.append(redact(line))
                log(lines[-1])

            each = task.Task(argv, walls, staging / "record", staging / "status", _LIMITS)
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            try:
                code = await task.run(self._sandbox, each, keep, left)
            except TimeoutError as error:
                raise StageFailed(
                    f"Installing the dependencies took longer than {spec.timeout:g} s.",
                    "Use packages that have wheels, or raise PREVIEWDROP_BUILD_TIMEOUT.",
                    log_tail=tuple(lines[-20:]),
                ) from error
            if code:
                raise failures.explain(lines, code)

        for place in build.installation.skipped:
            log(f"{place} is imported from where it stands in the repository, not installed")
        dependencies = spec.facts.dependencies
        await step(commands.make_environment(uv, build.interpreter.path, environment))
        await step(
            commands.install(
                uv, python, build.installation, dependencies.folder, dependencies.package
            )
        )
        if not await asyncio.to_thread(_has, Path(environment), "uvicorn"):
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
    machine: Mapping[str, str], spec: BuildSpec, cache: Path, staging: Path, sandbox: Sandbox
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
        "HOME": HOME if sandbox.active else str(staging / "home"),
        "TMPDIR": TEMPORARY if sandbox.active else str(staging / "tmp"),
        "UV_CACHE_DIR": str(cache / "packages"),
        "UV_PROJECT_ENVIRONMENT": str(staging / "environment"),
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _prepare(cache: Path, staging: Path, owner: int | None, installation: Installation) -> None:
    for folder in (cache, staging, staging / "etc"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    for name in ("home", "tmp", "repository"):
        (staging / name).mkdir(mode=0o755)
    top = staging / "repository"
    for name, content in installation.files.items():
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    give(staging if cache.stat().st_uid == owner else cache, owner)


def _finish(environment: Path, path: Path) -> dict[str, int]:
    complete = {
        "packages": sum(1 for _ in environment.glob("lib/python*/site-packages/*.dist-info")),
        "bytes": free_size(environment),
    }
    (environment / COMPLETE).write_text(json.dumps(complete))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        environment.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if _complete(path) is None:
            remove_tree(path)
            environment.rename(path)
    return complete


def _complete(path: Path) -> dict[str, int] | None:
    try:
        return json.loads((path / COMPLETE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _check_command(spec: BuildSpec, path: Path) -> None:
    """A server that the repository starts but does not lock is found before anything starts."""
    if not spec.facts.command:
        return
    program = spec.facts.command[0]
    if "/" in program or program in ("python", "python3", "sh", "bash", "env", "exec"):
        return
    if not (path / "bin" / program).exists() and not shutil.which(program, path="/usr/bin:/bin"):
        raise StageFailed(
            f"The repository starts {program}, and its dependencies do not include it.",
            f"Add {program} to the dependencies, or set `app` in previewdrop.toml to use uvicorn.",
        )


def _read(source: Path, name: str) -> bytes:
    path = source / posixpath.normpath(name)
    top = source.resolve()
    problem: Callable[[str], StageFailed] = lambda text: StageFailed(  # noqa: E731
        f"{name} {text}.", "Mend it in the repository, then push."
    )
    try:
        if not path.resolve().is_relative_to(top):
            raise problem("leads out of the repository")
        if path.stat().st_size > _LARGEST_FILE:
            raise problem(f"is larger than {_LARGEST_FILE // MIB} MiB")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise problem("is needed for the dependencies and not there") from error


def _number(project: str) -> int:
    return int(hashlib.sha256(project.encode()).hexdigest()[:8], 16) % _BUILDS


def _has(environment: Path, module: str) -> bool:
    return any(environment.glob(f"lib/python*/site-packages/{module}"))


def _uv() -> str:
    return os.path.realpath(find_uv_bin())


def _uv_settings() -> tuple[str, ...]:
    return ("/etc/uv",) if Path("/etc/uv").is_dir() else ()
