"""The demo's Git repository: the example as `main`, and each engineer's branch on top of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from previewdrop.cli.story import Change, Story
from previewdrop.domain.errors import BadSource

_LEFT_BY_TOOLS = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "*.pyc", ".pytest_cache", ".ruff_cache"
)
_DATE = "2026-05-20T12:00:00+00:00"


def make_repository(folder: Path, story: Story) -> bool:
    """Makes the repository at `folder`, unless there is one; True if it was made.

    The same story gives the same commits. A process that dies on the way leaves nothing that
    looks finished.
    """
    if (folder / ".git").exists():
        return False
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as name:
        fresh = Path(name) / folder.name
        fresh.mkdir()
        _git(fresh, "init", "--quiet", "--initial-branch=main")
        _commit(fresh, story.main)
        for change in story.branches:
            _git(fresh, "switch", "--quiet", "--create", change.branch, "main")
            _commit(fresh, change)
        _git(fresh, "switch", "--quiet", "main")
        try:
            fresh.rename(folder)
        except OSError as error:
            if (folder / ".git").exists():
                return False
            raise BadSource(
                f"The demo's repository cannot be made at {folder}: {error.strerror}.",
                "Move away what lies there.",
            ) from error
    return True


def push(folder: Path, change: Change) -> str:
    """Commits a change to its branch and returns the commit's SHA."""
    _git(folder, "switch", "--quiet", change.branch)
    return _commit(folder, change)


def _commit(folder: Path, change: Change) -> str:
    # With the times of an installed package, which are all the same, Git would take a file for
    # unchanged that has kept its size: only contents are copied.
    shutil.copytree(
        change.files,
        folder,
        ignore=_LEFT_BY_TOOLS,
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )
    for file in (folder / "bin").glob("*.sh"):
        file.chmod(0o755)
    _git(folder, "add", "--all", "--force")
    _git(
        folder,
        "commit",
        "--quiet",
        "--allow-empty",
        f"--message={change.message}",
        author=change,
    )
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str, author: Change | None = None) -> str:
    """What Git prints. It reads no configuration of the machine and runs no hooks."""
    try:
        done = subprocess.run(
            ("git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *arguments),
            cwd=folder,
            env=_environment(author),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise BadSource("git is not installed.", "Install git, then try again.") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BadSource(f"git {arguments[0]} failed for the demo's repository: {said}.")
    return done.stdout.strip()


def _environment(author: Change | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    fixed = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    if author is None:
        return {**inherited, **fixed}
    person = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", author.author), ("EMAIL", author.email), ("DATE", _DATE))
    }
    return {**inherited, **fixed, **person}
