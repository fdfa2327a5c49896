"""Pages, conditional requests and rate limits of the stand-in are GitHub's."""

from __future__ import annotations

from github_standin.apps import Installation
from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.repository import Repository

PULLS = "/repos/acme/shop/pulls"


async def test_lists_come_in_pages(github: GitHub, shop: Repository) -> None:
    for number in range(1, 6):
        shop.open_pull(f"feature-{number}", {"a.py": str(number)})
    shop.pulls[2].close()
    async with asking(github, shop.owner) as client:
        first = await client.get(PULLS, params={"per_page": 2})
        assert [each["number"] for each in first.json()] == [5, 4]
        assert first.links.keys() == {"next", "last"}
        second = await client.get(first.links["next"]["url"])
        assert [each["number"] for each in second.json()] == [3, 1]
        assert second.links.keys() == {"prev", "first"}
        assert (await client.get(PULLS, params={"per_page": 2, "page": 9})).json() == []
        everything = await client.get(PULLS, params={"state": "all", "direction": "asc"})
        assert [each["number"] for each in everything.json()] == [1, 2, 3, 4, 5]
        assert "Link" not in everything.headers
        by_head = await client.get(PULLS, params={"head": "acme:feature-3"})
        assert [each["number"] for each in by_head.json()] == [3]


async def test_an_unchanged_answer_is_free(
    github: GitHub, shop: Repository, installation: Installation
) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    async with asking(github, installation) as client:
        first = await client.get(PULLS)
        mark = {"If-None-Match": first.headers["ETag"]}
        again = await client.get(PULLS, headers=mark)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["x-ratelimit-used"] == "1"
        pull.label("preview")
        changed = await client.get(PULLS, headers=mark)
        assert (changed.status_code, changed.headers["x-ratelimit-used"]) == (200, "2")
    async with asking(github, installation) as client:
        mark = {"If-None-Match": changed.headers["ETag"]}
        assert (await client.get(PULLS, headers=mark)).status_code == 200, "another token"
    assert github.traffic.counts["pulls/list"] == 4


async def test_requests_are_limited_by_the_hour(github: GitHub, installation: Installation) -> None:
    github.limits.limit = 2
    async with asking(github, installation) as client:
        for left in ("1", "0"):
            answer = await client.get("/installation/repositories")
            assert answer.headers["x-ratelimit-remaining"] == left
        refused = await client.get("/installation/repositories")
        assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
        assert "rate limit exceeded" in refused.json()["message"]
        assert (await client.get("/rate_limit")).json()["rate"]["remaining"] == 0
        github.clock.advance(minutes=59)
        assert (await client.get("/installation/repositories")).status_code == 403
    github.clock.advance(minutes=1)
    async with asking(github, installation) as client:
        assert (await client.get("/installation/repositories")).status_code == 200


async def test_limits_can_be_used_up(github: GitHub, shop: Repository) -> None:
    github.limits.exhaust(minutes=10)
    github.limits.status = 429
    async with asking(github, shop.owner) as client:
        refused = await client.get(PULLS)
        assert refused.status_code == 429
        reset = int(refused.headers["x-ratelimit-reset"])
        assert 590 <= reset - github.clock.now().timestamp() <= 600
        github.clock.advance(minutes=10)
        assert (await client.get(PULLS)).status_code == 200
