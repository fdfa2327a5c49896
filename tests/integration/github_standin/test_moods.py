"""The stand-in can be slow, down, lossy and out of patience, and counts what it is asked."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.repository import Repository

AT = "/repos/acme/shop"


async def test_down(github: GitHub, shop: Repository) -> None:
    async with asking(github, shop.owner) as client:
        github.moods.down(times=1)
        github.moods.down(503, only="pulls/*")
        assert (await client.get(AT)).status_code == 502
        assert (await client.get(AT)).status_code == 200
        assert (await client.get(f"{AT}/pulls")).status_code == 503
        github.moods.clear()
        assert (await client.get(f"{AT}/pulls")).status_code == 200


async def test_unplugged(github: GitHub, shop: Repository) -> None:
    assert github.server is not None
    async with asking(github, shop.owner) as client:
        github.server.unplug()
        with pytest.raises(httpx2.ConnectError):
            await client.get(AT)
        github.server.plug_in()
        assert (await client.get(AT)).status_code == 200


async def test_slow(github: GitHub, shop: Repository) -> None:
    github.moods.slow(0.5, only="repos/get")
    async with asking(github, shop.owner) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(AT, timeout=0.1)
        assert (await client.get(f"{AT}/pulls")).status_code == 200


async def test_held_until_a_test_lets_it_on(github: GitHub, shop: Repository) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    gate = github.moods.hold("pulls/get")
    async with asking(github, shop.owner) as client:
        asked = asyncio.create_task(client.get(f"{AT}/pulls/1"))
        await asyncio.to_thread(gate.wait_for)
        pull.close()
        gate.open()
        assert (await asked).json()["state"] == "closed"


async def test_an_answer_is_lost(github: GitHub, shop: Repository) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    github.moods.lose_answers(only="issues/create-comment", times=1)
    async with asking(github, shop.owner) as client:
        answer = await client.post(f"{AT}/issues/1/comments", json={"body": "hello"})
    assert answer.status_code == 502
    assert [each.body for each in pull.comments] == ["hello"]


async def test_a_secondary_limit(github: GitHub, shop: Repository) -> None:
    github.moods.secondary_limit(7, times=1)
    async with asking(github, shop.owner) as client:
        answer = await client.get(AT)
        assert (answer.status_code, answer.headers["Retry-After"]) == (403, "7")
        assert "secondary rate limit" in answer.json()["message"]
        github.moods.secondary_limit(None, times=1)
        assert "Retry-After" not in (await client.get(AT)).headers
        github.moods.refuse(451, "Repository access blocked", times=1)
        github.violations.clear()
        await client.get(AT)
    assert github.violations == ["repos/get answers 451: it never answers 451"]
    github.violations.clear()


async def test_git_has_moods_too(github: GitHub, shop: Repository) -> None:
    shop.private = False
    github.moods.down(only="git/*", times=1)
    async with asking(github) as client:
        url = f"{shop.url}/info/refs?service=git-upload-pack"
        assert (await client.get(url)).status_code == 502
        assert (await client.get(url)).status_code == 200
    assert [each.status for each in github.traffic.of("git/refs")] == [502, 200]


async def test_requests_are_counted(github: GitHub, shop: Repository) -> None:
    async with asking(github, shop.owner) as client:
        for path in ("", "/pulls", "/pulls"):
            await client.get(AT + path)
    assert github.traffic.counts == {"repos/get": 1, "pulls/list": 2}
    assert github.traffic[0].path == AT
