"""GitHub as a Forge where it differs from others: Apps, tokens, renames, pages, budgets."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import pytest_asyncio

from github_standin.apps import App as RegisteredApp
from github_standin.description import read
from github_standin.fixture import github
from github_standin.github import GitHub as StandIn
from github_standin.repository import Repository as Hosted
from previewdrop.domain.errors import NoAccess
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Environment, Refused, Status, Verdict
from previewdrop.forge.events import Repository
from previewdrop.forge.github.app import App, AppAccess
from previewdrop.forge.github.client import Client
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import Host
from previewdrop.forge.github.manifest import (
    EVENTS,
    PERMISSIONS,
    manifest,
    registered,
    registration_address,
)
from previewdrop.forge.github.parse import parsed
from previewdrop.source.checkout import Checkouts

__all__ = ["github"]

READ = (
    "pull_request",
    "push",
    "delete",
    "issue_comment",
    "installation",
    "installation_repositories",
    "repository",
    "ping",
)


@pytest.fixture
def shop(github: StandIn) -> Hosted:
    github.webhooks.pause()
    return github.repository("acme/shop", {"README.md": "shop"}, private=True)


@pytest.fixture
def app(github: StandIn, shop: Hosted) -> RegisteredApp:
    permissions = {each.name: each.level for each in PERMISSIONS}
    app = github.app("PreviewDrop", permissions=permissions, events=EVENTS)
    app.install(shop.owner)
    return app


def where(github: StandIn) -> Host:
    return Host(github.web, github.api)


Forges = Callable[[RegisteredApp], GitHub]


@pytest_asyncio.fixture
async def forge_of() -> AsyncGenerator[Forges]:
    """Forges with an App's credentials, closed at the end."""
    opened: list[GitHub] = []

    def forge_of(app: RegisteredApp) -> GitHub:
        ours = App(app.id, Secret(app.pem), Secret(app.webhook_secret))
        opened.append(GitHub.by_app(where(app.github), ours))
        return opened[-1]

    yield forge_of
    for each in opened:
        await each.aclose()


def known(hosted: Hosted, *, told: bool = True) -> Repository:
    installation = next(each.id for each in hosted.github.installations)
    return Repository(hosted.id, hosted.name, hosted.url, True, installation if told else None)


def events(name: str) -> list[dict[str, object]]:
    return next(each["examples"] for each in read("webhooks") if each["name"] == name)


@pytest.mark.parametrize("event", READ)
def test_every_published_example_is_told(event: str):
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": "1"}
    for example in events(event):
        body = json.dumps(example).encode()
        delivery = parsed(headers, body, "https://github.com")
        assert delivery.kind.startswith(event)
        assert delivery.events or event != "pull_request"


def test_every_other_published_example_is_accepted_and_ignored():
    for each in read("webhooks"):
        if each["name"] not in READ:
            headers = {"X-GitHub-Event": each["name"], "X-GitHub-Delivery": "1"}
            for example in each["examples"]:
                assert parsed(headers, json.dumps(example).encode(), "https://x").events == ()


async def test_an_app_of_our_manifest_is_made_installed_and_works(github: StandIn, tmp_path: Path):
    github.user("octocat")
    hosted = github.repository("acme/shop", {"README.md": "shop"}, private=True)
    made = manifest(
        "PreviewDrop of acme",
        home="http://127.0.0.1:9/",
        webhook="http://127.0.0.1:9/webhooks/github",
        redirect="http://127.0.0.1:9/github/registered",
        setup="http://127.0.0.1:9/github/installed",
    )
    address = registration_address(where(github), "st&te", "acme")
    client = Client(where(github))
    async with httpx2.AsyncClient(trust_env=False) as browser:
        back = await browser.post(address, data={"manifest": json.dumps(made)})
        assert back.status_code == 302, back.text
        asked = parse_qs(urlsplit(back.headers["location"]).query)
        assert asked["state"] == ["st&te"]
        registration = await registered(client, asked["code"][0])
        installed = await browser.get(registration.installation_address)
        assert installed.headers["location"].startswith("http://127.0.0.1:9/github/installed")
    with pytest.raises(Refused):
        await registered(client, asked["code"][0])
    access = AppAccess(client, registration.app)
    [installation] = await access.installations()
    assert (installation.account, installation.suspended) == ("acme", False)
    [repository] = await access.repositories()
    assert (repository.name, repository.installation) == ("acme/shop", installation.id)
    assert await access.author() == f"{registration.slug}[bot]"
    assert repository.url == hosted.url
    await client.aclose()


