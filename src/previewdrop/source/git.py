"""Runs git: in a process group of its own, with a clean environment, bounded and stoppable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from previewdrop.domain.errors import ServerError
from previewdrop.source.commands import Command, environment

T = TypeVar("T")

_ERROR_BYTES = 64 * 1024
_CHUNK = 256 * 1024
_GRACE = 2.0
"""Seconds in which git may remove its own lock files and half-written packs."""


class TooMuchOutput(Exception):
    """A command printed more than the caller was ready to take; it was stopped."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended: exit code (negative for a signal), output, last part of the errors."""

    code: int
    output: bytes
    errors: str


async def run(
    command: Command,
    *,
    limit: int = 16 * 1024 * 1024,
    lock: int | None = None,
    file_bytes: int | None = None,
) -> Finished:
    """Runs a command to its end. No exit code is an error here.

    TooMuchOutput beyond `limit` bytes. `lock` is a locked file that the command keeps locked for
    as long as it lives, even when we do not. No file that it writes may exceed `file_bytes`, where
    the system can do that (Linux). Cancelled, it stops git and everything that git started.
    """
    async with _started(command, asyncio.subprocess.PIPE, lock, file_bytes) as process:
        assert process.stdout  # noqa: S101 - asked for above
        assert process.stderr  # noqa: S101 - always asked for
        errors = asyncio.create_task(_tail(process.stderr))
        try:
            output = await _bounded(process.stdout, limit)
            code = await process.wait()
            text = await errors
            if code == -signal.SIGXFSZ:
                text += "\nfatal: File size limit exceeded"
            return Finished(code, output, text)
        finally:
            errors.cancel()


async def read(command: Command, consume: Callable[[BinaryIO], T]) -> T:
    """Runs a command whose output `consume` reads in a thread, and returns what that returns.

    An exception of `consume` stops git. When this is cancelled git is stopped, `consume` meets the
    end of its input, and only when it has ended too does the cancellation go on.
    """
    reading, writing = os.pipe()
    source = os.fdopen(reading, "rb", buffering=_CHUNK)
    work: asyncio.Task[T] | None = None
    try:
        async with _started(command, writing) as process:
            os.close(writing)
            writing = -1
            assert process.stderr  # noqa: S101 - always asked for
            errors = asyncio.create_task(_tail(process.stderr))
            try:
                work = asyncio.create_task(asyncio.to_thread(consume, source))
                return await asyncio.shield(work)
            finally:
                errors.cancel()
    finally:
        if writing >= 0:
            os.close(writing)
        if work:
            await _settled(work)
        source.close()


async def in_thread(work: Callable[[], T]) -> T:
    """Runs blocking work in a thread. A cancellation goes on only when the work has ended."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        await _settled(task)


async def _settled(task: asyncio.Task[T]) -> None:
    if not task.done():
        await asyncio.wait([task])
    task.exception()


@contextlib.asynccontextmanager
async def _started(
    command: Command, stdout: int, lock: int | None = None, file_bytes: int | None = None
):
    """A running command; whatever of it still lives at the end is stopped."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(command.input)
        stdin.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=stdin,
                stdout=stdout,
                stderr=asyncio.subprocess.PIPE,
                env=environment(command, os.environ),
                cwd="/",
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
        except FileNotFoundError as error:
            raise ServerError(
                "The command `git` is not on this machine.", "Install git 2.31 or newer."
            ) from error
    try:
        if file_bytes is not None:
            _limit_files(process.pid, file_bytes)
        yield process
    finally:
        await _stop(process)


def _limit_files(pid: int, size: int) -> None:
    prlimit = getattr(resource, "prlimit", None)
    if prlimit:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        ending = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait([ending], timeout=_GRACE)
        finally:
            _signal(process.pid, signal.SIGKILL)
        await ending
    transport = getattr(process, "_transport", None)
    if transport:
        transport.close()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _bounded(stream: asyncio.StreamReader, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise TooMuchOutput
        chunks.append(chunk)
    return b"".join(chunks)


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stream.read(_CHUNK):
        kept = (kept + chunk)[-_ERROR_BYTES:]
    return kept.decode(errors="replace")
