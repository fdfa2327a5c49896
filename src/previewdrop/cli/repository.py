"""The user's own checkout: which repository it is and which branch it is on."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.errors import BadSource

_SCP_STYLE = re.compile(r"[\w.-]+@[\w.-]+:.+")


@dataclass(frozen=True, slots=True)
class Repository:
    """A Git repository: `source` is what the server fetches from.

    `branch` is the current one, None on a detached HEAD or when only the URL is known.
    `uncommitted` counts the files that differ from the commit.
    """

    source: str
    branch: str | None
    uncommitted: int = 0


def is_url(text: str) -> bool:
    """Whether Git would take this as a URL and not as a path."""
    return "://" in text or (bool(_SCP_STYLE.fullmatch(text)) and not Path(text).exists())


def read_repository(path: str) -> Repository:
    """The repository at `path`, a folder or a URL; BadSource if there is none.

    A linked worktree belongs to its main repository, so that all of them are one project.
    """
    if is_url(path):
        return Repository(path, _default_branch(path))
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise BadSource(f"There is no folder {path}.", "Give a Git repository's folder or its URL.")
    top, common = _top(folder)
    if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") is None and not _branches(folder):
        raise BadSource(
            f"The repository {top or common} has no commit yet.",
            "Commit something, then try again.",
        )
    branch = _git(folder, "symbolic-ref", "--short", "--quiet", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--no-renames") if top else None
    main = common.parent if top and common.name == ".git" else top or common
    return Repository(str(main.resolve()), branch, len((changed or "").splitlines()))


def _top(folder: Path) -> tuple[Path | None, Path]:
    """The work tree's top, if there is one, and the folder of the repository itself."""
    common = _git(folder, "rev-parse", "--path-format=absolute", "--git-common-dir")
    if common is None:
        raise BadSource(
            f"{folder.absolute()} is not in a Git repository.",
            "Run `git init` and commit, or give the path or URL of a repository.",
        )
    top = _git(folder, "rev-parse", "--show-toplevel")
    return (Path(top) if top else None), Path(common)


def _branches(folder: Path) -> str | None:
    return _git(folder, "for-each-ref", "--count=1", "refs/heads")


def _default_branch(url: str) -> str | None:
    """The branch that HEAD of a remote repository names; None if it cannot be asked."""
    answer = _git(Path.cwd(), "ls-remote", "--symref", "--", url, "HEAD", timeout=20)
    for line in (answer or "").splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").partition("\t")[0]
    return None


def _git(folder: Path, *arguments: str, timeout: float = 60) -> str | None:
    """What Git prints, or None if it fails. Where Git should look is said by `folder` alone."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**inherited, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise BadSource("git is not installed.", "Install git, then try again.") from error
    except subprocess.TimeoutExpired as error:
        raise BadSource(
            f"git did not answer within {timeout:.0f} seconds.", "Say which branch with --branch."
        ) from error
    if "dubious ownership" in done.stderr:
        raise BadSource(
            f"Git does not trust {folder.absolute()}: it belongs to another user.",
            f"Run `git config --global --add safe.directory {folder.absolute()}`.",
        )
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
