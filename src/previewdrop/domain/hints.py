"""What to do next when a stage failed, for the causes that are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from previewdrop.domain.log_hints import log_hint

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_MIB = 1024 * 1024
_KILLED = frozenset({-9, 137})
_CRASHED = frozenset({-11, 139, -6, 134, -4, 132, -7, 135})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_REACHED = frozenset({"127.0.0.1", "::ffff:127.0.0.1", "localhost", "0.0.0.0", "::"})  # noqa: S104


@dataclass(frozen=True, slots=True)
class Context:
    """What is known about the preview beside its log; anything may be left out.

    `port` is its PORT, `memory` its limit in bytes, `listening` the addresses of the web process
    as `host:port`, `health` the path that is asked. `image` is true where the app runs in an image
    with a network of its own, and false where it runs on the server itself.
    """

    port: int | None = None
    memory: int | None = None
    listening: tuple[str, ...] = ()
    health: str = "/health"
    image: bool = False


def hint(
    stage: str,
    *,
    exit_code: int | None = None,
    status: int | None = None,
    lines: Sequence[str] = (),
    context: Context | None = None,
) -> str | None:
    """One or two sentences on what to do, or None when the cause is not known.

    `stage` is the stage's name, `exit_code` that of the command or app that ended (negative or
    above 128 for a signal), `status` the last HTTP status of a health check, `lines` the end of
    the log, oldest first, redacted already.
    """
    known = context or Context()
    plain = tuple(_ANSI.sub("", line).rstrip() for line in lines)
    alive = exit_code is None
    return (
        _killed(exit_code, known)
        or (_elsewhere(known) if stage == "health" and alive and status is None else None)
        or log_hint(plain, exit_code, known.port, known.health, known.image)
        or _crashed(exit_code)
        or (_health(exit_code, status, known) if stage == "health" else None)
    )


def _killed(exit_code: int | None, context: Context) -> str | None:
    if exit_code not in _KILLED:
        return None
    limit = f" of {context.memory // _MIB} MiB" if context.memory else ""
    return (
        f"It was killed by signal 9, most likely for using more than its memory limit{limit}. "
        "Use less, or raise `memory` under [limits] in previewdrop.toml."
    )


def _crashed(exit_code: int | None) -> str | None:
    if exit_code not in _CRASHED:
        return None
    number = -exit_code if exit_code < 0 else exit_code - 128
    return (
        f"It crashed with signal {number}: a compiled dependency is broken, or does not fit this "
        "version of Python."
    )


def _elsewhere(context: Context) -> str | None:
    """The app lives and listens, but not where it was told to."""
    if context.port is None or not context.listening:
        return None
    places = [_split(address) for address in context.listening]
    if context.port not in [port for _, port in places]:
        return (
            f"The app listens on {', '.join(context.listening)}, not on port {context.port}. "
            f"{_move(places, context)}"
        )
    hosts = {host for host, port in places if port == context.port}
    if context.image and hosts <= _LOOPBACK:
        return (
            f"The app listens on {' and '.join(sorted(hosts))} only, which nobody outside reaches. "
            "Start it with --host 0.0.0.0."
        )
    if not context.image and not hosts & _REACHED:
        return (
            f"The app listens on {' and '.join(sorted(hosts))} only. "
            "Start it with --host 0.0.0.0 or --host 127.0.0.1."
        )
    return None


def _move(places: Sequence[tuple[str, int | None]], context: Context) -> str:
    """How the app comes to listen on its port, or its port to where the app listens."""
    if not context.image:
        return "Start it with --port $PORT, or read PORT from the environment."
    open_ports = [port for host, port in places if host not in _LOOPBACK]
    if not open_ports:
        return "Start it with --host 0.0.0.0 --port $PORT."
    return f"Start it with --port $PORT, or set `port = {open_ports[0]}` in previewdrop.toml."


def _health(exit_code: int | None, status: int | None, context: Context) -> str | None:
    path = context.health
    setting = 'set `health = "/…"` in previewdrop.toml'
    if exit_code == 0:
        return (
            "The app ended by itself without an error. "
            "The server command has to stay in the foreground."
        )
    if exit_code is not None:
        return None
    if status is None:
        if context.port is not None and not context.listening:
            return (
                f"Nothing listens on port {context.port} yet. Does the start wait for something? "
                "Log what it does; a slow start may need PREVIEWDROP_HEALTH_TIMEOUT."
            )
        return "The app listens but does not answer. Is something blocking its event loop?"
    if status == 404:
        return f"The app has no {path}. Add it, or {setting} to a path that answers 200."
    if status == 405:
        return f"{path} does not take GET. Let it, or {setting}."
    if status in (401, 403):
        return f"{path} asks for a login. Let everybody read it, or {setting}."
    if status in (301, 302, 303, 307, 308):
        return f"{path} redirects. Answer 200 there, or {setting} to where it leads."
    if status == 400:
        return (
            f"{path} refuses the request. If the app checks host names, "
            "allow the host of $PREVIEW_URL."
        )
    if status == 503:
        return f"{path} says that the app is not well. Look at what it checks, and at the log."
    if status >= 500:
        return f"{path} fails inside the app. The log has the traceback."
    return f"{path} has to answer 200. Make it, or {setting}."


def _split(address: str) -> tuple[str, int | None]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else None
