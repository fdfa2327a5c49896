"""The folders of one build: what it may write, and what is the server's."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.process.tree import give, remove_tree


@dataclass(frozen=True, slots=True)
class Workplace:
    """`folder` is the server's, beyond the build's reach; `cache` is the project's own.

    The build writes to `cache` (packages and the new environment, in one mount, because hard links
    do not cross mounts), `home` and `temporary`, and reads `etc` and `repository`.
    """

    folder: Path
    cache: Path

    @property
    def token(self) -> str:
        return self.folder.name

    @property
    def environment(self) -> Path:
        return self.cache / f"building-{self.token}"

    @property
    def packages(self) -> Path:
        return self.cache / "packages"

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def status(self) -> Path:
        return self.folder / "status"

    def prepare(self, files: Mapping[str, bytes], owner: int | None) -> None:
        """Makes everything; `files` are what the build sees of the repository."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, parents=True)
        for path in (self.etc, self.home, self.temporary, self.repository):
            path.mkdir()
        for name, content in files.items():
            file = self.repository / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for parent, _, names in os.walk(self.folder):
            if parent != str(self.folder):
                Path(parent).chmod(0o755)
            for name in names:
                Path(parent, name).chmod(0o644)
        for path in (self.home, self.temporary, self.cache):
            if owner is not None and path.stat().st_uid != owner:
                give(path, owner)

    def taken(self, owner: int | None) -> Path:
        """The environment in the server's folder, where the build can change it no more.

        StageFailed when what the build left is no folder of its own.
        """
        path = self.folder / "environment"
        try:
            self.environment.rename(path)
            found = path.lstat()
        except (FileNotFoundError, PermissionError):
            found = None
        own = os.geteuid() if owner is None else owner
        if found is None or not stat.S_ISDIR(found.st_mode) or found.st_uid != own:
            raise StageFailed(
                "A package replaced the environment that it was installed into.",
                "Find out which one runs code while it is built, and remove it.",
            )
        return path

    def clear(self) -> None:
        """Removes everything but the packages. Nothing of the build may run any more."""
        remove_tree(self.environment)
        remove_tree(self.folder)
