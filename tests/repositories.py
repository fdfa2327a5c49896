"""Git repositories for tests: made of a few files or of a fixture, the same commits each time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

APPS = Path(__file__).parent / "fixtures/apps"
EXAMPLES = Path(__file__).parents[1] / "examples"
SHOP = EXAMPLES / "fastapi-shop"
STORY = EXAMPLES / "stories/four-engineers"
OVER_SHOP = frozenset({"migration_error", "schema_isolation"})
"""Fixtures that hold only what they change in the shop."""

Files = Mapping[str, str | bytes | None]
"""Content by path. None deletes the file. Text that starts with `#!` becomes executable."""

_LEFT_OUT = frozenset({".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".git"})
_DATE = "2026-05-20T12:00:00+00:00"
_GIT = {
    "GIT_AUTHOR_NAME": "Ali",
    "GIT_AUTHOR_EMAIL": "ali@example.com",
    "GIT_AUTHOR_DATE": _DATE,
    "GIT_COMMITTER_NAME": "Ali",
    "GIT_COMMITTER_EMAIL": "ali@example.com",
    "GIT_COMMITTER_DATE": _DATE,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def make_repository(
    folder: Path,
    files: Files | str | None = None,
    *,
    branch: str = "main",
    name: str = "repository",
) -> Path:
    """A repository `folder/name` with one commit on `branch`; its path.

    `files` are contents by path, the name of a fixture app, or `"shop"` for the example. The
    default is `healthy`. The same arguments give the same commit.
    """
    if files is None or isinstance(files, str):
        files = fixture(files or "healthy")
    repository = folder / name
    git(folder, "init", "--quiet", f"--initial-branch={branch}", str(repository))
    commit(repository, files, "First commit")
    return repository


def commit(
    repository: Path,
    files: Files,
    message: str = "Change",
    *,
    branch: str | None = None,
    author: str = "Ali",
) -> str:
    """Commits the changed files and returns the commit's id.

    `branch` is switched to first, and made of what is checked out if it is new.
    """
    if branch is not None and git(repository, "branch", "--show-current") != branch:
        known = git(repository, "branch", "--list", "--format=%(refname:short)", "--", branch)
        git(repository, "switch", "--quiet", *(() if known else ("--create",)), branch)
    for path, content in files.items():
        _write(repository / path, content)
    git(repository, "add", "--all", "--force")
    git(
        repository,
        "commit",
        "--quiet",
        "--allow-empty",
        f"--message={message}",
        f"--author={author} <{author.lower()}@example.com>",
    )
    return git(repository, "rev-parse", "HEAD")


def fixture(name: str) -> dict[str, str | bytes | None]:
    """The files of a fixture app, or of the example for `"shop"`."""
    if name == "shop":
        return read_files(SHOP)
    base = read_files(SHOP) if name in OVER_SHOP else {}
    return base | read_files(APPS / name)


def read_files(folder: Path) -> dict[str, str | bytes | None]:
    """Every file under a folder by its path relative to it, without what tools leave behind."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _LEFT_OUT.intersection(path.relative_to(folder).parts)
    }


def git(folder: Path, *arguments: str) -> str:
    """What git prints, stripped. It reads no configuration of the machine and runs no hooks."""
    done = subprocess.run(
        ("git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *arguments),
        cwd=folder,
        env=os.environ | _GIT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def _write(path: Path, content: str | bytes | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    if data.startswith(b"#!"):
        path.chmod(0o755)
