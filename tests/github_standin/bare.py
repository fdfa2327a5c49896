"""The Git side of a repository: a bare one on disk, as GitHub keeps it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from github_standin import commit_objects
from github_standin.commit_objects import Change, Commit
from repositories import Files, git

NOTHING = "0" * 40
"""What stands for no commit in payloads."""

_CONFIG = """\
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
"""


class Bare:
    """A bare repository at `path`. Only this object changes it, so it knows all branches."""

    def __init__(self, path: Path, branch: str) -> None:
        self.path = path
        self.branches: dict[str, str] = {}
        self._commits: dict[str, Commit] = {}
        self._compared: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._last = datetime.fromtimestamp(0, UTC)
        path.parent.mkdir(parents=True, exist_ok=True)
        git(path.parent, "init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))
        with (path / "config").open("a") as config:
            config.write(_CONFIG)

    def commit(
        self, branch: str, files: Files, message: str, author: str, when: datetime, onto: str | None
    ) -> str:
        """Writes a commit on top of `onto` and lets the branch lead to it, wherever it led."""
        who = self._signed(author, when)
        head = f"commit refs/heads/{branch}\nmark :1\nauthor {who}\ncommitter {who}\n".encode()
        stream = [head, _data(message.encode())]
        if onto is not None:
            stream.append(f"from {onto}\n".encode())
        for path, content in files.items():
            if content is None:
                stream.append(f"D {path}\n".encode())
                continue
            data = content.encode() if isinstance(content, str) else content
            mode = "100755" if data.startswith(b"#!") else "100644"
            stream += [f"M {mode} inline {path}\n".encode(), _data(data)]
        stream.append(b"get-mark :1\ndone\n")
        sha = self._fed("fast-import", "--quiet", "--force", "--done", stdin=b"".join(stream))
        self.branches[branch] = sha
        return sha

    def take(self, source: Path, refspec: str) -> None:
        """Copies commits of another repository on this machine."""
        git(self.path, "fetch", "--quiet", "--no-write-fetch-head", str(source), refspec)

    def take_branches(self, source: Bare) -> None:
        """All branches of another one."""
        self.take(source.path, "+refs/heads/*:refs/heads/*")
        self.branches |= source.branches

    def point(self, branch: str, sha: str | None) -> None:
        """A branch leads to this commit, or is no more."""
        self.point_ref(f"refs/heads/{branch}", sha)
        self.branches.pop(branch, None)
        if sha is not None:
            self.branches[branch] = sha

    def point_ref(self, ref: str, sha: str | None) -> None:
        """Any other full ref does, of which no branch is made."""
        git(self.path, "update-ref", *(("-d", ref) if sha is None else (ref, sha)))

    def default(self, branch: str) -> None:
        """What is checked out by those who name no branch."""
        git(self.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def find(self, ref: str) -> str | None:
        """The commit that a branch, full ref or (part of a) commit id means."""
        if ref in self.branches:
            return self.branches[ref]
        for name in (f"refs/{ref}", ref):
            try:
                return git(self.path, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            except subprocess.CalledProcessError:
                continue
        return None

    def read(self, sha: str) -> Commit:
        if sha not in self._commits:
            self._commits[sha] = commit_objects.read(self.path, sha)
        return self._commits[sha]

    def compared(self, base: str, head: str) -> tuple[Change, ...]:
        """What `head` changes since the two parted."""
        if (base, head) not in self._compared:
            self._compared[base, head] = commit_objects.compared(self.path, base, head)
        return self._compared[base, head]

    def between(self, before: str, after: str) -> list[str]:
        """Commits of `after` that `before` does not have, oldest first."""
        if before in self.read(after).parents:
            return [after]
        return git(self.path, "rev-list", "--reverse", f"{before}..{after}").split()

    def contains(self, before: str, after: str) -> bool:
        """Whether `after` comes after `before`."""
        if before in self.read(after).parents:
            return True
        return git(self.path, "merge-base", before, after) == before

    def merged(self, base: str, head: str, message: str, author: str, when: datetime) -> str | None:
        """A merge commit of two commits, which no ref leads to yet; None if they conflict."""
        try:
            tree = git(self.path, "merge-tree", "--write-tree", base, head).splitlines()[0]
        except subprocess.CalledProcessError as error:
            if error.returncode != 1:
                raise
            return None
        who = self._signed(author, when)
        text = f"tree {tree}\nparent {base}\nparent {head}\nauthor {who}\ncommitter {who}\n\n"
        data = f"{text}{message}\n".encode()
        return self._fed("hash-object", "-t", "commit", "-w", "--stdin", stdin=data)

    def _signed(self, author: str, when: datetime) -> str:
        """Each commit is later than the one before it, so that no two are the same."""
        self._last = max(when, self._last + timedelta(seconds=1))
        return f"{author} <{author.lower()}@example.com> {int(self._last.timestamp())} +0000"

    def _fed(self, *command: str, stdin: bytes) -> str:
        done = subprocess.run(
            ("git", *command), cwd=self.path, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
