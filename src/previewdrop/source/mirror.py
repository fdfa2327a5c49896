"""A bare mirror of one repository: the commits that were fetched, each kept by a ref of its own.

A commit is there exactly when `refs/commits/SHA` is: the ref is written after all its objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

from previewdrop.source.git import in_thread

_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
_POLL = 0.05
_LEFT_BEHIND = re.compile(r".*\.lock|tmp_.*|\.tmp-.*|shallow_.*|gc\.pid")


class Mirror:
    """The mirror in one folder. One task at a time may change it, in this process and in others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = asyncio.Lock()

    @property
    def _commits(self) -> Path:
        return self.path / "refs" / "commits"

    def create(self) -> None:
        """Makes an empty repository, without running git; does nothing if it is there."""
        if (self.path / "HEAD").exists():
            return
        for folder in ("objects/pack", "objects/info", "refs/commits"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        (self.path / "config").write_text(_CONFIG)
        _replace(self.path / "HEAD", "ref: refs/heads/none\n")

    def has(self, sha: str) -> bool:
        """Whether the commit and everything in it is here."""
        return (self._commits / sha).exists()

    def keep(self, sha: str) -> None:
        """Marks a commit, whose objects are all here, as fetched and in use now."""
        _replace(self._commits / sha, f"{sha}\n")

    def touch(self, sha: str) -> None:
        """Marks a commit that is here as in use now."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._commits / sha)

    def forget(self, sha: str) -> None:
        """Lets a commit go; its objects leave with the next repack."""
        (self._commits / sha).unlink(missing_ok=True)

    def commits(self) -> list[str]:
        """Every commit that is here, the one used last first."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._commits) as entries:
            found = [(entry.stat().st_mtime_ns, entry.name) for entry in entries]
            return [name for _, name in sorted(found, reverse=True) if "." not in name]
        return []

    def packs(self) -> int:
        """How many packs the objects lie in."""
        return sum(1 for _ in (self.path / "objects" / "pack").glob("*.pack"))

    def shallow(self) -> set[str]:
        """The commits whose parents are not here."""
        with contextlib.suppress(FileNotFoundError):
            return set((self.path / "shallow").read_text().split())
        return set()

    def add_shallow(self, sha: str) -> None:
        """Marks a commit as one whose parents are not here."""
        known = self.shallow() | {sha}
        _replace(self.path / "shallow", "".join(f"{each}\n" for each in sorted(known)))

    def modules(self) -> set[str]:
        """The names of the mirrors that hold submodules of this one's commits."""
        with contextlib.suppress(FileNotFoundError):
            return set((self.path / "submodules").read_text().split())
        return set()

    def add_module(self, name: str) -> None:
        """Notes a mirror that holds a submodule, so that it stays as long as this one."""
        known = self.modules()
        if name not in known:
            _replace(self.path / "submodules", "".join(f"{n}\n" for n in sorted({*known, name})))

    def fetched(self) -> list[str]:
        """The shas of the last fetch from a remote repository, as git left them."""
        lines = (self.path / "FETCH_HEAD").read_text(errors="replace").splitlines()
        return [line.partition("\t")[0] for line in lines]

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncGenerator[int, None]:
        """Holds the mirror for one task, and clears what a process that died left in it.

        Yields the locked file. Give it to the git processes that write: should this process die,
        the mirror stays locked until they have ended too.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        async with self._turn:
            lock = await _flock(self.path.with_suffix(".lock"))
            try:
                self._clear_left_behind()
                yield lock
            finally:
                os.close(lock)

    async def remove(self) -> None:
        """Removes the mirror; does nothing if there is none."""
        async with self.locked():
            await in_thread(lambda: shutil.rmtree(self.path, ignore_errors=True))
            self.path.with_suffix(".lock").unlink(missing_ok=True)

    def _clear_left_behind(self) -> None:
        refs = [Path(folder) for folder, _, _ in os.walk(self.path / "refs")]
        for folder in (self.path, self.path / "objects" / "pack", *refs):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if _LEFT_BEHIND.fullmatch(entry.name):
                        Path(entry.path).unlink(missing_ok=True)


def mirror_folder(name: str) -> str:
    """The folder of a repository's mirror: readable, and different for every address."""
    last = re.sub(r"[^a-z0-9]+", "-", name.lower().removesuffix(".git").removesuffix("/"))
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{last.rstrip('-').rpartition('-')[2][:40] or 'repository'}-{digest}.git"


async def _flock(path: Path) -> int:
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, path):
                return lock
            os.close(lock)
        except FileNotFoundError:
            os.close(lock)
        except BlockingIOError:
            os.close(lock)
            await asyncio.sleep(_POLL)


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file still has that path; FileNotFoundError if nothing has."""
    return os.path.samestat(os.fstat(file), path.stat())


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"tmp_{path.name}")
    part.write_text(text)
    part.replace(path)
