"""A small Redis client for machines that have none: commands in, replies as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from valkey.connection import ConnectionPool
from valkey.exceptions import ResponseError, ValkeyError

from previewdrop.domain.errors import BadInput, Unavailable

_STREAMING = frozenset({"monitor", "subscribe", "psubscribe", "ssubscribe", "sync", "psync"})


class Ask(Protocol):
    """Sends one command and gives its reply; ResponseError is a reply as well."""

    def __call__(self, words: list[str]) -> Any: ...


class RedisClient:
    """One connection to a preview's Redis database."""

    def __init__(self, url: str) -> None:
        # The library's own types stop at the pool.
        pool_type: Any = ConnectionPool
        self._connection: Any = pool_type.from_url(url).make_connection()

    def __call__(self, words: list[str]) -> Any:
        if words[0].lower() in _STREAMING:
            raise BadInput(f"{words[0].upper()} needs redis-cli or valkey-cli.", "Install one.")
        try:
            self._connection.send_command(*words)
            return self._connection.read_response()
        except ResponseError as error:
            return error
        except ValkeyError as error:
            raise Unavailable(f"The preview's Redis did not answer: {error}.") from error

    def close(self) -> None:
        self._connection.disconnect()


def answers(ask: Ask, lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The reply to each line that has a command, and whether it went well, until `quit`."""
    for line in lines:
        try:
            words = shlex.split(line)
        except ValueError as error:
            yield f"(error) {error}", False
            continue
        if not words:
            continue
        if words[0].lower() in ("quit", "exit"):
            return
        reply = ask(words)
        yield "\n".join(reply_lines(reply)), not isinstance(reply, ResponseError)


def reply_lines(reply: Any) -> list[str]:
    """A reply as people read it; lists are numbered from 1, lists in lists are indented."""
    if isinstance(reply, ResponseError):
        return [f"(error) {reply}"]
    if reply is None:
        return ["(nil)"]
    if isinstance(reply, bytes):
        return [reply.decode(errors="backslashreplace")]
    if isinstance(reply, dict):
        reply = [part for pair in reply.items() for part in pair]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(reply, (list, tuple, set)):
        return _numbered([*reply])  # pyright: ignore[reportUnknownArgumentType]
    return [str(reply)]


def _numbered(replies: list[Any]) -> list[str]:
    if not replies:
        return ["(empty)"]
    width = len(str(len(replies)))
    lines: list[str] = []
    for at, reply in enumerate(replies, 1):
        first, *rest = reply_lines(reply)
        lines.append(f"{at:>{width}}) {first}")
        lines += [" " * (width + 2) + line for line in rest]
    return lines
