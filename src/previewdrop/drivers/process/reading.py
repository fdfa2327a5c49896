"""Files that a preview or a build may have tampered with, read without being led astray."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePath

from previewdrop.domain.spec import MIB

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class NotPlain(OSError):
    """It is no regular file, or larger than was asked for. The text says which."""


def read_plain(path: Path, most: int) -> bytes:
    """A regular file of `most` bytes at the most. Never waits for a FIFO or follows a last link.

    NotPlain for anything else, FileNotFoundError and the like as they come.
    """
    return _read(path, most)


def read_beneath(top: Path, name: PurePath, most: int) -> bytes:
    """As `read_plain`, for a file below `top`; no part of `name` may be a link."""
    with _entered(top, *name.parts[:-1]) as folder:
        return _read(name.name, most, folder)


def names_in(top: Path, *parts: str) -> list[str]:
    """What is in the folder `top/parts…`; nothing if any of these is no real folder."""
    try:
        with _entered(top, *parts) as folder:
            return os.listdir(folder)  # noqa: PTH208 - pathlib knows no descriptors
    except OSError:
        return []


@contextmanager
def _entered(top: Path, *parts: str) -> Generator[int]:
    descriptor = os.open(top, _FOLDER)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: Path | str, most: int, folder: int | None = None) -> bytes:
    try:
        descriptor = os.open(path, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlain("is not a regular file") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPlain("is not a regular file")
        content = bytearray()
        while len(content) <= most and (chunk := os.read(descriptor, _CHUNK)):
            content += chunk
        if len(content) > most:
            raise NotPlain(f"is larger than {most / MIB:g} MiB")
        return bytes(content)
    finally:
        os.close(descriptor)
