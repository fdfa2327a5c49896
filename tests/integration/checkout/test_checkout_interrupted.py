"""Fetches and exports that are cancelled, time out or die."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.errors import Unavailable
from previewdrop.source.checkout import Checkouts

Files = Callable[[Path], dict[str, bytes]]


class SlowServer:
    """Takes a connection and never answers; once `good` is set it passes new ones on."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.gone = asyncio.Event()
        self.drop = asyncio.Event()
        self.good: int | None = None
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if self.good is None:
                self.waiting.set()
                dropped = asyncio.create_task(self.drop.wait())
                ended = asyncio.create_task(self._until_gone(reader))
                await asyncio.wait([dropped, ended], return_when=asyncio.FIRST_COMPLETED)
                dropped.cancel()
                ended.cancel()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.good)
            with contextlib.closing(far_writer):
                up = asyncio.create_task(self._copy(reader, far_writer))
                await self._copy(far_reader, writer)
                up.cancel()

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                continue
        self.gone.set()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()


@pytest.fixture
async def slow() -> AsyncIterator[SlowServer]:
    slow = SlowServer()
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0)
    slow.url = f"git://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield slow
        slow.drop.set()


async def test_a_cancelled_fetch_stops_git(checkouts: Checkouts, slow: SlowServer):
    fetch = asyncio.create_task(checkouts.fetch(f"{slow.url}/shop", branch="main"))
    await asyncio.wait_for(slow.waiting.wait(), 20)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    await asyncio.wait_for(slow.gone.wait(), 20)


async def test_a_fetch_that_takes_too_long_stops_git(checkouts: Checkouts, slow: SlowServer):
    with pytest.raises(Unavailable, match=r"was not read within 0\.2 s"):
        await checkouts.fetch(f"{slow.url}/shop", branch="main", timeout=0.2)
    await asyncio.wait_for(slow.gone.wait(), 20)


async def test_after_a_kill_the_next_fetch_waits_for_the_orphan_and_clears_its_locks(
    repository: Any,
    checkouts: Checkouts,
    tmp_path: Path,
    slow: SlowServer,
    daemon: str,
    mirror: Callable[[], Path],
):
    sha = repository.commit(a_txt="1")
    source = f"{slow.url}/shop"
    script = (
        "import asyncio, sys, pathlib\n"
        "from previewdrop.source.checkout import Checkouts\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "c = Checkouts(home / 'mirrors', home / 'checkouts', 10**6)\n"
        "asyncio.run(c.fetch(sys.argv[2], branch='main'))\n"
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), source
    )
    await asyncio.wait_for(slow.waiting.wait(), 30)
    server.send_signal(signal.SIGKILL)
    await server.wait()
    assert not slow.gone.is_set(), "git outlived its parent"
    for name in ("shallow.lock", "HEAD.lock", "refs/commits/x.lock", "objects/pack/tmp_pack_x"):
        (mirror() / name).write_text("")
    slow.good = int(daemon.rpartition(":")[2])
    fetch = asyncio.create_task(checkouts.fetch(source, branch="main"))
    done, _ = await asyncio.wait([fetch], timeout=0.3)
    assert not done, "the orphan still holds the mirror"
    assert (mirror() / "shallow.lock").exists()
    slow.drop.set()
    assert await asyncio.wait_for(fetch, 30) == sha
    assert not list(mirror().rglob("*.lock"))
    assert not list(mirror().rglob("tmp_*"))


async def test_a_cancelled_export_leaves_nothing(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    files = {f"d{n % 40}/{n}.py": f"{n}\n" * 50 for n in range(800)}
    sha = repository.commit_files(files)
    source = str(repository.path)
    await checkouts.fetch(source, branch="main")
    export = asyncio.create_task(checkouts.export(source, sha, target))
    while not list(target.parent.glob(".1.*.part/d39")):
        assert not export.done()
        await asyncio.sleep(0)
    export.cancel()
    with pytest.raises(asyncio.CancelledError):
        await export
    assert list(target.parent.iterdir()) == []
    await checkouts.export(source, sha, target)
    assert len(files_of(target)) == 800


async def test_what_a_killed_export_left_is_cleared(
    repository: Any, checkouts: Checkouts, target: Path, files_of: Files
):
    sha = repository.commit(a_txt="1")
    source = str(repository.path)
    await checkouts.fetch(source, branch="main")
    for stale in (".1.abcd.part/deep/a", ".1.export.json", "1/stale"):
        file = target.parent / stale
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{half")
    await checkouts.export(source, sha, target)
    assert files_of(target) == {"a.txt": b"1"}
    assert sorted(entry.name for entry in target.parent.iterdir()) == [".1.export.json", "1"]


async def test_a_mirror_that_was_half_made_is_completed(
    repository: Any, checkouts: Checkouts, mirror: Callable[[], Path], target: Path
):
    sha = repository.commit(a_txt="1")
    source = str(repository.path)
    await checkouts.fetch(source, branch="main")
    (mirror() / "HEAD").unlink()
    (mirror() / "config").unlink()
    (mirror() / "refs/commits" / sha).unlink()
    assert await checkouts.fetch(source, branch="main") == sha
    assert (await checkouts.export(source, sha, target)).files == 1
