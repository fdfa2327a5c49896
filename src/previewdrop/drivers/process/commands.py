"""Command lines of the process runtime: uv's, and that of the app's server."""

from __future__ import annotations

import posixpath

from previewdrop.domain.app import AppFacts
from previewdrop.drivers.process.installation import Installation

LOOPBACK = "127.0.0.1"
_ALWAYS = ("--no-progress", "--no-python-downloads")


def make_environment(uv: str, python: str, environment: str) -> tuple[str, ...]:
    """An empty environment whose scripts find their Python wherever it is moved to."""
    return (
        uv,
        "venv",
        "--quiet",
        "--relocatable",
        "--no-project",
        *_ALWAYS,
        "--python",
        python,
        environment,
    )


def install(
    uv: str, python: str, installation: Installation, folder: str, package: str | None
) -> tuple[str, ...]:
    """Fills the environment. `folder` is where uv.lock stands, relative to the working folder.

    For `uv sync` the environment is named by UV_PROJECT_ENVIRONMENT, else by its `python`.
    """
    if installation.lock:
        where = ("--project", folder) if folder else ()
        member = ("--package", package) if package else ()
        skip = ("--frozen", "--no-dev", "--no-install-local")
        more = (*_each("--extra", installation.extras), *_each("--group", installation.groups))
        return (uv, "sync", *_ALWAYS, *skip, "--compile-bytecode", *where, *member, *more)
    files = (
        *_each("-r", installation.requirements),
        *_each("-c", installation.constraints),
        *_each("--excludes", installation.excludes),
        *_each("--index", installation.indexes),
        *_each("--extra", installation.extras),
        *_each("--group", installation.groups),
    )
    alone = () if installation.dependencies else ("--no-deps",)
    return (*_pip(uv, python), *files, *alone)


def add(uv: str, python: str, *packages: str) -> tuple[str, ...]:
    """Installs packages beside those that are there."""
    return (*_pip(uv, python), *packages)


def server_command(facts: AppFacts, port: int, grace: float = 30) -> tuple[str, ...]:
    """The argv of the web process: the repository's own server command, or uvicorn.

    It listens on loopback, trusts the edge's X-Forwarded headers, and gives requests that run
    when it is stopped most of the grace period.
    """
    if facts.command:
        return tuple(
            part.replace("{host}", LOOPBACK).replace("{port}", str(port)) for part in facts.command
        )
    return (
        "python",
        "-m",
        "uvicorn",
        facts.app.import_string,
        *(("--factory",) if facts.app.factory else ()),
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--proxy-headers",
        "--forwarded-allow-ips",
        LOOPBACK,
        "--timeout-graceful-shutdown",
        str(max(1, int(grace) - 1)),
    )


def python_of(environment: str) -> str:
    return posixpath.join(environment, "bin", "python")


def _pip(uv: str, python: str) -> tuple[str, ...]:
    return (uv, "pip", "install", *_ALWAYS, "--compile-bytecode", "--python", python)


def _each(option: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for value in values for part in (option, value))
