"""A build context as a tar stream of PAX format, in which only names, modes and contents vary."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from previewdrop.drivers.docker.context import folder as folders
from previewdrop.drivers.docker.context.entries import Entry
from previewdrop.drivers.docker.context.folder import CHUNK

_TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
_BLOCK = tarfile.BLOCKSIZE
_FULL = CHUNK // 2


def packed(
    top: Path, parts: tuple[str, ...], entries: Iterable[Entry], extra: Mapping[str, bytes]
) -> Iterator[bytes]:
    """The tar of `entries`, all of the folder `top/parts…` but for `extra`, in that order.

    Pieces of 1 MiB at the most. StageFailed when a file is not what its entry says.
    """
    buffer = bytearray()
    with closing(_Reader(top, parts)) as reader:
        for entry in entries:
            buffer += header(entry)
            if entry.kind == "file":
                for chunk in _pieces(reader, entry, extra):
                    if buffer and len(buffer) + len(chunk) > _FULL:
                        yield bytes(buffer)
                        buffer.clear()
                    if len(chunk) > _FULL:
                        yield chunk
                    else:
                        buffer += chunk
                buffer += bytes(-entry.size % _BLOCK)
            if len(buffer) > _FULL:
                yield bytes(buffer)
                buffer.clear()
        buffer += bytes(2 * _BLOCK)
    yield bytes(buffer)


def header(entry: Entry) -> bytes:
    """What comes before a content: one block, or three and more for a long or unusual name."""
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.kind]
    info.mode = entry.mode
    info.size = entry.size
    if entry.kind == "link":
        info.linkname = os.fsdecode(entry.content)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _pieces(reader: _Reader, entry: Entry, extra: Mapping[str, bytes]) -> Iterator[bytes]:
    content = extra.get(entry.path)
    if content is None:
        yield from reader.read(entry)
    else:
        yield from (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))


class _Reader:
    """Reads files of a folder again; those of one folder next to each other are quickest."""

    def __init__(self, top: Path, parts: tuple[str, ...]) -> None:
        self._top = top
        self._parts = parts
        self._folder: str | None = None
        self._descriptor = -1

    def read(self, entry: Entry) -> Generator[bytes]:
        """The contents in pieces; StageFailed at the latest after the last if they changed."""
        folder, _, name = entry.path.rpartition("/")
        digest = hashlib.sha256()
        with folders.explained("/".join((*self._parts, entry.path))):
            self._enter(folder)
            with folders.plain(name, self._descriptor) as (file, _):
                for chunk in folders.contents(file, entry.size):
                    digest.update(chunk)
                    yield chunk
        if digest.digest() != entry.content:
            raise folders.changed("/".join((*self._parts, entry.path)))

    def close(self) -> None:
        """Closes the folder that was read last."""
        if self._folder is not None:
            os.close(self._descriptor)
            self._folder = None

    def _enter(self, folder: str) -> None:
        if folder == self._folder:
            return
        self.close()
        inner = folder.split("/") if folder else []
        self._descriptor = folders.opened(self._top, *self._parts, *inner)
        self._folder = folder