async def test_a_token_for_a_clone_reads_one_private_repository(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    other = github.repository("acme/other", {"README.md": "other"}, private=True)
    forge = forge_of(app)
    user, password = await forge.login(known(shop))
    refs = "/info/refs?service=git-upload-pack"
    login = (user, password.reveal())
    async with httpx2.AsyncClient(trust_env=False) as git:
        assert (await git.get(shop.url + refs, auth=login)).status_code == 200
        assert (await git.get(shop.url + refs)).status_code in (401, 404)
        assert (await git.get(other.url + refs, auth=login)).status_code in (401, 403, 404)
    client = Client(where(github))
    access = AppAccess(client, App(app.id, Secret(app.pem), Secret("")))
    assert (await access.clone_token(known(shop))) != (await access.token(known(shop))).token
    await client.aclose()
    await forge.aclose()


async def test_a_login_that_was_revoked_is_replaced(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges, tmp_path: Path
):
    forge = forge_of(app)
    checkouts = Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 1_000_000)

    async def tip(password: Secret) -> str:
        return (await checkouts.resolve(shop.url, "main", credentials=password)).sha

    _, password = await forge.login(known(shop))
    head = await tip(password)
    github.tokens.expire()
    with pytest.raises(NoAccess, match="refused the login"):
        await tip(password)
    _, another = await forge.login(known(shop), password)
    assert await tip(another) == head
    assert await forge.login(known(shop), password) == ("x-access-token", another)
    await forge.aclose()


async def test_a_repository_that_was_transferred_is_cloned_by_its_new_owners_leave(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges, tmp_path: Path
):
    forge, former = forge_of(app), known(shop)
    _, password = await forge.login(former)
    corp = github.organization("corp")
    app.install(corp)
    shop.transfer(corp)
    _, another = await forge.login(former, password)
    checkouts = Checkouts(tmp_path / "mirrors", tmp_path / "checkouts", 1_000_000)
    for address in (former.url, shop.url):
        with pytest.raises(NoAccess):
            await checkouts.resolve(address, "main", credentials=password)
        assert await checkouts.resolve(address, "main", credentials=another)
    await forge.aclose()


