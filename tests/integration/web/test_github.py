"""Connecting GitHub as people do: a terminal, a browser, and GitHub's own pages in between."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from github_standin.fixture import enterprise
from github_standin.github import GitHub
from github_standin.repository import Repository
from previewdrop.bootstrap.github import code_hosts_of, connect_by_settings
from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Forge
from previewdrop.forge.github.github import GitHub as Client
from previewdrop.forge.github.host import CLOUD
from previewdrop.forge.github.signature import signature
from previewdrop.pipeline.hosts import Hosts
from previewdrop.store.database import StateDatabase
from previewdrop.store.forges import StoredForge
from previewdrop.store.store import Store
from previewdrop.web.app import create_app
from previewdrop.web.events import Changes
from previewdrop.web.github.attempts import LIFETIME, Attempts
from previewdrop.web.ports import Control

__all__ = ["enterprise"]

PUBLIC = "http://127.0.0.1:9/out"


class Forms(HTMLParser):
    """The first form of a page, and its links, as a browser has them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values["value"]
        elif tag == "a":
            self.links.append(values["href"])


class Browser:
    """Follows pages of ours in memory and GitHub's over the network; it has no token of ours."""

    def __init__(self, app: Any) -> None:
        transport: Any = httpx2.ASGITransport(app=app)
        self._ours = httpx2.AsyncClient(transport=transport, base_url="http://here")
        self._out = httpx2.AsyncClient(trust_env=False, timeout=60)

    async def open(self, url: str) -> httpx2.Response:
        client = self._ours if url.startswith("http://here/") else self._out
        return await self._landed(await client.get(url))

    async def submit(self, page: httpx2.Response) -> httpx2.Response:
        form = Forms(page.text)
        return await self._landed(await self._out.post(form.action, data=form.fields))

    async def _landed(self, answer: httpx2.Response) -> httpx2.Response:
        target = answer.headers.get("location")
        return await self.open(target) if target else answer

    async def close(self) -> None:
        await self._ours.aclose()
        await self._out.aclose()


@pytest.fixture
def shop(enterprise: GitHub) -> Repository:
    enterprise.webhooks.pause()
    shop = enterprise.repository("acme/shop", {"README.md": "shop"}, private=True)
    shop.grant(enterprise.user("ali"))
    return shop


@pytest.fixture
def resyncs() -> list[bool]:
    return []


HostsOf = Callable[[Settings], Hosts]


@pytest.fixture
async def hosts_of(store: Store) -> AsyncGenerator[HostsOf]:
    """The connected hosts as settings have them, their clients closed at the end."""
    made: list[Forge] = []

    def hosts_of(settings: Settings) -> Hosts:
        make = code_hosts_of(settings)

        def kept(stored: StoredForge) -> Forge:
            made.append(make(stored))
            return made[-1]

        return Hosts(store, kept)

    yield hosts_of
    for each in made:
        assert isinstance(each, Client)
        await each.aclose()


@pytest.fixture
def control(
    control: Control, enterprise: GitHub, resyncs: list[bool], hosts_of: HostsOf
) -> Control:
    settings = Settings(home=control.settings.home, github_url=enterprise.web)
    hosts = hosts_of(settings)
    return replace(control, settings=settings, hosts=hosts.all, resync=lambda: resyncs.append(True))


@pytest.fixture
def app(control: Control, changes: Changes) -> Any:
    return create_app(control, changes)


