"""Repositories behind a URL: over the git protocol and over HTTP."""

from __future__ import annotations

import base64
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from previewdrop.domain.errors import BadSource, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.source.checkout import Checkouts

Make = Callable[[str], Any]
Files = Callable[[Path], dict[str, bytes]]


async def test_a_branch_of_a_server(
    repository: Any, checkouts: Checkouts, target: Path, daemon: str, files_of: Files
):
    source = f"{daemon}/shop"
    with pytest.raises(BadSource, match="no commits yet"):
        await checkouts.resolve(source, "main")
    with pytest.raises(BadSource, match="no commits yet"):
        await checkouts.default_branch(source)
    assert await checkouts.branches(source) == {}
    repository.commit(old_txt="0")
    sha = repository.commit("Second", a_txt="1")
    repository.git("branch", "feature/$(id)-🚀")
    repository.git("tag", "first")
    assert await checkouts.branches(source) == {"main": sha, "feature/$(id)-🚀": sha}
    assert await checkouts.default_branch(source) == "main"
    commit = await checkouts.resolve(source, "feature/$(id)-🚀")
    assert (commit.sha, commit.title) == (sha, "Second")
    await checkouts.export(source, sha, target)
    assert files_of(target) == {"a.txt": b"1", "old.txt": b"0"}


async def test_force_pushes_are_followed(repository: Any, checkouts: Checkouts, daemon: str):
    source = f"{daemon}/shop"
    first = repository.commit(a_txt="1")
    assert await checkouts.fetch(source, branch="main") == first
    repository.git("commit", "--quiet", "--amend", "-m", "Rewritten")
    rewritten = repository.git("rev-parse", "HEAD")
    assert await checkouts.fetch(source, branch="main") == rewritten
    assert (await checkouts.commit(source, rewritten[:9])).title == "Rewritten"
    assert (await checkouts.commit(source, first[:9])).sha == first
    repository.git("checkout", "--quiet", "-b", "other")
    repository.git("branch", "-D", "main")
    with pytest.raises(BadSource, match="has no branch ‘main’"):
        await checkouts.fetch(source, branch="main")
    assert await checkouts.fetch(source, commit=first) == first


async def test_a_fetch_takes_only_what_is_new(
    repository: Any, checkouts: Checkouts, daemon: str, mirror: Callable[[], Path]
):
    source = f"{daemon}/shop"
    for number in range(3):
        repository.commit(big_bin=bytes([number]) + os.urandom(300_000))
    await checkouts.fetch(source, branch="main")
    packs = {pack.name: pack.stat().st_size for pack in mirror().glob("objects/pack/*.pack")}
    assert sum(packs.values()) < 400_000, "without history"
    repository.commit(small_txt="x")
    await checkouts.fetch(source, branch="main")
    (new,) = [p for p in mirror().glob("objects/pack/*.pack") if p.name not in packs]
    assert new.stat().st_size < 5000


async def test_commits_by_sha_and_by_prefix(repository: Any, checkouts: Checkouts, daemon: str):
    source = f"{daemon}/shop"
    first = repository.commit("First", a_txt="1")
    tip = repository.commit("Tip", a_txt="2")
    assert (await checkouts.commit(source, tip[:7])).title == "Tip"
    with pytest.raises(BadSource, match="Give all 40 digits"):
        await checkouts.commit(source, first[:7])
    assert (await checkouts.commit(source, first)).title == "First"
    with pytest.raises(BadSource, match="has no commit"):
        await checkouts.commit(source, "0" * 40)


async def test_a_pull_request_and_a_tag(repository: Any, checkouts: Checkouts, daemon: str):
    sha = repository.commit(a_txt="1")
    repository.git("update-ref", "refs/pull/42/head", sha)
    repository.git("tag", "-a", "v1", "-m", "v1")
    for source in (f"{daemon}/shop", str(repository.path)):
        assert await checkouts.fetch(source, branch="refs/pull/42/head") == sha
        assert await checkouts.fetch(source, branch="refs/tags/v1") == sha
        with pytest.raises(BadSource, match="has no branch"):
            await checkouts.fetch(source, branch="refs/pull/43/head")


async def test_no_such_repository_or_server(checkouts: Checkouts, daemon: str):
    with pytest.raises(BadSource, match="no repository"):
        await checkouts.resolve(f"{daemon}/nothing", "main")
    with pytest.raises(Unavailable, match="could not be read"):
        await checkouts.resolve("git://127.0.0.1:1/shop", "main")
    with pytest.raises(Unavailable, match="could not be read"):
        await checkouts.resolve("http://127.0.0.1:1/shop", "main")


class Web(http.server.SimpleHTTPRequestHandler):
    """Files, for one login; the paths `/busy` and `/elsewhere` misbehave."""

    folder = ""
    seen: list[str]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=self.folder)

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization") or "")
        expected = base64.b64encode(b"x-access-token:t0ken-value").decode()
        if self.path.startswith("/busy"):
            self.send_error(503)
        elif self.headers.get("Authorization") != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Handler", (Web,), {"folder": str(tmp_path / "sources"), "seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


