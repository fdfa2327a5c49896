"""A repository's files, read within bounds and never through a symlink that leads out."""

from __future__ import annotations

import codecs
import os
import posixpath
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes. Lock files of large projects reach two or three million."""

MOST_ENTRIES = 50_000
DEEPEST = 12

_SKIPPED = frozenset(
    {
        "__pycache__", "build", "dist", "doc", "docs", "htmlcov", "migrations", "node_modules",
        "site-packages", "test", "tests", "venv", "virtualenv",
    }
)  # fmt: skip


class Tree:
    """The files below `folder`, as paths relative to it with `/` between the parts; `""` is itself.

    Folders that hold no application (environments, tests, docs, migrations, builds, hidden ones)
    are left out of `files` and `folders`, but for `keep` and the folders above it; `data` and
    `text` still reach them by name. `truncated` says that there were too many to look at them all.
    """

    def __init__(self, folder: Path, keep: str | None = None) -> None:
        self.top = Path(os.path.realpath(folder))
        self.files: dict[str, tuple[str, ...]] = {}
        self.truncated = False
        self._keep = keep or ""
        self._links: set[str] = set()
        self._unseen: set[str] = set()
        self._scan()

    @property
    def folders(self) -> Iterator[str]:
        """Every folder, shallow ones first."""
        return iter(self.files)

    def walk(self, folder: str = "") -> Iterator[str]:
        """The paths of the files below `folder`, shallow ones first."""
        for parent, names in self.files.items():
            if within(parent, folder):
                yield from (join(parent, name) for name in names)

    def has(self, path: str) -> bool:
        """Whether `path` is a regular file inside the tree."""
        folder, _, name = path.rpartition("/")
        if folder in self.files:
            return name in self.files[folder]
        return self._reachable(path) and self._safe(path) is not None

    def has_folder(self, path: str) -> bool:
        if path in self.files:
            return True
        if not self._reachable(path):
            return False
        return self._contains(self.top / path) and (self.top / path).is_dir()

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of the files in a folder, sorted; none if it is not there."""
        if folder in self.files or not self.has_folder(folder):
            return self.files.get(folder, ())
        names = sorted(entry.name for entry in (self.top / folder).iterdir())
        return tuple(name for name in names if self._safe(join(folder, name)))

    def data(self, path: str) -> bytes | None:
        """The bytes of a file; None if it is missing, too large or outside."""
        folder, _, name = path.rpartition("/")
        plain = name in self.files.get(folder, ()) and path not in self._links
        real = self.top / path if plain else self._safe(path)
        try:
            if real is None or real.stat().st_size > LARGEST_FILE:
                return None
            return real.read_bytes()
        except OSError:
            return None

    def text(self, path: str) -> str | None:
        """The text of a file with `\\n` at the ends of its lines, whatever its encoding."""
        data = self.data(path)
        return None if data is None else decode(data)

    def _scan(self) -> None:
        entries = 0
        waiting = deque([("", 0)])
        while waiting:
            folder, depth = waiting.popleft()
            try:
                found = sorted(os.scandir(self.top / folder), key=lambda entry: entry.name)
            except OSError:
                continue
            if folder and any(entry.name == "pyvenv.cfg" for entry in found):
                self._unseen.add(folder)
                continue
            entries += len(found)
            if entries > MOST_ENTRIES:
                self.truncated = True
                self._unseen.update((folder, *(other for other, _ in waiting)))
                return
            names: list[str] = []
            for entry in found:
                path = join(folder, entry.name)
                if entry.is_symlink():
                    self._links.add(path)
                    self._unseen.add(path)
                    names += [entry.name] if self._safe(path) else []
                elif entry.is_file():
                    names.append(entry.name)
                elif depth >= DEEPEST or self._skipped(path, entry.name):
                    self._unseen.add(path)
                elif entry.is_dir():
                    waiting.append((path, depth + 1))
            self.files[folder] = tuple(names)

    def _skipped(self, path: str, name: str) -> bool:
        if self._keep and within(self._keep, path):
            return False
        return name in _SKIPPED or name.startswith(".") or name.endswith(".egg-info")

    def _reachable(self, path: str) -> bool:
        """Whether a path that was not seen may exist all the same: below what was left out."""
        return inside(path) and any(folder in self._unseen for folder in parents(path))

    def _safe(self, path: str) -> Path | None:
        if not inside(path):
            return None
        real = Path(os.path.realpath(self.top / path))
        if not self._contains(real):
            return None
        try:
            status = real.stat()
        except (OSError, ValueError):
            return None
        return real if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE else None

    def _contains(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self.top)


def join(folder: str, name: str) -> str:
    """`folder/name`, normalised; a path that leads out keeps its leading `..`."""
    path = posixpath.normpath(posixpath.join(folder, name))
    return "" if path == "." else path


def within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` itself or below it."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def inside(path: str) -> bool:
    """Whether a normalised path stays inside the repository."""
    return not path.startswith(("/", "../")) and path != ".." and "\0" not in path


def parents(folder: str) -> Iterator[str]:
    """The folder itself, then each one above it, up to the top."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def shown(folder: str) -> str:
    """A folder as people read it."""
    return folder or "the repository's top"


def decode(data: bytes) -> str:
    """Text of any encoding a repository's file is likely to have, without BOM and CR."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif data[1:2] == b"\0":
        text = data.decode("utf-16-le", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