@pytest.fixture
async def api(app: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    headers = {"Authorization": "Bearer the-token"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://here/api/v1/github",
        headers=headers,
    ) as client:
        yield client


@pytest.fixture
async def browser(app: Any) -> AsyncGenerator[Browser]:
    browser = Browser(app)
    yield browser
    await browser.close()


async def connect(api: httpx2.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await api.post("/connections", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_app_from_a_terminal_over_the_browser_to_a_project(
    api: httpx2.AsyncClient,
    browser: Browser,
    enterprise: GitHub,
    shop: Repository,
    store: Store,
    resyncs: list[bool],
) -> None:
    begun = await connect(api, organization="acme", address=PUBLIC)
    assert (begun["state"], begun["connection"]) == ("waiting", None)
    assert begun["url"].startswith("http://here/github/new?state=")
    first = await browser.open(begun["url"])
    assert first.status_code == 200
    back = await browser.submit(first)
    assert back.status_code == 200, back.text
    [made] = enterprise.apps.values()
    assert (made.owner.login, made.hook_url) == ("acme", f"{PUBLIC}/webhooks/github")
    assert made.slug in back.text
    seen = (await api.get(f"/attempts/{begun['id']}")).json()
    assert (seen["state"], seen["url"], seen["error"]) == ("connected", None, None)
    [connection] = (await api.get("/connections")).json()
    assert connection == seen["connection"]
    link = f"{enterprise.web}/apps/{made.slug}/installations/new"
    assert connection == {
        "id": connection["id"], "kind": "app", "url": enterprise.web, "slug": made.slug,
        "app": made.id, "install_url": link, "webhooks": True,
    }  # fmt: skip
    enterprise.choice = shop.owner, [shop]
    assert Forms(back.text).links == [link]
    installed = await browser.open(link)
    assert "previewdrop github add" in installed.text
    assert (await api.get("/repositories")).json() == {
        "repositories": [
            {
                "name": "acme/shop", "url": shop.url, "private": True,
                "connection": connection["id"], "projects": [], "followed": False,
            }
        ],
        "warnings": [],
    }  # fmt: skip
    added = await api.post("/projects", json={"repository": "Acme/Shop"})
    assert added.status_code == 201, added.text
    assert added.json()["project"]["name"] == "shop"
    assert (added.json()["webhooks"], added.json()["warnings"]) == (True, [])
    [project] = await store.forges.projects(connection["id"], shop.id)
    assert (project.source, project.repository_name) == (shop.url, "acme/shop")
    assert project.installation == next(iter(made.installations))
    assert resyncs == [True]
    again = await api.post("/projects", json={"repository": shop.url})
    assert again.status_code == 409
    assert "is the project shop already" in again.json()["detail"]
    second = await api.post("/projects", json={"repository": "acme/shop", "name": "backend"})
    assert second.json()["project"]["name"] == "backend"
    [listed] = (await api.get("/repositories")).json()["repositories"]
    assert listed["projects"] == ["backend", "shop"]
    gone = await api.delete(f"/connections/{connection['id']}")
    assert gone.json() == connection
    assert (await api.get("/connections")).json() == []
    left = await store.projects.named("shop")
    assert (left.forge_id, left.source) == (None, shop.url)


async def test_a_state_is_good_for_one_app(
    api: httpx2.AsyncClient, browser: Browser, enterprise: GitHub, shop: Repository
) -> None:
    begun = await connect(api, organization="acme")
    page = await browser.open(begun["url"])
    done = await browser.submit(page)
    assert "no webhooks" in done.text
    reloaded = await browser.open(str(done.url))
    assert (reloaded.status_code, reloaded.text) == (200, done.text)
    assert (await browser.open(begun["url"])).status_code == 404
    assert len((await api.get("/connections")).json()) == 1
    conversions = enterprise.traffic.of("apps/create-from-manifest")
    assert [each.status for each in conversions] == [201]


async def test_a_wrong_code_ends_the_attempt(
    api: httpx2.AsyncClient, browser: Browser, shop: Repository
) -> None:
    for code, said in (("", "is not complete"), ("c0de", "refused to")):
        begun = await connect(api)
        state = parse_qs(urlsplit(begun["url"]).query)["state"][0]
        page = await browser.open(f"http://here/github/connected?code={code}&state={state}")
        assert page.status_code == 422
        assert said in page.text
        seen = (await api.get(f"/attempts/{begun['id']}")).json()
        assert seen["state"] == "failed"
        assert said in seen["error"]
        assert (await browser.open(begun["url"])).status_code == 404
    assert (await api.get("/connections")).json() == []


async def test_a_github_that_is_down_is_asked_again_when_the_page_is_loaded_again(
    api: httpx2.AsyncClient, browser: Browser, enterprise: GitHub, shop: Repository
) -> None:
    begun = await connect(api, organization="acme")
    page = await browser.open(begun["url"])
    enterprise.moods.down(only="apps/create-from-manifest", times=1)
    failed = await browser.submit(page)
    assert failed.status_code == 503
    assert "Load this page again" in failed.text
    assert (await api.get(f"/attempts/{begun['id']}")).json()["state"] == "waiting"
    assert (await browser.open(str(failed.url))).status_code == 200
    assert (await api.get(f"/attempts/{begun['id']}")).json()["state"] == "connected"


@pytest.mark.parametrize("path", ["new?state=x", "connected?code=c&state=x", "connected", "new"])
async def test_whoever_has_no_state_learns_nothing(browser: Browser, path: str) -> None:
    page = await browser.open(f"http://here/github/{path}")
    assert page.status_code == 404
    assert "not valid any more" in page.text


def test_attempts_end_after_an_hour() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    begun = attempts.begin(CLOUD, None, "http://here", None)
    assert attempts.of(begun.state) is attempts.seen(begun.id) is begun
    now[0] = LIFETIME
    assert attempts.of(begun.state) is attempts.seen(begun.id) is None


@pytest.mark.parametrize("path", ["/connections", "/repositories", "/attempts/1"])
async def test_the_api_wants_the_token(app: Any, path: str) -> None:
    transport: Any = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get(f"/api/v1/github{path}")).status_code == 401


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"url": "http://github.example.com"}, "does not begin with https://"),
        ({"url": "ftp://x"}, "does not begin with https://"),
        ({"organization": "acme/../x"}, "letters, digits and hyphens"),
        ({"address": "nowhere"}, "should be an address"),
        ({"url": "https://github.com", "address": "http://localhost:7780"}, "this machine alone"),
        ({"token": "with a space"}, "characters that no token has"),
        ({"token": "ghp_unknown"}, "Bad credentials"),
    ],
)
async def test_what_cannot_be_connected(
    api: httpx2.AsyncClient, shop: Repository, body: dict[str, str], said: str
) -> None:
    answer = await api.post("/connections", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "ghp_unknown" not in answer.text
    assert (await api.get("/connections")).json() == []


async def test_a_token_brings_webhooks_of_the_repository(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository, store: Store, control: Control
) -> None:
    token = enterprise.token_of(enterprise.user("ali"))
    made = await connect(api, token=token, address=PUBLIC)
    assert made["state"] == "connected"
    assert (made["connection"]["kind"], made["connection"]["slug"]) == ("token", "ali")
    shop.grant(enterprise.user("ali"), "admin")
    added = (await api.post("/projects", json={"repository": "acme/shop"})).json()
    assert (added["webhooks"], added["warnings"]) == (True, [])
    [hook] = shop.hooks.values()
    assert hook.url == f"{PUBLIC}/webhooks/github"
    [(stored, forge)] = await control.hosts()
    body = b"{}"
    headers = {"X-Hub-Signature-256": signature(Secret(hook.secret or ""), body)}
    assert forge.verified(headers, body)
    assert token not in json.dumps(added)
    # Another token takes its place, and the webhooks stay valid.
    other = enterprise.token_of(enterprise.user("ali"))
    again = await connect(api, token=other)
    assert again["connection"]["id"] == stored.id
    [(kept, _)] = await control.hosts()
    assert kept.credentials["token"] == Secret(other)
    assert kept.credentials["webhook"] == stored.credentials["webhook"]
    assert kept.credentials["address"] == Secret(PUBLIC)
    # So they do when it comes with a secret of its own, however often that is told.
    for secret in ("1", "2", "2", "3", "2"):
        await connect(api, token=other, webhook=secret * 20)
        [(_, forge)] = await control.hosts()
        assert forge.verified(headers, body)
    for secret, valid in (("1", True), ("2", True), ("3", True), ("4", False)):
        by = {"X-Hub-Signature-256": signature(Secret(secret * 20), body)}
        assert forge.verified(by, body) == valid
    await connect(api, token=other, webhook="4" * 20)
    [(_, forge)] = await control.hosts()
    assert not forge.verified(headers, body), "the oldest is forgotten"


async def test_without_a_way_to_reach_us_the_project_is_added_all_the_same(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository
) -> None:
    await connect(api, token=enterprise.token_of(enterprise.user("ali")))
    added = (await api.post("/projects", json={"repository": "acme/shop"})).json()
    assert added["webhooks"] is False
    assert added["warnings"] == ["This server has no PREVIEWDROP_PUBLIC_URL for webhooks."]


async def test_somebody_who_may_not_make_webhooks_is_told(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository
) -> None:
    await connect(api, token=enterprise.token_of(enterprise.user("ali")), address=PUBLIC)
    added = (await api.post("/projects", json={"repository": "acme/shop"})).json()
    assert added["webhooks"] is False
    [warning] = added["warnings"]
    assert warning.startswith("GitHub refused to list the webhooks of acme/shop")


async def test_a_project_that_has_the_address_already_becomes_it(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository, store: Store
) -> None:
    await store.projects.add("store", shop.url.removesuffix(".git"), {"health": "/x"})
    await connect(api, token=enterprise.token_of(enterprise.user("ali")))
    added = (await api.post("/projects", json={"repository": "acme/shop"})).json()
    assert added["project"]["name"] == "store"
    assert (await store.projects.named("store")).repository == shop.id


async def test_a_repository_that_nobody_sees(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository
) -> None:
    nobody = await api.post("/projects", json={"repository": "acme/shop"})
    assert (nobody.status_code, nobody.json()["detail"]) == (404, "No GitHub is connected.")
    await connect(api, token=enterprise.token_of(enterprise.user("ali")))
    other = await api.post("/projects", json={"repository": "acme/other"})
    assert other.status_code == 404
    assert "acme/other" in other.json()["detail"]


async def test_a_newer_app_takes_projects_over(
    api: httpx2.AsyncClient, browser: Browser, enterprise: GitHub, shop: Repository, store: Store
) -> None:
    enterprise.choice = shop.owner, [shop]
    for address in (None, PUBLIC):
        begun = await connect(api, organization="acme", **({"address": address} if address else {}))
        await browser.submit(await browser.open(begun["url"]))
        newest = (await api.get("/connections")).json()[-1]
        await browser.open(newest["install_url"])
        added = await api.post("/projects", json={"repository": "acme/shop"})
        assert added.status_code == 201, added.text
        assert added.json()["webhooks"] is (address is not None)
        if address is None:
            second = {"repository": "acme/shop", "name": "backend"}
            assert (await api.post("/projects", json=second)).status_code == 201
    linked = await store.forges.projects(newest["id"], shop.id)
    assert sorted(each.name for each in linked) == ["backend", "shop"]


async def test_a_silent_newer_app_gives_no_project_back(
    api: httpx2.AsyncClient, browser: Browser, enterprise: GitHub, shop: Repository, store: Store
) -> None:
    enterprise.choice = shop.owner, [shop]
    for _ in range(2):
        begun = await connect(api, organization="acme")
        await browser.submit(await browser.open(begun["url"]))
        newest = (await api.get("/connections")).json()[-1]
        await browser.open(newest["install_url"])
    await api.post("/projects", json={"repository": "acme/shop"})
    [listed] = (await api.get("/repositories")).json()["repositories"]
    assert (listed["connection"], listed["followed"]) == (newest["id"], True)
    list(enterprise.apps.values())[-1].installations.clear()
    [listed] = (await api.get("/repositories")).json()["repositories"]
    assert listed["connection"] != newest["id"]
    again = await api.post("/projects", json={"repository": "acme/shop"})
    assert again.status_code == 409
    [project] = await store.forges.projects(newest["id"], shop.id)
    assert project.name == "shop"


async def test_where_the_apps_are_installed(
    api: httpx2.AsyncClient, browser: Browser, enterprise: GitHub, shop: Repository, store: Store
) -> None:
    await connect(api, token=enterprise.token_of(enterprise.user("ali")))
    begun = await connect(api, organization="acme")
    await browser.submit(await browser.open(begun["url"]))
    assert (await api.get("/installations")).json() == {"installations": [], "warnings": []}
    [_, app] = (await api.get("/connections")).json()
    await browser.open(app["install_url"])
    credentials = {"key": Secret("no key"), "webhook": Secret("w")}
    await store.forges.add("github", "http://127.0.0.1:9", credentials, slug="broken", app=7)
    told = (await api.get("/installations")).json()
    [installed] = told["installations"]
    assert (installed["connection"], installed["account"]) == (app["id"], "acme")
    assert not installed["suspended"]
    assert installed["url"].startswith(f"{enterprise.web}/")
    [made] = enterprise.apps.values()
    next(iter(made.installations.values())).suspend()
    assert (await api.get("/installations")).json()["installations"][0]["suspended"]


async def test_a_connection_that_does_not_answer_hides_no_other(
    api: httpx2.AsyncClient, enterprise: GitHub, shop: Repository, store: Store
) -> None:
    await connect(api, token=enterprise.token_of(enterprise.user("ali")))
    credentials = {"token": Secret("t"), "webhook": Secret("w")}
    await store.forges.add("github", "http://127.0.0.1:9", credentials, slug="bob")
    told = (await api.get("/repositories")).json()
    assert [each["name"] for each in told["repositories"]] == ["acme/shop"]
    [warning] = told["warnings"]
    assert warning.startswith("bob at http://127.0.0.1:9: GitHub did not answer")


async def test_settings_connect_without_a_step(
    api: httpx2.AsyncClient,
    control: Control,
    enterprise: GitHub,
    shop: Repository,
    store: Store,
    hosts_of: HostsOf,
) -> None:
    settings = control.settings.model_copy(
        update={
            "github_token": SecretStr(enterprise.token_of(enterprise.user("ali"))),
            "github_webhook_secret": SecretStr("made-by-hand"),
        }
    )
    for _ in range(2):
        await connect_by_settings(settings, store.forges)
    [(_, forge)] = await hosts_of(settings).all()
    signed = {"X-Hub-Signature-256": signature(Secret("made-by-hand"), b"{}")}
    assert forge.verified(signed, b"{}")
    assert not forge.verified({"X-Hub-Signature-256": signature(Secret("x"), b"{}")}, b"{}")
    added = await api.post("/projects", json={"repository": "acme/shop"})
    assert added.status_code == 201, added.text


async def test_the_secret_of_the_settings_counts_beside_that_of_an_app(
    api: httpx2.AsyncClient,
    browser: Browser,
    control: Control,
    shop: Repository,
    hosts_of: HostsOf,
) -> None:
    begun = await connect(api, organization="acme")
    await browser.submit(await browser.open(begun["url"]))
    settings = control.settings.model_copy(
        update={"github_webhook_secret": SecretStr("made-by-hand")}
    )
    [(_, forge)] = await hosts_of(settings).all()
    signed = {"X-Hub-Signature-256": signature(Secret("made-by-hand"), b"{}")}
    assert forge.verified(signed, b"{}")


async def test_no_secret_is_shown_or_stored_as_it_is(
    api: httpx2.AsyncClient,
    browser: Browser,
    enterprise: GitHub,
    shop: Repository,
    state: StateDatabase,
) -> None:
    token = enterprise.token_of(enterprise.user("ali"))
    begun = await connect(api, organization="acme")
    page = await browser.submit(await browser.open(begun["url"]))
    answers = [page, await api.post("/connections", json={"token": token})]
    answers.append(await api.get("/connections"))
    [app] = enterprise.apps.values()
    async with state.transaction() as session:
        rows = (await session.execute(text("SELECT forges::text FROM forges"))).scalars().all()
    texts = [each.text for each in answers] + list(rows)
    for secret in (token, app.webhook_secret, app.pem.splitlines()[3], app.client_secret):
        assert [each for each in texts if secret in each] == []


async def test_rules_for_pull_requests_are_settings_of_the_project(
    api: httpx2.AsyncClient, store: Store, resyncs: list[bool]
) -> None:
    await store.projects.add("shop", "/code/shop", {})

    async def change(**settings: object) -> httpx2.Response:
        named = {f"github.{name}": value for name, value in settings.items()}
        return await api.patch("http://here/api/v1/projects/shop", json={"settings": named})

    done = await change(drafts="false", bases="main, release/*")
    assert done.json()["settings"] == {
        "github.drafts": False,
        "github.bases": ["main", "release/*"],
    }
    assert resyncs == [True]
    assert (await change(labels="[]")).status_code == 200
    refused = await change(demand="label")
    assert refused.status_code == 422
    assert "nothing would get a preview" in refused.json()["detail"]
    assert (await change(labels=None, demand="label")).status_code == 200
    misspelt = await change(draft="false")
    assert misspelt.json()["hint"] == "Did you mean github.drafts?"
    assert resyncs == [True] * 3
