"""What a command line starts, behind shells and wrappers: a server, a Python file or a script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from previewdrop.source.detect.servers import ServerCommand, parse_server
from previewdrop.source.detect.shell import UNKNOWN, simple_commands

_PYTHON = re.compile(r"(?:.*/)?python[\d.]*$")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_WRAPPERS = frozenset(
    {"catchsegv", "chpst", "command", "conda", "ddtrace-run", "doppler", "dotenv", "dumb-init",
     "env", "exec", "gosu", "hatch", "infisical", "micromamba", "newrelic-admin", "nice", "nohup",
     "opentelemetry-instrument", "pdm", "pipenv", "pixi", "poetry", "rye", "stdbuf", "su-exec",
     "time", "timeout", "tini", "uv", "uvx"}
)  # fmt: skip
_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "fastapi"})
_RUNNERS = frozenset({"hatch", "pdm", "pipenv", "poetry", "rye", "uv"})
_KEYWORDS = frozenset({"then", "else", "do", "{", "!"})
_QUIET = frozenset(
    {":", "[", "cat", "chmod", "chown", "echo", "export", "mkdir", "printf", "set", "sleep",
     "source", "test", "true", "ulimit", "umask", "wait", "trap", "."}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What is started. At most one of `server`, `file`, `module`, `script`, `program` is set.

    `folder` is where a `cd` before it leads, `paths` what PYTHONPATH gets, `before` the commands
    that run first and matter, `script` a shell script, `program` a command of unknown kind.
    """

    server: ServerCommand | None = None
    file: str | None = None
    module: str | None = None
    script: str | None = None
    program: str | None = None
    folder: str | None = None
    paths: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.server or self.file or self.module or self.script or self.program)


def read_line(line: str, environment: Mapping[str, str]) -> Run:
    """What a line for the shell starts: its server if there is one, else its last command."""
    folder: str | None = None
    paths = environment.get("PYTHONPATH", "").split(":")
    before: list[str] = []
    chosen = Run()
    previous = ""
    for command in simple_commands(line, environment):
        words = command[1:] if command[0] in _KEYWORDS else command
        if not words:
            continue
        if words[0] == "cd":
            folder = words[1] if len(words) > 1 else None
        elif words[0] == "export" and words[-1].startswith("PYTHONPATH="):
            paths += words[-1].partition("=")[2].split(":")
        else:
            if chosen.program not in _QUIET and not chosen.nothing:
                before.append(previous)
            chosen = read_words(words, environment)
            previous = " ".join(
                words[2:] if words[0] in _RUNNERS and words[1:2] == ("run",) else words
            )
            if chosen.server is not None:
                break
    return replace(
        chosen,
        folder=chosen.folder or folder,
        paths=tuple(path for path in (*paths, *chosen.paths) if path and UNKNOWN not in path),
        before=(*(text for text in before if UNKNOWN not in text), *chosen.before),
    )


def read_words(words: Sequence[str], environment: Mapping[str, str]) -> Run:
    """What a command given as words starts."""
    rest, paths = _unwrapped(words)
    if not rest:
        return Run(paths=paths)
    name = rest[0].rpartition("/")[2]
    if server := parse_server(rest):
        return Run(server=server, paths=paths)
    if _PYTHON.match(rest[0]):
        return replace(_python(rest[1:]), paths=paths)
    if name in _SHELLS:
        return _shell(rest[1:], environment)
    if name.endswith(".sh") or rest[0].startswith(("./", "/")):
        # An entrypoint script that is given the server to start, as its last act.
        inner = read_words(rest[1:], environment)
        return inner if inner.server else Run(script=rest[0], paths=paths)
    return Run(program=name, paths=paths)


def _unwrapped(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The words without variables and wrappers in front, and what PYTHONPATH is given."""
    rest: list[str] = list(words)
    paths: list[str] = []
    while rest:
        if assignment := _ASSIGNMENT.fullmatch(rest[0]):
            paths += assignment[2].split(":") if assignment[1] == "PYTHONPATH" else []
            rest.pop(0)
        elif rest[0].rpartition("/")[2] in _WRAPPERS:
            start = next((i for i, word in enumerate(rest[1:], 1) if _starts(word)), None)
            if start is None:
                return rest, tuple(paths)
            assignments = [word for word in rest[1:start] if _ASSIGNMENT.fullmatch(word)]
            rest = [*assignments, *rest[start:]]
        else:
            break
    return rest, tuple(paths)


def _starts(word: str) -> bool:
    name = word.rpartition("/")[2]
    return (
        name in _SERVERS
        or name in _SHELLS
        or name in _WRAPPERS
        or name.endswith((".sh", ".py"))
        or _PYTHON.match(word) is not None
    )


def _python(words: Sequence[str]) -> Run:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-m" and rest:
            server = parse_server(rest)
            return Run(server=server) if server else Run(module=rest[0])
        if word in ("-X", "-W") and rest:
            rest.pop(0)
        elif word == "-c":
            return Run(program="python")
        elif not word.startswith("-"):
            return Run(file=word)
    return Run(program="python")


def _shell(words: Sequence[str], environment: Mapping[str, str]) -> Run:
    for index, word in enumerate(words):
        if word.startswith("-") and word.endswith("c") and index + 1 < len(words):
            return read_line(words[index + 1], environment)
        if not word.startswith("-"):
            inner = read_words(words[index + 1 :], environment)
            return inner if inner.server else Run(script=word)
    return Run(program="sh")
