"""Docker's multiplexed output: frames of stdout and stderr in one stream, and lines of both.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from previewdrop.drivers.output import LONGEST_LINE, Lines

_HEADER = 8


class Frames:
    """Cuts a stream into its frames, whatever the chunks it comes in."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are whole: 1 for stdout or 2 for stderr, and what was written."""
        self._rest += chunk
        while len(self._rest) >= _HEADER:
            size = int.from_bytes(self._rest[4:_HEADER])
            if len(self._rest) < _HEADER + size:
                return
            yield self._rest[0], bytes(self._rest[_HEADER : _HEADER + size])
            del self._rest[: _HEADER + size]


class Output:
    """Hands the lines of both streams to `lines`, none of them torn by one of the other."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._rests: dict[int, bytes] = {}

    def feed(self, stream: int, payload: bytes) -> None:
        text = self._rests.pop(stream, b"") + payload
        end = text.rfind(b"\n") + 1
        if not end and len(text) > LONGEST_LINE:
            end = len(text)
        self._lines.feed(text[:end])
        if text[end:]:
            self._rests[stream] = text[end:]

    def close(self) -> None:
        """Hands over last lines that had no end."""
        for rest in self._rests.values():
            self._lines.feed(rest)
            self._lines.close()
        self._rests.clear()


async def framed(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """(stream, what was written), in the order in which it arrived."""
    frames = Frames()
    async for chunk in chunks:
        for frame in frames.feed(chunk):
            yield frame
