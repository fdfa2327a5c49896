"""The logs of a deployment's processes: bounded files that outlive the server, read as lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from previewdrop.drivers.output import LONGEST_LINE, plain

_BETWEEN_LOOKS = 0.15
"""Seconds between looks at the files, only while somebody follows."""

_CHUNK = 1 << 20


def rotate(path: Path, limit: int) -> bool:
    """Moves a log's text to `<name>.log.1` when it takes more than half of `limit` bytes.

    The process keeps its descriptor and goes on at the start of the emptied file. Lines that it
    writes between the copy and the cut are lost; that is the price of logs without a process
    more for each preview. Of a file that outgrew the limit only its end is kept.
    """
    half = limit // 2
    try:
        with path.open("r+b") as live:
            size = live.seek(0, os.SEEK_END)
            if size <= half:
                return False
            draft = path.with_name(f"{path.name}.draft")
            with draft.open("wb") as older:
                live.seek(max(0, size - half))
                if size > half:
                    live.readline()
                while chunk := live.read(_CHUNK):
                    older.write(chunk)
                    if older.tell() > limit:
                        break
            live.truncate(0)
            draft.replace(path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        return False
    return True


async def read(
    logs: Sequence[tuple[str, Path]], running: Callable[[], bool] | None = None
) -> AsyncIterator[tuple[str, str]]:
    """(name, line) of each log, older text first; follows while `running()` is true.

    The files carry no times: without following, one process comes after the other.
    """
    tails = [_Tail(name, path) for name, path in logs]
    for tail in tails:
        for line in await asyncio.to_thread(tail.older):
            yield tail.name, line
        while lines := await asyncio.to_thread(tail.more):
            for line in lines:
                yield tail.name, line
    going = running is not None
    while going:
        going = running is not None and running()
        for tail in tails:
            while lines := await asyncio.to_thread(tail.more):
                for line in lines:
                    yield tail.name, line
        if going:
            await asyncio.sleep(_BETWEEN_LOOKS)
    for tail in tails:
        for line in tail.rest():
            yield tail.name, line


class _Tail:
    """Where one reader is in one log."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._offset = 0
        self._rest = b""

    def older(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            content = self._path.with_name(f"{self._path.name}.1").read_bytes()
            return [plain(line[:LONGEST_LINE]) for line in content.splitlines()]
        return []

    def more(self) -> list[str]:
        """The lines that came since the last look, a megabyte at most."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(_CHUNK)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        if data and not lines:
            return self.more()
        return [plain(line[:LONGEST_LINE]) for line in lines]

    def rest(self) -> list[str]:
        return [plain(self._rest[:LONGEST_LINE])] if self._rest else []
