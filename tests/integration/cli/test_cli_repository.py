"""What the command line reads from real Git repositories."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from previewdrop.cli.repository import Repository, is_url, read_repository, repository_at
from previewdrop.domain.errors import BadSource
from previewdrop.domain.secret import Secret


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=Ali", "-c", "user.email=ali@example.com", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("x = 1\n")
    git(folder, "init", "--quiet", "--initial-branch", "feature/new-auth")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    return folder


def test_the_top_and_the_branch_from_anywhere_inside(shop: Path) -> None:
    expected = Repository(str(shop), "feature/new-auth", 0)
    assert read_repository(str(shop)) == expected
    assert read_repository(str(shop / "app")) == expected


def test_counts_what_is_not_committed(shop: Path) -> None:
    (shop / "app" / "main.py").write_text("x = 2\n")
    (shop / "new.py").touch()
    assert read_repository(str(shop)).uncommitted == 2


def test_a_detached_head_has_no_branch(shop: Path) -> None:
    git(shop, "checkout", "--quiet", "--detach")
    assert read_repository(str(shop)).branch is None


def test_a_linked_worktree_is_the_same_repository(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(shop, "worktree", "add", "--quiet", "-b", "fix", str(other))
    assert read_repository(str(other)) == Repository(str(shop), "fix", 0)


def test_a_bare_repository(shop: Path, tmp_path: Path) -> None:
    bare = tmp_path / "shop.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(shop), str(bare))
    assert read_repository(str(bare)) == Repository(str(bare), "feature/new-auth", 0)


def test_git_variables_of_a_hook_do_not_mislead(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert read_repository(str(shop)).branch == "feature/new-auth"


def test_the_default_branch_of_a_url(shop: Path) -> None:
    url = f"file://{shop}"
    assert read_repository(url) == Repository(url, "feature/new-auth")
    assert read_repository(f"file://{shop}-not-there").branch is None


def test_no_repository_no_folder_no_commit(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="is not in a Git repository"):
        read_repository(str(tmp_path))
    with pytest.raises(BadSource, match="There is no folder"):
        read_repository(str(tmp_path / "none"))
    git(tmp_path, "init", "--quiet")
    with pytest.raises(BadSource, match="has no commit yet"):
        read_repository(str(tmp_path))


def test_what_is_a_url() -> None:
    assert is_url("https://github.com/acme/shop")
    assert is_url("git@github.com:acme/shop.git")
    assert not is_url("../shop")
    assert not is_url("/code/shop")


class Closed(SimpleHTTPRequestHandler):
    """Git's dumb protocol (https://git-scm.com/docs/http-protocol) for bob alone."""

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(b'bob:hunter2 secret').decode()}"
        if self.headers["authorization"] == expected:
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def closed(shop: Path, tmp_path: Path) -> Iterator[str]:
    """`127.0.0.1:port/shop.git`, where only bob is let in."""
    served = tmp_path / "served"
    served.mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(shop), str(served / "shop.git"))
    git(served / "shop.git", "update-server-info")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Closed, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}/shop.git"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_login_reaches_git_and_no_argument_of_a_command(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tmp_path / "bin"
    recording.mkdir()
    real = shutil.which("git")
    script = f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {real} "$@"\n'
    (recording / "git").write_text(script)
    (recording / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{recording}:{os.environ['PATH']}")
    url = f"http://bob:hunter2%20secret@{closed}"
    found = read_repository(url)
    assert found == Repository(f"http://{closed}", "feature/new-auth", login=Secret(url))
    assert "hunter2" not in repr(found)
    assert "hunter2" not in (tmp_path / "arguments").read_text()
    assert read_repository(f"http://{closed}").branch is None


def test_what_stands_before_the_at_is_a_login_in_web_addresses_alone() -> None:
    assert repository_at("https://t0ken@example.com/shop").source == "https://example.com/shop"
    assert repository_at("ssh://git@example.com/shop") == Repository(
        "ssh://git@example.com/shop", None
    )
    assert repository_at("git@example.com:shop").login is None
    with pytest.raises(BadSource) as caught:
        repository_at("https://bob:hunter2@[example.com/shop")
    assert "hunter2" not in str(caught.value)
