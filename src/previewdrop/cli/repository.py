"""The user's own checkout: which repository it is and which branch it is on."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from previewdrop.domain.errors import BadSource
from previewdrop.domain.secret import Secret

_SCP_STYLE = re.compile(r"[\w.-]+@[\w.-]+:.+")


@dataclass(frozen=True, slots=True)
class Repository:
    """A Git repository: `source` is what the server fetches from, without a password.

    `branch` is the current one, None on a detached HEAD or when only the URL is known.
    `uncommitted` counts the files that differ from the commit. `login` is the whole URL as it was
    given, if a user name or a password stands in it; nobody but the server is told.
    """

    source: str
    branch: str | None
    uncommitted: int = 0
    login: Secret | None = None

    @property
    def address(self) -> str:
        """What the server is given to find the repository and to be let in."""
        return self.login.reveal() if self.login else self.source


def is_url(text: str) -> bool:
    """Whether Git would take this as a URL and not as a path."""
    return "://" in text or (bool(_SCP_STYLE.fullmatch(text)) and not Path(text).exists())


def read_repository(path: str) -> Repository:
    """The repository at `path`, a folder or a URL; BadSource if there is none.

    A linked worktree belongs to its main repository, so that all of them are one project.
    """
    if is_url(path):
        repository = repository_at(path)
        return replace(repository, branch=_default_branch(repository))
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


def repository_at(url: str) -> Repository:
    """The repository behind a URL, without asking it; BadSource for what is no URL."""
    shown = re.sub(r"(?<=://)[^/@]*@", "", url)
    if not url.lower().startswith(("http://", "https://")):
        return Repository(url, None)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadSource(f"{shown} is not a URL.", "Write it as https://host/path.") from error
    _, at, place = parts.netloc.rpartition("@")
    source = urlunsplit(parts._replace(netloc=place))
    return Repository(source, None, login=Secret(url)) if at else Repository(source, None)


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


def _default_branch(repository: Repository) -> str | None:
    """The branch that HEAD of a remote repository names; None if it cannot be asked."""
    command = ("ls-remote", "--symref", "--", repository.source, "HEAD")
    answer = _git(Path.cwd(), *command, timeout=20, more=logging_in(repository, os.environ))
    for line in (answer or "").splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").partition("\t")[0]
    return None


def logging_in(repository: Repository, inherited: Mapping[str, str]) -> dict[str, str]:
    """Variables that let Git in: everybody may read a command's arguments, its environment not.

    https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT
    """
    if repository.login is None:
        return {}
    parts = urlsplit(repository.login.reveal())
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    header = base64.b64encode(pair.encode()).decode()
    given = inherited.get("GIT_CONFIG_COUNT", "")
    count = int(given) if given.isdecimal() else 0
    site = urlunsplit((*urlsplit(repository.source)[:2], "/", "", ""))
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{site}.extraHeader",
        f"GIT_CONFIG_VALUE_{count}": f"Authorization: Basic {header}",
    }


def _git(
    folder: Path, *arguments: str, timeout: float = 60, more: Mapping[str, str] | None = None
) -> str | None:
    """What Git prints, or None if it fails. Where Git should look is said by `folder` alone."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**inherited, **(more or {}), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
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
