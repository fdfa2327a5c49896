"""A repository for tests whose branches share nothing, so that each is what its files say."""

from __future__ import annotations

from pathlib import Path

from repositories import Files, commit, fixture, git, make_repository

HEALTHY = fixture("healthy")


class Branches:
    """A Git repository. Every branch is the content of one commit, with no history before it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = make_repository(folder, "healthy", name=name)

    def write(self, branch: str, files: Files | str) -> str:
        """Makes a branch, or makes it anew, of a fixture app or of files; its commit."""
        if isinstance(files, str):
            files = fixture(files)
        git(self.path, "checkout", "--quiet", "--detach")
        git(self.path, "update-ref", "-d", f"refs/heads/{branch}")
        git(self.path, "switch", "--quiet", "--orphan", branch)
        return commit(self.path, files, f"Write {branch[:40]}")

    def push(self, branch: str, files: Files) -> str:
        """One more commit on a branch: these files are changed, all others stay."""
        git(self.path, "switch", "--quiet", branch, "--")
        return commit(self.path, files, "Change")


def healthy(**more: str | bytes | None) -> dict[str, str | bytes | None]:
    """The healthy app with more files: `bin__seed_py` is `bin/seed.py`."""
    return HEALTHY | more
