"""The repository's own server command, made fit for a preview."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from previewdrop.domain.app import AppObject
from previewdrop.source.detect.declarations import Declaration
from previewdrop.source.detect.place import Place
from previewdrop.source.detect.servers import FASTAPI, UVICORN, Server, ServerCommand

MOST_WORKERS = 4
UNKNOWN_WORKERS = 2
_ASGI_WORKERS = ("uvicorn", "asgi", "hypercorn")
_FILES = frozenset({"--config", "--env-file", "--env-files", "--log-config", "--log-config-json"})
_LOGS = frozenset(
    {"--access-log", "--access-logfile", "--error-log", "--error-logfile", "--log-file"}
)


@dataclass(frozen=True, slots=True)
class Command:
    """An argv with `{host}` and `{port}` in it, or None when plain uvicorn will do."""

    argv: tuple[str, ...] | None
    why: str
    warnings: tuple[str, ...] = ()


def fit_command(place: Place, app: AppObject, declaration: Declaration) -> Command:
    """The server command of a declaration for a preview: own address, no reloading, few workers."""
    run = declaration.run
    plain = "Command: uvicorn"
    if declaration.script is not None:
        return Command(None, f"{plain}; the script {declaration.script} is read, not run.")
    if run.server is None:
        return Command(None, f"{plain}; {declaration.origin} names no server.")
    command, server = run.server, run.server.server
    warnings = tuple(_reloading(declaration))
    if server is FASTAPI:
        server = UVICORN
    if server is not UVICORN and server.name not in place.installed:
        absent = f"{declaration.origin} runs {server.name}, which the dependencies do not list."
        return Command(None, f"{plain}, for want of {server.name}.", (*warnings, absent))
    if server.name == "gunicorn" and not _is_asgi(place, declaration, command):
        useless = (
            f"{declaration.origin} runs gunicorn without a worker for ASGI, which cannot serve "
            "FastAPI: uvicorn is used."
        )
        return Command(None, f"{plain}.", (*warnings, useless))
    if app.factory and server.name == "daphne":
        return Command(None, f"{plain}; daphne cannot call a factory.", warnings)
    options = _options(place, declaration, command, server)
    if server is UVICORN and not options:
        return Command(None, f"{plain}; {declaration.origin} asks for nothing more.", warnings)
    argv = (server.name, *_target(server, app), *server.bind, *options)
    return Command(argv, f"Command: {' '.join(argv)}, from {declaration.origin}.", warnings)


def _target(server: Server, app: AppObject) -> tuple[str, ...]:
    if server.name == "granian":
        interface = ("--interface", "asgi", *(("--factory",) if app.factory else ()))
        return (app.import_string, *interface)
    if not app.factory:
        return (app.import_string,)
    if server is UVICORN:
        return (app.import_string, "--factory")
    return (f"{app.import_string}()",)


def _options(
    place: Place, declaration: Declaration, command: ServerCommand, server: Server
) -> tuple[str, ...]:
    found: list[str] = []
    for option in command.options:
        name, value = option[0], option[-1]
        if name in ("--interface", "--pythonpath"):
            continue
        if name in ("--workers", "--dirty-workers"):
            number = int(value) if re.fullmatch("[0-9]{1,6}", value) else None
            found += [name, str(min(number, MOST_WORKERS))] if number else []
        elif name in _FILES:
            path = _file(place, declaration, value)
            found += [name, path] if path else []
        elif name in _LOGS and len(option) > 1:
            found += [name, "-"]
        else:
            found += option
    if server.name == "gunicorn" and command.value("--workers") is None:
        workers = place.gunicorn_setting(declaration, "workers")
        if isinstance(workers, int) and workers > MOST_WORKERS:
            found += ["--workers", str(MOST_WORKERS)]
        elif workers is ...:
            found += ["--workers", str(UNKNOWN_WORKERS)]
    return tuple(found)


def _file(place: Place, declaration: Declaration, value: str) -> str | None:
    """A file the server reads, relative to where it will run; None if the repository has none."""
    path = declaration.repository_path(value.removeprefix("file:"), moved=True)
    if path is None or not place.code.tree.has(path):
        return None
    return posixpath.relpath(path, place.root or ".")


def _is_asgi(place: Place, declaration: Declaration, command: ServerCommand) -> bool:
    worker = command.value("--worker-class")
    if worker is None:
        worker = place.gunicorn_setting(declaration, "worker_class")
    return worker is ... or (isinstance(worker, str) and any(n in worker for n in _ASGI_WORKERS))


def _reloading(declaration: Declaration) -> list[str]:
    server = declaration.run.server
    if server is None or not server.reload:
        return []
    return [f"{declaration.origin} reloads on changes; a preview never does."]
