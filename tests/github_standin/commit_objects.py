"""Commits as Git has them, and what they change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repositories import git

_FORMAT = "--format=%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00"
_DIFF = ("--raw", "--numstat", "--abbrev=40", "--no-renames")


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str
    date: str


@dataclass(frozen=True, slots=True)
class Change:
    """`status` is Git's letter: A, M, D, T."""

    path: str
    status: str
    blob: str
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class Commit:
    """`changes` are those from its first parent."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str
    changes: tuple[Change, ...]


def read(repository: Path, sha: str) -> Commit:
    text = git(repository, "log", "-1", "-m", "--first-parent", *_DIFF, _FORMAT, sha)
    tree, parents, *people, message, diff = text.split("\0")
    author, committer = Person(*people[:3]), Person(*people[3:])
    return Commit(
        sha, tree, tuple(parents.split()), author, committer, message.strip(), _changes(diff)
    )


def compared(repository: Path, base: str, head: str) -> tuple[Change, ...]:
    """What `head` changes since the two parted."""
    return _changes(git(repository, "diff", *_DIFF, f"{base}...{head}"))


def _changes(diff: str) -> tuple[Change, ...]:
    facts: dict[str, tuple[str, str]] = {}
    found: list[Change] = []
    for line in diff.strip().splitlines():
        if line.startswith(":"):
            about, path = line.split("\t")
            _, _, old, new, status = about.split()
            facts[path] = status, old if status == "D" else new
        else:
            plus, minus, path = line.split("\t")
            lines = (0 if each == "-" else int(each) for each in (plus, minus))
            found.append(Change(path, *facts[path], *lines))
    return tuple(found)