async def test_a_renamed_repository_still_gets_its_reports(
    shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    former, forge = known(shop), forge_of(app)
    shop.rename("store")
    found = await forge.pull(former, pull.number)
    assert found is not None
    await forge.status(former, Status(pull.head, "preview", Verdict.PENDING, "building", None))
    comment = (await forge.comment(former, pull.number, "<!-- x -->", "hello", None)).id
    again = await forge.comment(former, pull.number, "<!-- x -->", "again", comment)
    assert (again.id, again.url) == (
        comment,
        f"{shop.web}/pull/{pull.number}#issuecomment-{comment}",
    )
    assert [each.body for each in pull.comments] == ["<!-- x -->\nagain"]
    assert shop.statuses[-1].state == "pending"
    await forge.aclose()


async def test_tokens_that_expired_early_are_replaced(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    forge = forge_of(app)
    assert await forge.pull(known(shop), pull.number)
    github.tokens.expire()
    assert await forge.pull(known(shop), pull.number)
    assert github.traffic.counts["apps/create-installation-access-token"] == 2
    assert [each.status for each in github.traffic.of("pulls/get")] == [200, 401, 200]
    await forge.aclose()


async def test_tokens_are_replaced_before_they_expire(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    forge = forge_of(app)
    assert await forge.pull(known(shop), pull.number)
    github.clock.advance(minutes=40)
    assert await forge.pull(known(shop), pull.number)
    assert await forge.pull(known(shop), pull.number)
    github.clock.advance(minutes=6)
    assert await forge.pull(known(shop), pull.number)
    assert await forge.pull(known(shop), pull.number)
    assert {each.status for each in github.traffic} == {200, 201}
    assert github.traffic.counts["apps/create-installation-access-token"] == 2
    await forge.aclose()


@pytest.mark.parametrize("minutes", [-90, 90])
async def test_a_machine_whose_clock_is_wrong_gets_in(
    github: StandIn, shop: Hosted, app: RegisteredApp, minutes: int
):
    pull = shop.open_pull("one", {"one.md": "one"})
    client = Client(where(github), clock=lambda: time.time() + minutes * 60)
    access = AppAccess(client, App(app.id, Secret(app.pem), Secret("")))
    forge = GitHub(client, access, Secret(""))
    assert await forge.pull(known(shop), pull.number)
    assert await forge.pull(known(shop), pull.number)
    asked = github.traffic.of("apps/create-installation-access-token")
    assert [each.status for each in asked] == [401, 201]
    await forge.aclose()


async def test_an_app_that_was_installed_again_is_found(
    shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    before, forge = known(shop), forge_of(app)
    assert await forge.pull(before, pull.number)
    app.installations[before.installation or 0].uninstall()
    with pytest.raises(Refused) as refused:
        await forge_of(app).pull(before, pull.number)
    assert refused.value.missing
    app.install(shop.owner)
    assert await forge.pull(before, pull.number)
    assert await forge_of(app).pull(known(shop, told=False), pull.number)
    await forge.aclose()


async def test_a_permission_that_was_taken_away_is_a_sentence(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    forge = forge_of(app)
    github.installations[0].revoke("deployments")
    environment = Environment("shop/pr-1", "one", pull.head, Verdict.PENDING, "", None, None)
    with pytest.raises(Refused, match="GitHub refused to list the deployments of") as refused:
        await forge.environment(known(shop), environment, None)
    assert refused.value.hint
    await forge.aclose()


async def test_two_hundred_pull_requests_cost_two_requests_and_then_none(
    github: StandIn, shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    branch = shop.open_pull("base-of-all", {"one.md": "one"}).branch
    for _ in range(199):
        shop.open_pull(branch)
    forge, repository = forge_of(app), known(shop)
    page = await forge.open_pulls(repository)
    assert page.pulls is not None
    assert len({each.number for each in page.pulls}) == 200
    again = await forge.open_pulls(repository, page.mark)
    assert again.pulls is None
    listed = [each.status for each in github.traffic.of("pulls/list")]
    assert listed == [200, 200, 304, 304, 304]
    shop.pulls[1].close()
    changed = await forge.open_pulls(repository, page.mark)
    assert changed.pulls is not None
    assert len(changed.pulls) == 199
    await forge.aclose()


async def test_a_pull_request_from_a_fork_and_one_whose_fork_is_gone(
    github: StandIn, app: RegisteredApp, forge_of: Forges, shop: Hosted
):
    fork = shop.fork(github.user("stranger"))
    pull = shop.open_pull("theirs", {"x.md": "x"}, source=fork, by=github.user("stranger"))
    forge = forge_of(app)
    found = await forge.pull(known(shop), pull.number)
    assert found is not None
    assert (found.fork, found.author, found.branch) == (True, "stranger", "theirs")
    environment = Environment(
        "shop/pr-1", pull.head, pull.head, Verdict.SUCCESS, "", "https://x.test", None
    )
    assert await forge.environment(known(shop), environment, None)
    fork.delete()
    [gone] = (await forge.open_pulls(known(shop))).pulls or ()
    assert gone.fork is None
    await forge.aclose()


async def test_a_branch_that_was_merged_and_deleted_is_deployed_no_more(
    shop: Hosted, app: RegisteredApp, forge_of: Forges
):
    pull = shop.open_pull("one", {"one.md": "one"})
    forge, repository = forge_of(app), known(shop)
    told = Environment("shop/pr-1", "one", pull.head, Verdict.SUCCESS, "", "https://x.test", None)
    id = await forge.environment(repository, told, None)
    pull.merge()
    shop.delete_branch("one")
    gone = Environment("shop/pr-1", "one", pull.head, None, "removed", None, None)
    assert await forge.environment(repository, gone, id) == id
    assert [each.state for each in shop.deployments.values()] == ["inactive"]
    late = Environment("shop/pr-2", "one", pull.head, Verdict.PENDING, "", None, None)
    assert await forge.environment(repository, late, None)
    await forge.aclose()


async def test_a_token_s_own_webhook(github: StandIn, shop: Hosted):
    owner = shop.grant(github.user("octocat"), "admin")
    secret = Secret("a long secret of this repository")
    forge = GitHub.by_token(where(github), Secret(github.token_of(owner)), secret)
    repository = Repository(shop.id, shop.name, shop.url, private=True)
    address = "http://127.0.0.1:9/webhooks/github"
    id = await forge.hook(repository, address, secret)
    assert await forge.hook(repository, address, secret) == id
    assert len(shop.hooks) == 1
    shop.open_pull("one", {"one.md": "one"})
    kinds = [each.kind for each in github.webhooks.log]
    assert "ping" in kinds
    assert "pull_request.opened" in kinds
    for each in github.webhooks.log:
        assert forge.verified(each.headers, each.body)
        assert forge.parsed(each.headers, each.body).id == each.guid
    await forge.aclose()
