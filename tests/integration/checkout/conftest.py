"""Repositories made with the real git, and servers that hand them out."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from previewdrop.source.checkout import Checkouts

MIB = 1024 * 1024


@dataclass
class Repository:
    """A work tree (or a bare repository) on disk."""

    path: Path

    def git(self, *argv: str, input: bytes | None = None, check: bool = True) -> str:
        variables = {name: value for name, value in os.environ.items() if "GIT" not in name}
        variables |= {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file",
            "GIT_AUTHOR_NAME": "Ali",
            "GIT_AUTHOR_EMAIL": "ali@example.com",
            "GIT_COMMITTER_NAME": "Ali",
            "GIT_COMMITTER_EMAIL": "ali@example.com",
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), "-c", "safe.directory=*", *argv],
            input=input, capture_output=True, check=False, env=variables,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr.decode()
        return done.stdout.decode().rstrip("\n")

    def commit(self, title: str = "Change", **files: str | bytes) -> str:
        """Commits files (`app__main_py` is `app/main.py`) on the current branch; its sha."""
        return self.commit_files(
            {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}, title
        )

    def commit_files(self, files: dict[str, str | bytes], title: str = "Change") -> str:
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, *entries: tuple[str, str, str, bytes], branch: str = "main") -> str:
        """Commits (mode, kind, sha, name) entries that `git add` would refuse."""
        lines = b"".join(
            f"{mode} {kind} {sha}\t".encode() + name + b"\0" for mode, kind, sha, name in entries
        )
        tree = self.git("mktree", "-z", "--missing", input=lines)
        sha = self.git("commit-tree", "-m", "Odd", tree)
        self.git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", input=content)

    def tree(self, *entries: tuple[str, str, str, bytes]) -> str:
        lines = b"".join(f"{m} {k} {s}\t".encode() + name + b"\0" for m, k, s, name in entries)
        return self.git("mktree", "-z", "--missing", input=lines)


@pytest.fixture
def new_repository(tmp_path: Path) -> Callable[[str], Repository]:
    def make(name: str) -> Repository:
        path = tmp_path / "sources" / name
        path.mkdir(parents=True)
        repository = Repository(path)
        repository.git("init", "--quiet", "--initial-branch=main")
        return repository

    return make


@pytest.fixture
def repository(new_repository: Callable[[str], Repository]) -> Repository:
    return new_repository("shop")


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 8 * MIB, file_limit=5000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "checkouts" / "1"


@pytest.fixture
def mirror(tmp_path: Path) -> Callable[[], Path]:
    """The only mirror there is."""

    def find() -> Path:
        (found,) = (tmp_path / "mirrors").glob("*.git")
        return found

    return find


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """A `git daemon` over the repositories of the test: the URL in front of their names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "sources").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [
            "git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all",
            f"--base-path={tmp_path / 'sources'}",
        ],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    """Every regular file below a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    return contents