async def test_http_with_a_token(
    repository: Any,
    checkouts: Checkouts,
    target: Path,
    web: tuple[str, list[str]],
    files_of: Files,
    tmp_path: Path,
):
    url, _ = web
    first = repository.commit(a_txt="0")
    sha = repository.commit(a_txt="1")
    repository.git("repack", "-a", "-d", "-q")
    repository.git("update-server-info")
    source, token = f"{url}/shop/.git", Secret("t0ken-value")
    commit = await checkouts.resolve(source, "main", credentials=token)
    assert commit.sha == sha
    assert await checkouts.fetch(source, commit=first, credentials=token) == first
    await checkouts.export(source, sha, target)
    assert files_of(target) == {"a.txt": b"1"}
    stored = [p for p in (tmp_path / "mirrors").rglob("*") if p.is_file()]
    assert not [path for path in stored if b"t0ken" in path.read_bytes()]
    with_login = source.replace("http://", "http://x-access-token:t0ken-value@")
    assert (await checkouts.resolve(with_login, "main")).sha == sha


async def test_http_without_the_right_token(
    repository: Any, checkouts: Checkouts, web: tuple[str, list[str]]
):
    url, seen = web
    repository.commit(a_txt="1")
    source = f"{url}/shop/.git"
    for token in (None, Secret("wrong-token")):
        with pytest.raises(BadSource, match="refused the login") as caught:
            await checkouts.resolve(source, "main", credentials=token)
        assert "wrong-token" not in str(caught.value)
    assert len(set(seen)) == 2
    with pytest.raises(BadSource) as caught:
        await checkouts.resolve(source.replace("://", "://ali:hunter2-x@"), "main")
    assert "hunter2" not in str(caught.value)


async def test_http_errors(repository: Any, checkouts: Checkouts, web: tuple[str, list[str]]):
    url, _ = web
    token = Secret("t0ken-value")
    with pytest.raises(Unavailable, match="503"):
        await checkouts.resolve(f"{url}/busy", "main", credentials=token)
    with pytest.raises(BadSource, match="no repository"):
        await checkouts.resolve(f"{url}/nothing", "main", credentials=token)


@pytest.mark.parametrize("site", ["127.0.0.1", "localhost"])
async def test_a_submodule_is_nothing_that_only_a_login_reads(
    new_repository: Make, checkouts: Checkouts, target: Path, web: tuple[str, list[str]], site: str
):
    url, seen = web
    token = Secret("t0ken-value")
    secret = new_repository("secret")
    sha = secret.commit(a_txt="1")
    shop = new_repository("shop")
    shop.commit(a_txt="1")
    place = f"{url.replace('127.0.0.1', site)}/secret/.git"
    (shop.path / ".gitmodules").write_text(f'[submodule "l"]\n\tpath = l\n\turl = {place}\n')
    shop.git("add", ".gitmodules")
    shop.git("update-index", "--add", "--cacheinfo", f"160000,{sha},l")
    shop.git("commit", "--quiet", "-m", "Submodule")
    for repository in (secret, shop):
        repository.git("repack", "-a", "-d", "-q")
        repository.git("update-server-info")
    # Another project has it in its mirror.
    await checkouts.fetch(place, commit=sha, credentials=token)
    top = await checkouts.fetch(f"{url}/shop/.git", branch="main", credentials=token)
    seen.clear()
    with pytest.raises(BadSource, match=r"The submodule l cannot be used.*not public") as caught:
        await checkouts.export(f"{url}/shop/.git", top, target)
    assert "fetched without a login" in str(caught.value)
    assert set(seen) == {""}


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """An `ssh` that runs the command here, or refuses some hosts; tells how it was called."""
    script, log = tmp_path / "bin/ssh", tmp_path / "ssh.log"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\n'
        'case "$*" in *locked*) echo "git@locked: Permission denied (publickey)." >&2; exit 255;;\n'
        '*stranger*) echo "Host key verification failed." >&2; exit 255;; esac\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines()


async def test_ssh_never_asks(repository: Any, checkouts: Checkouts, ssh: Callable[[], list[str]]):
    sha = repository.commit(a_txt="1")
    assert await checkouts.fetch(f"ssh://git@host.example{repository.path}", branch="main") == sha
    assert await checkouts.fetch(f"git@host.example:{repository.path}", branch="main") == sha
    assert "BatchMode=yes" in ssh()
    assert "git@host.example" in ssh()
    with pytest.raises(BadSource, match="refused the login"):
        await checkouts.resolve("git@locked:shop", "main")
    with pytest.raises(BadSource, match="host key"):
        await checkouts.resolve("ssh://stranger/shop", "main")
