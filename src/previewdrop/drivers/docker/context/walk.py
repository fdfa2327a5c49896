"""The walk through a build context that finds what is in it, and how much."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker.context import folder as folders
from previewdrop.drivers.docker.context.entries import Entry
from previewdrop.drivers.docker.context.ignore import NAME, Ignore, Place

MOST_ENTRIES = 250_000
_LONGEST = 4096
_TOLD = 5


class Walk:
    """One walk: `run` fills `entries`, by path, and raises StageFailed where that is too much.

    `bytes` is how large the contents are that were found so far, together.
    """

    def __init__(self, top: Path, parts: tuple[str, ...], ignore: Ignore, limit: int) -> None:
        self.entries: dict[str, Entry] = {}
        self._added: frozenset[str] = frozenset()
        self._top = top
        self._parts = parts
        self._ignore = ignore
        self._limit = limit
        self._sizes = Counter[str]()
        self.bytes = 0
        self._left_out: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what cannot be sent."""
        found = sorted(self._left_out)
        told = [f"{path} is neither a file, a folder nor a link: left out." for path in found]
        more = len(told) - _TOLD
        return (*told[:_TOLD], f"{more} more were left out.") if more > 0 else tuple(told)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Files that are not in the folder; by these names, nothing is taken from it."""
        self._added = frozenset(files)
        for name, content in files.items():
            self._count(name, len(content))
            digest = hashlib.sha256(content).digest()
            self.entries[name] = Entry(name, "file", 0o644, len(content), digest)

    def run(self) -> None:
        """Walks all that is not left out."""
        waiting: list[tuple[tuple[str, ...], Place]] = [((), self._ignore.top)]
        while waiting:
            inner, place = waiting.pop()
            with (
                folders.explained("/".join((*self._parts, *inner)) or "The checkout"),
                folders.entered(self._top, *self._parts, *inner) as descriptor,
            ):
                waiting += self._folder(descriptor, inner, place)
        if self.bytes > self._limit:
            raise self._too_large()

    def _folder(
        self, descriptor: int, inner: tuple[str, ...], place: Place
    ) -> list[tuple[tuple[str, ...], Place]]:
        """Takes what is in one folder, and returns the folders to enter."""
        below: list[tuple[tuple[str, ...], Place]] = []
        prefix = "".join(f"{part}/" for part in inner)
        with os.scandir(descriptor) as found:
            for item in found:
                if not inner and item.name in self._added:
                    continue
                path, there = prefix + item.name, place.child(item.name)
                if item.is_dir(follow_symlinks=False):
                    if there.may_hold:
                        below.append(((*inner, item.name), there))
                    if not there.excluded:
                        self._take(Entry(path, "folder", 0o755))
                elif not there.excluded:
                    self._one(descriptor, item, path)
        return below

    def _one(self, descriptor: int, item: os.DirEntry[str], path: str) -> None:
        with folders.explained("/".join((*self._parts, path))):
            if item.is_symlink():
                target = os.fsencode(os.readlink(item.name, dir_fd=descriptor))
                self._take(Entry(path, "link", 0o777, content=target))
            elif item.is_file(follow_symlinks=False):
                self._file(descriptor, item.name, path)
            else:
                self._left_out.append(path)

    def _file(self, descriptor: int, name: str, path: str) -> None:
        with folders.plain(name, descriptor) as (file, found):
            size = found.st_size
            self._count(path, size)
            digest = hashlib.sha256()
            # Once it is too much, only sizes are still needed, to tell what is large.
            if self.bytes <= self._limit:
                for chunk in folders.contents(file, size):
                    digest.update(chunk)
            mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self._take(Entry(path, "file", mode, size, digest.digest()))

    def _count(self, path: str, size: int) -> None:
        self.bytes += size
        self._sizes[path.split("/", 1)[0]] += size

    def _take(self, entry: Entry) -> None:
        if len(self.entries) >= MOST_ENTRIES:
            raise StageFailed(
                f"The build context has more than {MOST_ENTRIES:,} files and folders.",
                self._hint(),
            )
        if len(entry.path) > _LONGEST:
            raise StageFailed(f"A path of the build context is longer than {_LONGEST} characters.")
        self.entries[entry.path] = entry
        # The folders of what an exception takes back in are sent too, as BuildKit does.
        folder = entry.path.rpartition("/")[0]
        if folder and folder not in self.entries:
            self._take(Entry(folder, "folder", 0o755))

    def _too_large(self) -> StageFailed:
        largest = ", ".join(
            f"{name} {_size(size)}" for name, size in self._sizes.most_common(3) if size
        )
        return StageFailed(
            f"The build context is at least {_size(self.bytes)} large and may be "
            f"{_size(self._limit)} at the most. Largest in it: {largest}.",
            self._hint(),
        )

    def _hint(self) -> str:
        name = "/".join((*self._parts, NAME))
        return f"List in {name} what the image does not need."


def _size(size: int) -> str:
    if size >= 1024 * MIB:
        return f"{size / 1024 / MIB:.1f} GiB"
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / 1024:.1f} KiB"
