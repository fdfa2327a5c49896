"""Git over HTTP, and what happens to branches and pull requests in it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from github_standin.apps import Installation
from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.repository import Repository
from repositories import commit, make_repository


async def git(*arguments: str) -> tuple[int, str]:
    """Exit code and output. Nobody is asked for a password."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def address(repository: Repository, token: str) -> str:
    return repository.url.replace("://", f"://x-access-token:{token}@")


async def test_a_private_repository_wants_a_token(
    github: GitHub, shop: Repository, installation: Installation, tmp_path: Path
) -> None:
    token = installation.token().value
    code, said = await git("clone", address(shop, token), str(tmp_path / "clone"))
    assert code == 0, said
    assert (tmp_path / "clone/main.py").read_text() == "print('hello')\n"
    assert github.traffic.counts["git/upload-pack"] >= 1
    for wrong in (shop.url, address(shop, "ghs_wrong")):
        code, said = await git("clone", wrong, str(tmp_path / "no"))
        assert code == 128, said
    blind = installation.token(permissions={"metadata": "read"}).value
    assert (await git("ls-remote", address(shop, blind)))[0] == 128
    github.clock.advance(hours=1)
    assert (await git("ls-remote", address(shop, token)))[0] == 128


async def test_a_public_repository_wants_none(shop: Repository, tmp_path: Path) -> None:
    shop.private = False
    code, said = await git("clone", shop.url, str(tmp_path / "clone"))
    assert code == 0, said
    code, said = await git("-C", str(tmp_path / "clone"), "push", "origin", "HEAD:other")
    assert code == 1 or "403" in said


async def test_pull_requests_are_refs(github: GitHub, shop: Repository, tmp_path: Path) -> None:
    shop.private = False
    pull = shop.open_pull("feature", {"a.py": "1"}, number=42)
    fork = shop.fork(github.user("bob"))
    other = shop.open_pull("evil", {"b.py": "2"}, source=fork, by=fork.owner)
    async with asking(github) as client:
        assert (await client.get("/repos/acme/shop/pulls/42")).json()["mergeable"] is True
    _, refs = await git("ls-remote", shop.url)
    known = dict(line.split("\t")[::-1] for line in refs.splitlines())
    assert known["refs/pull/42/head"] == pull.head
    assert known["refs/pull/43/head"] == other.head
    assert "refs/heads/evil" not in known
    assert "refs/pull/42/merge" in known
    folder = str(tmp_path / "any")
    await git("init", "--quiet", folder)
    fetched = await git("-C", folder, "fetch", "--depth=1", shop.url, pull.head)
    assert fetched[0] == 0, "any commit may be fetched by its id"


async def test_a_renamed_repository_is_still_cloned(shop: Repository, tmp_path: Path) -> None:
    shop.private = False
    former = shop.url
    shop.rename("store")
    code, said = await git("clone", former, str(tmp_path / "clone"))
    assert code == 0, said
    assert "redirecting" in said


async def test_merging_merges(github: GitHub, shop: Repository) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    rival = shop.open_pull("rival", {"a.py": "2"})
    merge = pull.merge(by=github.user("ali"))
    assert shop.git.branches["main"] == merge
    assert shop.git.read(merge).parents[1] == pull.head
    assert (pull.open, pull.merged) == (False, True)
    async with asking(github, shop.owner) as client:
        assert (await client.get("/repos/acme/shop/pulls/2")).json()["mergeable"] is False
    with pytest.raises(AssertionError, match="has conflicts"):
        rival.merge()


def test_pushes_move_pull_requests(shop: Repository) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    first = pull.head
    second = pull.push({"a.py": "2"})
    assert pull.head == second
    third = pull.force_push({"a.py": "3"})
    assert pull.head == third
    assert shop.git.read(third).parents == (shop.git.branches["main"],)
    assert first not in shop.git.between(shop.git.branches["main"], third)
    shop.reset("feature", first)
    assert pull.head == first


def test_a_local_repository_is_pushed(github: GitHub, tmp_path: Path) -> None:
    local = make_repository(tmp_path, {"main.py": "a = 1\n"})
    shop = github.repository("acme/shop", local)
    for number in (2, 3):
        commit(local, {"main.py": f"a = {number}\n"}, f"[skip preview] Change {number}")
    head = shop.push("feature", local)
    pull = shop.open_pull("feature")
    assert pull.head == head
    assert pull.size == (1, 1, 1, 2)
    assert shop.git.read(head).message == "[skip preview] Change 3"


def test_deleted_and_renamed_branches(shop: Repository) -> None:
    below = shop.open_pull("below", {"a.py": "1"})
    above = shop.open_pull("above", {"b.py": "1"}, base="below")
    shop.rename_branch("below", "lower")
    assert (below.open, above.open, above.base) == (False, True, "lower")
    shop.delete_branch("lower")
    assert above.open is False


def test_the_fork_of_a_pull_request_is_deleted(github: GitHub, shop: Repository) -> None:
    fork = shop.fork(github.user("bob"), "shop-fork")
    pull = shop.open_pull("feature", {"a.py": "1"}, source=fork, by=fork.owner)
    pull.force_push({"c.py": "2"})
    assert pull.fork
    fork.delete()
    assert (pull.open, pull.source) == (True, None)
