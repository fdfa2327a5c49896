"""The ASGI servers a repository may ask for, and what their command lines say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from previewdrop.source.detect.shell import UNKNOWN

IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*(\(\))?)?")


@dataclass(frozen=True, slots=True)
class Server:
    """One server's options.

    `flags` take no value, any other option takes one; `short` maps short names to long ones.
    `dropped` make no sense in a preview: addresses, which PreviewDrop chooses, reloading, sockets,
    certificates, daemons, users. A name that ends with `-` stands for all that begin so.
    `default` is the variable that a bare module stands for. `bind` is how it is told to listen.
    """

    name: str
    flags: frozenset[str]
    short: dict[str, str]
    dropped: tuple[str, ...]
    bind: tuple[str, ...]
    default: str = "app"
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What a server's command line says.

    `target` is the import string as written, None where the command leaves it out; `path` the
    file that `fastapi run` is given; `folder` where modules are looked for; `options` those worth
    keeping, each with its value, long names first. `reload` tells that reloading was asked for.
    """

    server: Server
    target: str | None = None
    path: str | None = None
    factory: bool = False
    folder: str | None = None
    options: tuple[tuple[str, ...], ...] = ()
    config: str | None = None
    reload: bool = False

    def value(self, name: str) -> str | None:
        """The value of an option, None when it is not given."""
        return next((option[-1] for option in self.options if option[0] == name), None)


_HOST_PORT = ("--host", "{host}", "--port", "{port}")
_COMMON_DROPS = (
    "--reload",
    "--reload-",
    "--uds",
    "--fd",
    "--ssl-",
    "--host",
    "--port",
    "--bind",
    "--pid",
)

UVICORN = Server(
    name="uvicorn",
    flags=frozenset(
        {
            "--reload",
            "--http2",
            "--factory",
            "--reset-contextvars",
            "--access-log",
            "--no-access-log",
            "--use-colors",
            "--no-use-colors",
            "--proxy-headers",
            "--no-proxy-headers",
            "--server-header",
            "--no-server-header",
            "--date-header",
            "--no-date-header",
            "--debug",
        }
    ),
    short={},
    dropped=(*_COMMON_DROPS, "--debug"),
    bind=_HOST_PORT,
    folder="--app-dir",
)
GUNICORN = Server(
    name="gunicorn",
    flags=frozenset(
        {
            "--reload", "--spew", "--check-config", "--print-config", "--preload",
            "--no-sendfile", "--reuse-port", "--daemon", "--initgroups",
            "--disable-redirect-access-to-syslog", "--capture-output", "--log-syslog",
            "--enable-stdio-inheritance", "--enable-backlog-metric", "--proxy-protocol",
            "--suppress-ragged-eofs", "--do-handshake-on-connect", "--permit-obsolete-folding",
            "--strip-header-spaces", "--permit-unconventional-http-method",
            "--permit-unconventional-http-version", "--casefold-http-method",
            "--no-control-socket",
        }
    ),
    short={
        "-c": "--config", "-b": "--bind", "-w": "--workers", "-k": "--worker-class",
        "-t": "--timeout", "-D": "--daemon", "-e": "--env", "-p": "--pid", "-u": "--user",
        "-g": "--group", "-m": "--umask", "-R": "--enable-stdio-inheritance", "-n": "--name",
    },
    dropped=(
        *_COMMON_DROPS, "--daemon", "--user", "--group", "--umask", "--initgroups", "--keyfile",
        "--certfile", "--ca-certs", "--cert-reqs", "--ciphers", "--suppress-ragged-eofs",
        "--do-handshake-on-connect", "--worker-tmp-dir", "--check-config", "--print-config",
        "--spew", "--log-syslog", "--statsd-", "--dogstatsd-", "--control-socket",
    ),
    bind=("--bind", "{host}:{port}"),
    default="application",
    folder="--chdir",
)  # fmt: skip
HYPERCORN = Server(
    name="hypercorn",
    flags=frozenset({"--daemon", "--debug", "--reload"}),
    short={
        "-b": "--bind", "-c": "--config", "-D": "--daemon", "-g": "--group",
        "-k": "--worker-class", "-m": "--umask", "-p": "--pid", "-u": "--user", "-w": "--workers",
    },
    dropped=(
        *_COMMON_DROPS, "--daemon", "--debug", "--user", "--group", "--umask", "--certfile",
        "--keyfile", "--ca-certs", "--cert-reqs", "--ciphers", "--verify-mode", "--insecure-bind",
        "--quic-bind", "--server-name", "--statsd-",
    ),
    bind=("--bind", "{host}:{port}"),
)  # fmt: skip
GRANIAN = Server(
    name="granian",
    flags=frozenset(
        {
            "--reload",
            "--factory",
            "--ws",
            "--log",
            "--access-log",
            "--http1-keep-alive",
            "--http1-pipeline-flush",
            "--http2-adaptive-window",
            "--ssl-client-verify",
            "--respawn-failed-workers",
            "--metrics",
            "--reload-ignore-worker-failure",
        }
    ),
    short={},
    dropped=(*_COMMON_DROPS, "--uds-permissions", "--working-dir", "--metrics", "--static-path-"),
    bind=_HOST_PORT,
    folder="--working-dir",
)
DAPHNE = Server(
    name="daphne",
    flags=frozenset({"--proxy-headers", "--no-server-name"}),
    short={
        "-p": "--port", "-b": "--bind", "-u": "--uds", "-e": "--endpoint", "-v": "--verbosity",
        "-t": "--http-timeout", "-s": "--server-name",
    },
    dropped=(*_COMMON_DROPS, "--unix-socket", "--endpoint", "--server-name"),
    bind=("--bind", "{host}", "--port", "{port}"),
    default="application",
)  # fmt: skip
FASTAPI = Server(
    name="fastapi",
    flags=frozenset({"--reload", "--no-reload", "--proxy-headers", "--no-proxy-headers"}),
    short={"-e": "--entrypoint", "-v": "--verbose"},
    dropped=(*_COMMON_DROPS, "--no-reload", "--verbose"),
    bind=_HOST_PORT,
)

