"""What BuildKit tells of a build, as lines for people: `docker build --progress=plain`, calmer.

Its records are `moby.buildkit.v1.StatusResponse` messages, https://github.com/moby/buildkit
(api/services/control/control.proto).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker.buildkit.protobuf import Message
from previewdrop.drivers.output import LONGEST_LINE, plain

_TAIL = 20
_WORTH_TELLING = 0.5
_SLOW = 2.0
"""Seconds from which a step's time, and an internal step at all, is worth a line."""

_STEP = re.compile(r"\[(?:[^\]]+ )?\d+/\d+\] (?P<what>.*)", re.DOTALL)
_REGISTRY = re.compile(r"\bdocker\.io/(?:library/)?|@sha256:[0-9a-f]{64}")
_PULLED = re.compile(r"(?:sha256:)?([0-9a-f]{12})[0-9a-f]*")
_COMMAND = re.compile(
    r"(?:executor failed running \[.*\]|process \".*\" did not complete successfully): ", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that failed: its name as in the log, what BuildKit says, its last lines."""

    name: str
    error: str
    tail: tuple[str, ...]


@dataclass(slots=True)
class _Vertex:
    name: str
    started: float = 0
    ended: bool = False
    announced: bool = False
    cached: bool = False
    rest: dict[int, bytearray] = field(default_factory=dict[int, bytearray])
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=_TAIL))

    @property
    def tag(self) -> str:
        return self.name.partition("]")[0] + "]" if self.step else self.name

    @property
    def step(self) -> bool:
        return _STEP.fullmatch(self.name) is not None

    @property
    def counted(self) -> bool:
        """A base image is no step of the author's."""
        match = _STEP.fullmatch(self.name)
        return match is not None and not match["what"].startswith("FROM ")


class Progress:
    """Turns records into lines, in the order they come, and keeps what the caller asks at the end.

    `failure` is the step that failed, `tail` the last lines that any step printed. Steps that run
    at the same moment take turns; a line says whose output follows.
    """

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.tail = deque[str](maxlen=_TAIL)
        self._vertexes: dict[str, _Vertex] = {}
        self._speaker = ""
        self._layers: set[str] = set()
        self._warned: set[str] = set()

    @property
    def executed(self) -> int:
        return sum(v.counted and v.ended and not v.cached for v in self._vertexes.values())

    @property
    def cached(self) -> int:
        return sum(v.counted and v.cached for v in self._vertexes.values())

    @property
    def running(self) -> str | None:
        """The step that began last of those that have not ended."""
        running = [v for v in self._vertexes.values() if v.step and v.started and not v.ended]
        return max(running, key=lambda v: v.started).name if running else None

    def feed(self, record: bytes) -> Iterator[str]:
        """The lines of one StatusResponse. ValueError for bytes that are none."""
        response = Message(record)
        vertexes = response.messages(1)
        for said in vertexes:
            yield from self._begin(said)
        for said in response.messages(2):
            yield from self._pull(said)
        for said in response.messages(3):
            yield from self._output(said)
        for said in response.messages(4):
            yield from self._warn(said)
        for said in vertexes:
            yield from self._end(said)

    def _begin(self, said: Message) -> Iterator[str]:
        digest = said.text(1)
        vertex = self._vertexes.setdefault(digest, _Vertex(_name(said.text(3))))
        if 5 in said and not vertex.started:
            vertex.started = _time(said.message(5))
        cached = bool(said.integer(4))
        if vertex.step and 5 in said and not cached and not vertex.announced:
            yield self._announce(digest, vertex)

    def _announce(self, digest: str, vertex: _Vertex) -> str:
        vertex.announced = True
        self._speaker = digest
        return vertex.name

    def _speak(self, digest: str, vertex: _Vertex, line: str) -> Iterator[str]:
        if not vertex.announced:
            yield self._announce(digest, vertex)
        yield f"  {line}" if self._speaker == digest else f"{vertex.tag} {line}"
        self._speaker = digest

    def _output(self, said: Message) -> Iterator[str]:
        digest = said.text(1)
        vertex = self._vertexes.setdefault(digest, _Vertex("[build]"))
        rest = vertex.rest.setdefault(said.integer(3), bytearray())
        rest += said.data(4)
        for line in _lines(rest):
            yield from self._print(digest, vertex, line)

    def _print(self, digest: str, vertex: _Vertex, line: str) -> Iterator[str]:
        vertex.tail.append(line)
        self.tail.append(line)
        yield from self._speak(digest, vertex, line)

    def _flush(self, digest: str, vertex: _Vertex) -> Iterator[str]:
        for rest in vertex.rest.values():
            if rest and (line := plain(bytes(rest))):
                yield from self._print(digest, vertex, line)
            rest.clear()

    def _pull(self, said: Message) -> Iterator[str]:
        """One line a layer of a base image, when it has come."""
        layer, total = said.text(1), said.integer(5)
        match = _PULLED.fullmatch(layer)
        vertex = self._vertexes.get(said.text(2))
        if match and vertex and 8 in said and total >= MIB and layer not in self._layers:
            self._layers.add(layer)
            line = f"pulled {match[1]}, {total / MIB:.0f} MiB"
            yield from self._speak(said.text(2), vertex, line)

    def _warn(self, said: Message) -> Iterator[str]:
        line = _one_line(said.text(3))
        if line not in self._warned:
            self._warned.add(line)
            yield f"warning: {line}"

    def _end(self, said: Message) -> Iterator[str]:
        digest, error = said.text(1), said.text(7)
        vertex = self._vertexes[digest]
        if 6 not in said:
            return
        if said.integer(4):
            if not vertex.cached and vertex.step:
                yield from self._tell_cached(digest, vertex)
            vertex.cached = True
            return
        yield from self._flush(digest, vertex)
        took = _time(said.message(6)) - vertex.started
        if error:
            yield from self._fail(digest, vertex, error, took)
        elif not vertex.ended and took >= (_WORTH_TELLING if vertex.step else _SLOW):
            yield from self._speak(digest, vertex, f"done in {took:.1f} s")
        vertex.ended = not error

    def _tell_cached(self, digest: str, vertex: _Vertex) -> Iterator[str]:
        """A base image that is there is nothing to tell: it is, after all but the first build."""
        if vertex.announced and vertex.counted:
            yield from self._speak(digest, vertex, "CACHED")
        elif not vertex.announced:
            self._announce(digest, vertex)
            yield f"{vertex.name} CACHED" if vertex.counted else vertex.name

    def _fail(self, digest: str, vertex: _Vertex, error: str, took: float) -> Iterator[str]:
        if self.failure or "context canceled" in error:
            return
        self.failure = Failure(vertex.name, error, tuple(vertex.tail))
        why = _one_line(_COMMAND.sub("", error))
        yield from self._speak(digest, vertex, f"failed after {took:.1f} s: {why}")


def _lines(rest: bytearray) -> Iterator[str]:
    """Takes the complete lines off `rest`, and what a progress bar overwrote."""
    while (end := rest.find(b"\n")) >= 0:
        line = plain(bytes(rest[:end]))
        del rest[: end + 1]
        yield line
    if len(rest) > LONGEST_LINE:
        overwritten = rest.rfind(b"\r", 0, len(rest) - 1)
        if overwritten >= 0:
            del rest[: overwritten + 1]
        else:
            yield plain(bytes(rest))
            rest.clear()


def _name(text: str) -> str:
    """A step's name, with images named as people do."""
    return _one_line(_REGISTRY.sub("", text))


def _one_line(text: str) -> str:
    return plain(" ".join(text.split()).encode())


def _time(said: Message) -> float:
    return said.integer(1) + said.integer(2) / 1e9
