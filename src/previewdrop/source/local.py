"""A repository in a folder of this machine, read as files: git never runs in it.

Its configuration and hooks therefore cannot run anything, and it does not matter who owns it.
Layout: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.errors import BadSource
from previewdrop.source.refs import HEADS, SHA, empty_repository

_SHA256 = re.compile(r"(?im)^\s*objectformat\s*=\s*\"?sha256")
_SMALL = 64 * 1024
_SYMBOLIC_DEPTH = 5


@dataclass(frozen=True, slots=True)
class LocalRepository:
    """`private` holds this work tree's HEAD, `common` what all work trees share."""

    private: Path
    common: Path

    @property
    def objects(self) -> Path:
        return self.common / "objects"

    def default_branch(self) -> str:
        """The branch that is checked out; with none, `main`, `master` or the only one there is."""
        head = _text(self.private / "HEAD")
        branches = self.branches()
        if not branches:
            raise empty_repository(str(self.private))
        if head.startswith(f"ref: {HEADS}"):
            name = head.removeprefix(f"ref: {HEADS}")
            if name in branches:
                return name
        for name in ("main", "master", *(branches if len(branches) == 1 else ())):
            if name in branches:
                return name
        raise BadSource(f"{self.private} has no branch checked out.", "Name one with --branch.")

    def branches(self) -> dict[str, str]:
        """Every branch with the sha it points to."""
        found = {
            ref.removeprefix(HEADS): sha
            for ref, sha in self._packed().items()
            if ref.startswith(HEADS)
        }
        folder = self.common / "refs" / "heads"
        for place, _, files in os.walk(folder):
            for file in files:
                name = (Path(place) / file).relative_to(folder).as_posix()
                if sha := self.find(HEADS + name):
                    found[name] = sha
        return found

    def find(self, ref: str) -> str | None:
        """The sha that a full, checked ref points to; None if there is no such ref."""
        for _ in range(_SYMBOLIC_DEPTH):
            text = _text(self.common / ref)
            if text.startswith("ref: refs/") and ".." not in text:
                ref = text.removeprefix("ref: ")
                continue
            return text if SHA.fullmatch(text) else self._packed().get(ref)
        return None

    def _packed(self) -> dict[str, str]:
        return dict(_packed_refs(_text(self.common / "packed-refs", limit=None)))


def find_repository(folder: Path) -> LocalRepository:
    """The repository that a folder is, or lies in; BadSource if there is none."""
    if not folder.is_dir():
        raise BadSource(f"There is no folder {folder}.", "Give the path of a Git repository.")
    for place in (folder, *folder.parents):
        try:
            found = _repository_at(place / ".git") or _repository_at(place)
        except PermissionError as error:
            raise BadSource(
                f"The server may not read {place}.", "Let the server's user read the repository."
            ) from error
        if found:
            return _readable(found)
    raise BadSource(f"{folder} is not in a Git repository.", "Run git init, and commit.")


def _repository_at(place: Path) -> LocalRepository | None:
    if place.is_file():
        link = _text(place)
        if not link.startswith("gitdir: "):
            return None
        place = place.parent / link.removeprefix("gitdir: ")
    if not (place / "HEAD").is_file():
        return None
    shared = _text(place / "commondir")
    common = Path(os.path.normpath(place / shared)) if shared else place
    if not (common / "objects").is_dir() or not (common / "refs").is_dir():
        return None
    return LocalRepository(Path(os.path.normpath(place)), common)


def _readable(repository: LocalRepository) -> LocalRepository:
    if (repository.common / "reftable").is_dir():
        raise BadSource(
            f"{repository.common} keeps its branches as a reftable, which cannot be read here.",
            "Convert it: git refs migrate --ref-format=files",
        )
    if _SHA256.search(_text(repository.common / "config")):
        raise BadSource(f"{repository.common} uses SHA-256, which is not supported.")
    if not os.access(repository.objects, os.R_OK | os.X_OK):
        raise BadSource(
            f"The server may not read {repository.objects}.",
            "Let the server's user read the repository.",
        )
    return repository


def _packed_refs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        sha, _, ref = line.partition(" ")
        if SHA.fullmatch(sha) and ref:
            yield ref, sha


def _text(path: Path, limit: int | None = _SMALL) -> str:
    """The file's text without the newline at its end; empty if there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(limit).rstrip("\n")
    except PermissionError:
        raise
    except OSError:
        return ""
