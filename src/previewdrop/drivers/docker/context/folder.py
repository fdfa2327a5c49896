"""Reading in a folder that others can write in, without being led out of it or kept waiting."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from previewdrop.domain.errors import StageFailed

CHUNK = 1 << 20

_HOPS = 8
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOVED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ESTALE, errno.EINVAL)


def opened(top: Path, *parts: str) -> int:
    """A descriptor of the folder `top/parts…`; none of `parts` may be a link.

    NotADirectoryError for a link, FileNotFoundError and the like as they come.
    """
    descriptor = os.open(top, _FOLDER)
    for part in parts:
        try:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


@contextmanager
def entered(top: Path, *parts: str) -> Generator[int]:
    """As `opened`, and closes it."""
    descriptor = opened(top, *parts)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def plain(name: str, folder: int) -> Generator[tuple[int, os.stat_result]]:
    """The regular file `name` in the open folder. OSError with ELOOP for anything else."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ELOOP, "is not a regular file")
        yield descriptor, found
    finally:
        os.close(descriptor)


def contents(descriptor: int, size: int) -> Iterator[bytes]:
    """What is in an open file, in pieces of 1 MiB at the most. ESTALE unless it is `size` bytes."""
    left = size
    while chunk := os.read(descriptor, min(left + 1, CHUNK)):
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise OSError(errno.ESTALE, "changed while it was read")


def small(top: Path, parts: tuple[str, ...], most: int) -> bytes | None:
    """A regular file of `most` bytes at the most; None if it is not there.

    StageFailed for a link or a larger one, and where a folder of `parts` is a link.
    """
    path = "/".join(parts)
    try:
        with entered(top, *parts[:-1]) as folder, plain(parts[-1], folder) as (descriptor, found):
            if found.st_size > most:
                raise StageFailed(f"{path} is larger than {most // 1024} KiB.")
            return b"".join(contents(descriptor, found.st_size))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StageFailed(
                f"{path} is a link or no file, or is in a folder that is a link.",
                "Put the file itself there: links are not followed.",
            ) from error
        raise unreadable(path, error) from error


def unlinked(top: Path, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Where the file `top/parts…` really is, if it is a link to one beneath `top`.

    `parts` again, or the last link, if there is nothing or the link leads out or round in circles.
    """
    for _ in range(_HOPS):
        try:
            with entered(top, *parts[:-1]) as folder:
                target = os.readlink(parts[-1], dir_fd=folder)
        except OSError:
            break
        aim = posixpath.normpath(posixpath.join(*parts[:-1], target)).split("/")
        if aim[0] in ("", ".", ".."):
            break
        parts = tuple(aim)
    return parts


@contextmanager
def explained(path: str) -> Generator[None]:
    """OSErrors about `path`, which was there a moment ago, as StageFailed."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> StageFailed:
    """What to say when `path` cannot be read, though it was there a moment ago."""
    if error.errno in _MOVED:
        return changed(path)
    return StageFailed(f"{path} cannot be read for the build context: {error.strerror}.")


def changed(path: str) -> StageFailed:
    """What to say when `path` is not any more what it was a moment ago."""
    return StageFailed(
        f"{path} changed while the build context was read.",
        "Deploy again; if it happens again, see what writes there and leave it out in "
        ".dockerignore.",
    )
