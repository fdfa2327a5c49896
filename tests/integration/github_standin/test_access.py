"""The stand-in lets in whom GitHub lets in, and says no as GitHub does."""

from __future__ import annotations

import pytest

from github_standin import jwt
from github_standin.apps import App, Installation
from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.repository import Repository

AT = "/repos/acme/shop"
MINUTE = 60


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": 1}, "Integration not found"),
        ({"exp": 0}, "('exp') must be a numeric value"),
        ({"exp": 11 * MINUTE}, "('exp') is too far in the future"),
        ({"iat": MINUTE}, "('iat') must be an Integer"),
        ({"exp": "soon"}, "could not be decoded"),
    ],
)
async def test_a_wrong_jwt(github: GitHub, app: App, claims: dict[str, object], said: str) -> None:
    now = int(github.clock.now().timestamp())
    times = {k: now + v if isinstance(v, int) and k != "iss" else v for k, v in claims.items()}
    async with asking(github, jwt.made(app, **times)) as client:
        answer = await client.get("/app")
    assert answer.status_code == 401
    assert said in answer.json()["message"]


async def test_the_jwt_of_another_key(github: GitHub, app: App) -> None:
    other = github.app("Other")
    async with asking(github, jwt.made(other, iss=app.id)) as client:
        assert (await client.get("/app")).status_code == 401
    async with asking(github, jwt.made(app, iss=app.client_id)) as client:
        assert (await client.get("/app")).json()["id"] == app.id


async def test_tokens_expire(
    github: GitHub, app: App, installation: Installation, shop: Repository
) -> None:
    async with asking(github, installation) as client:
        assert (await client.get(AT)).status_code == 200
        github.clock.advance(hours=1)
        assert (await client.get(AT)).status_code == 401
    async with asking(github, installation) as client:
        assert (await client.get(AT)).status_code == 200
        github.tokens.expire()
        assert (await client.get(AT)).json()["message"] == "Bad credentials"


async def test_tokens_are_as_narrow_as_they_were_asked_for(
    github: GitHub, app: App, shop: Repository
) -> None:
    github.repository("acme/other", {"a": "b"}, private=True)
    installation = app.install(shop.owner)
    made = f"/app/installations/{installation.id}/access_tokens"
    async with asking(github, app) as client:
        narrow = {"repositories": ["shop"], "permissions": {"contents": "read"}}
        token = (await client.post(made, json=narrow)).json()["token"]
        for wrong in ({"repositories": ["nothing"]}, {"permissions": {"contents": "write"}}):
            assert (await client.post(made, json=wrong)).status_code == 422
    async with asking(github, token) as client:
        assert (await client.get("/repos/acme/other")).status_code == 404
        assert (await client.get(f"{AT}/commits/main")).status_code == 200
        refused = await client.get(f"{AT}/pulls")
        assert refused.status_code == 403
        assert refused.headers["x-accepted-github-permissions"] == "pull_requests=read"


async def test_what_an_installation_loses(
    github: GitHub, app: App, installation: Installation, shop: Repository
) -> None:
    async with asking(github, installation) as client:
        installation.revoke("pull_requests", "issues")
        assert (await client.get(f"{AT}/pulls")).status_code == 403
        installation.suspend()
        assert (await client.get(AT)).status_code == 403
        installation.unsuspend()
        installation.remove(shop)
        assert (await client.get(AT)).status_code == 404
        installation.uninstall()
        assert (await client.get(AT)).status_code == 401
    async with asking(github, app) as client:
        assert (await client.get(f"{AT}/installation")).status_code == 404
        path = f"/app/installations/{installation.id}/access_tokens"
        assert (await client.post(path)).status_code == 404


async def test_people_see_what_they_may(github: GitHub, shop: Repository) -> None:
    pull = shop.open_pull("feature", {"a.py": "1"})
    comment = pull.comment("mine")
    async with asking(github, github.user("stranger")) as client:
        assert (await client.get(AT)).status_code == 404
    async with asking(github, shop.grant(github.user("reader"), "read")) as client:
        assert (await client.get(AT)).json()["permissions"]["push"] is False
        say = {"state": "success"}
        assert (await client.post(f"{AT}/statuses/{pull.head}", json=say)).status_code == 403
        body = {"body": "hello"}
        path = f"{AT}/issues/{pull.number}/comments"
        assert (await client.post(path, json=body)).status_code == 201
        other = f"{AT}/issues/comments/{comment.id}"
        assert (await client.patch(other, json=body)).status_code == 403
        assert (await client.get(f"{AT}/hooks")).status_code == 404
    async with asking(github, github.user("ali")) as client:
        assert (await client.patch(other, json=body)).status_code == 200
    async with asking(github) as client:
        assert (await client.get(AT)).status_code == 404
        shop.private = False
        assert (await client.get(AT)).status_code == 200
        assert (await client.post(path, json=body)).status_code == 401


async def test_permissions_of_collaborators(github: GitHub, shop: Repository) -> None:
    levels = {"ali": "write", "acme": "admin", "mia": "write", "ben": "read", "eve": "none"}
    shop.grant(github.user("mia"), "maintain")
    shop.grant(github.user("ben"), "triage")
    github.user("eve")
    async with asking(github, shop.owner) as client:
        for login, level in levels.items():
            answer = await client.get(f"{AT}/collaborators/{login}/permission")
            assert answer.json()["permission"] == level
        assert (await client.get(f"{AT}/collaborators/nobody/permission")).status_code == 404


async def test_clients_have_to_say_who_they_are(github: GitHub, shop: Repository) -> None:
    async with asking(github, shop.owner) as client:
        del client.headers["User-Agent"]
        assert "User-Agent" in (await client.get(AT)).json()["message"]


async def test_a_renamed_repository_is_found_by_its_id(github: GitHub, shop: Repository) -> None:
    shop.open_pull("feature", {"a.py": "1"})
    shop.rename("store")
    async with asking(github, shop.owner) as client:
        moved = await client.get(f"{AT}/pulls?state=all&per_page=5")
        assert moved.status_code == 301
        target = f"{github.api}/repositories/{shop.id}/pulls?state=all&per_page=5"
        assert moved.headers["Location"] == target
        (found,) = (await client.get(target)).json()
        assert found["base"]["repo"]["full_name"] == "acme/store"
        write = await client.post(f"{AT}/issues/1/comments", json={"body": "x"})
        assert write.status_code == 307
        shop.delete()
        assert (await client.get(f"{AT}/pulls")).status_code == 404
