"""Docker's multiplexed output: frames of stdout and stderr in one stream.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

_HEADER = 8


class Frames:
    """Cuts a stream into the payloads of its frames, whatever the chunks it comes in."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._rest += chunk
        while len(self._rest) >= _HEADER:
            size = int.from_bytes(self._rest[4:_HEADER])
            if len(self._rest) < _HEADER + size:
                return
            yield bytes(self._rest[_HEADER : _HEADER + size])
            del self._rest[: _HEADER + size]


async def payloads(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was written, in the order in which it was written."""
    frames = Frames()
    async for chunk in chunks:
        for payload in frames.feed(chunk):
            yield payload
