"""The Git side of a repository: a bare one on disk, as GitHub keeps it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from repositories import Files, git

NOTHING = "0" * 40
"""What stands for no commit in payloads."""

_CONFIG = ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter", "core.logAllRefUpdates")
_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str
    date: str


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """`status` is Git's letter: A, M, D."""

    path: str
    status: str
    blob: str
    additions: int
    deletions: int


class Bare:
    """A bare repository at `path`, whose address over HTTP decides the name of its folder."""

    def __init__(self, path: Path, branch: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        git(path.parent, "init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))
        with (path / "config").open("a") as config:
            for key in _CONFIG:
                section, name = key.split(".")
                value = "false" if section == "core" else "true"
                config.write(f"[{section}]\n\t{name} = {value}\n")

    def commit(
        self, branch: str, files: Files, message: str, author: str, when: datetime, onto: str | None
    ) -> str:
        """Writes a commit on top of `onto` and lets the branch lead to it, wherever it led."""
        date = f"{int(when.timestamp())} +0000"
        who = f"{author} <{author.lower()}@example.com> {date}"
        stream = [f"commit refs/heads/{branch}", "mark :1", f"author {who}", f"committer {who}"]
        lines = [*(line.encode() for line in stream), *_data(message.encode())]
        if onto is not None:
            lines.append(f"from {onto}".encode())
        for path, content in files.items():
            if content is None:
                lines.append(b"D " + path.encode())
                continue
            data = content.encode() if isinstance(content, str) else content
            mode = b"100755" if data.startswith(b"#!") else b"100644"
            lines += [b"M " + mode + b" inline " + path.encode(), *_data(data)]
        lines += [b"get-mark :1", b"done", b""]
        return self._fed("fast-import", "--quiet", "--force", "--done", stdin=b"\n".join(lines))

    def take(self, source: Path, *refspecs: str) -> None:
        """Copies commits of another repository on this machine."""
        git(self.path, "fetch", "--quiet", "--no-write-fetch-head", str(source), *refspecs)

    def point(self, ref: str, sha: str | None) -> None:
        """A full ref leads to this commit, or is no more."""
        git(self.path, "update-ref", *(("-d", ref) if sha is None else (ref, sha)))

    def branch(self, name: str) -> str | None:
        """The commit that a branch leads to."""
        return self.branches().get(name)

    def branches(self) -> dict[str, str]:
        form = "--format=%(objectname) %(refname:lstrip=2)"
        lines = git(self.path, "for-each-ref", form, "refs/heads").splitlines()
        return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}

    def find(self, ref: str) -> str | None:
        """The commit that a branch, tag, full ref or (part of a) commit id means."""
        for name in (f"refs/heads/{ref}", f"refs/{ref}", f"refs/tags/{ref}", ref):
            try:
                return git(self.path, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            except subprocess.CalledProcessError:
                continue
        return None

    def read(self, sha: str) -> Commit:
        fields = git(self.path, "show", "--no-patch", f"--format={_FORMAT}", sha).split("\0")
        sha, tree, parents, *people, message = fields
        return Commit(
            sha,
            tree,
            tuple(parents.split()),
            Person(*people[:3]),
            Person(*people[3:]),
            message.strip(),
        )

    def between(self, before: str | None, after: str) -> list[str]:
        """Commits of `after` that `before` does not have, oldest first."""
        bounds = (after, *([f"^{before}"] if before is not None else ()))
        return git(self.path, "rev-list", "--reverse", *bounds).split()

    def changes(self, before: str | None, after: str) -> list[Change]:
        """Files that differ. `before` is None for the very first commit."""
        before = before or self.empty_tree()
        raw = git(self.path, "diff", "--raw", "--no-renames", "--abbrev=40", before, after)
        numbers = git(self.path, "diff", "--numstat", "--no-renames", before, after)
        counts = {
            path: (plus, minus)
            for plus, minus, path in (line.split("\t") for line in numbers.splitlines())
        }
        found: list[Change] = []
        for line in raw.splitlines():
            facts, path = line.split("\t")
            _, _, old, new, status = facts.split()
            plus, minus = (0 if each == "-" else int(each) for each in counts[path])
            found.append(Change(path, status, old if status == "D" else new, plus, minus))
        return found

    def fork_point(self, base: str, head: str) -> str:
        """The newest commit that both have."""
        return git(self.path, "merge-base", base, head)

    def size(self, base: str, head: str) -> tuple[int, int, int, int]:
        """Lines added, lines deleted, files and commits, from where the two parted."""
        start = self.fork_point(base, head)
        lines = git(self.path, "diff", "--numstat", "--no-renames", start, head).splitlines()
        counts = [line.split("\t")[:2] for line in lines]
        plus, minus = (sum(int(c[i]) for c in counts if c[i] != "-") for i in (0, 1))
        commits = git(self.path, "rev-list", "--count", f"{start}..{head}")
        return plus, minus, len(lines), int(commits)

    def contains(self, before: str, after: str) -> bool:
        """Whether `after` is `before` or comes after it."""
        return self.fork_point(before, after) == before

    def merged(self, base: str, head: str, message: str, author: str, when: datetime) -> str | None:
        """A merge commit of two commits, which no ref leads to yet; None if they conflict."""
        try:
            tree = git(self.path, "merge-tree", "--write-tree", base, head).splitlines()[0]
        except subprocess.CalledProcessError as error:
            if error.returncode != 1:
                raise
            return None
        identity = f"{author} <{author.lower()}@example.com>"
        date = f"{int(when.timestamp())} +0000"
        data = [
            f"tree {tree}",
            f"parent {base}",
            f"parent {head}",
            f"author {identity} {date}",
            f"committer {identity} {date}",
            "",
            message,
        ]
        return self._fed(
            "hash-object", "-t", "commit", "-w", "--stdin", stdin="\n".join(data).encode()
        )

    def empty_tree(self) -> str:
        return git(self.path, "hash-object", "-t", "tree", "-w", os.devnull)

    def _fed(self, *command: str, stdin: bytes) -> str:
        done = subprocess.run(
            ("git", *command), cwd=self.path, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()


def _data(content: bytes) -> list[bytes]:
    return [b"data " + str(len(content)).encode(), content]