_SERVERS = {
    server.name: server for server in (UVICORN, GUNICORN, HYPERCORN, GRANIAN, DAPHNE, FASTAPI)
}


def parse_server(words: Sequence[str]) -> ServerCommand | None:
    """What a command says if it starts a server known here; None for any other command."""
    if not words:
        return None
    server = _SERVERS.get(words[0].rpartition("/")[2])
    if server is None:
        return None
    positional, options = _split(server, words[1:])
    if server is FASTAPI:
        if positional[:1] not in (["run"], ["dev"]):
            return None
        return _fastapi(positional[0] == "dev", positional[1:], options)
    target = next((word for word in positional if IMPORT_STRING.fullmatch(_bare(word))), None)
    folder = next((option[-1] for option in options if option[0] == server.folder), None)
    names = {option[0] for option in options}
    return ServerCommand(
        server=server,
        target=_bare(target) if target else None,
        factory="--factory" in names,
        folder=folder,
        options=tuple(option for option in options if _kept(server, option)),
        config=next((option[-1] for option in options if option[0] == "--config"), None),
        reload="--reload" in names,
    )


def _split(server: Server, words: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Positional words, and options under their long names with their values."""
    positional: list[str] = []
    options: list[tuple[str, ...]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        if word == "--":
            positional += rest
            break
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            name, glued = server.short.get(word[:2], word[:2]), word[2:].removeprefix("=")
            equals, value = ("=", glued) if glued else ("", "")
        if equals:
            options.append((name, value))
        elif _takes_value(server, name, rest):
            options.append((name, rest.pop(0)))
        else:
            options.append((name,))
    return positional, options


def _takes_value(server: Server, name: str, rest: Sequence[str]) -> bool:
    """Options not known here take one too, unless what follows is an option or the only app."""
    if name in server.flags or name.startswith("--no-") or not rest:
        return False
    if name in server.short.values():
        return True
    apps = [word for word in rest if ":" in word and IMPORT_STRING.fullmatch(word)]
    return not rest[0].startswith("--") and apps[:2] != [rest[0]]


def _kept(server: Server, option: tuple[str, ...]) -> bool:
    if option[0] in ("--factory", server.folder, "--help", "--version"):
        return False
    if any(UNKNOWN in word for word in option):
        return False
    if option[0] in ("--workers", "--web-concurrency") and option[-1] == "1":
        return False
    return not any(
        option[0].startswith(name) if name.endswith("-") else option[0] == name
        for name in server.dropped
    )


def _fastapi(
    development: bool, positional: Sequence[str], options: Sequence[tuple[str, ...]]
) -> ServerCommand:
    """`fastapi run` is uvicorn with the app found by file; `dev` adds reloading."""
    named = {option[0]: option[-1] for option in options}
    kept = tuple(
        option
        for option in options
        if option[0] not in ("--app", "--entrypoint") and _kept(FASTAPI, option)
    )
    entrypoint = named.get("--entrypoint")
    path = positional[0] if positional else None
    return ServerCommand(
        server=FASTAPI,
        target=entrypoint or (f":{named['--app']}" if "--app" in named else None),
        path=path,
        options=() if development else kept,
        reload=development or "--reload" in named,
    )


def _bare(word: str) -> str:
    """Hypercorn allows a prefix that names the interface."""
    return word.removeprefix("asgi:") if word.count(":") > 1 else word
