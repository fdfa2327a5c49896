"""The mission: a pull request is opened, pushed to, asked about and merged, on GitHub's API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
import pytest_asyncio

from e2e.containers import admin_url, containers_of, docker_served
from e2e.data import cache_at, rows
from e2e.form import Form
from e2e.server import Server, served
from github_standin.github import GitHub
from github_standin.pull import Pull
from github_standin.repository import Repository
from github_standin.server import standing_in

NUMBER = 42
MARK = "<!-- previewdrop:shop/pr-42 -->"
TOKENS = "ghs_"
"""How tokens of installations begin, the stand-in's as well as GitHub's."""

MIGRATION = "alembic/versions/0004_nickname.py"
NICKNAME = """
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("users", sa.Column("nickname", sa.Text))
"""

RUNTIMES = ("process", "docker")
DATA = {"process": ("postgres", "valkey"), "docker": ("db", "cache")}


@pytest_asyncio.fixture(params=RUNTIMES)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Server]:
    """A server of its own: everything that it ever wrote is looked through afterwards."""
    serve = served if request.param == "process" else docker_served
    async with serve(tmp_path / "home") as server:
        yield server


@pytest.fixture
def github(tmp_path: Path) -> Generator[GitHub]:
    with standing_in(tmp_path / "github", enterprise=True) as github:
        yield github


@pytest.fixture
def shop(github: GitHub) -> Repository:
    """The example as a private repository, where `ali` works."""
    shop = github.repository("acme/shop", "shop", private=True)
    shop.grant(github.user("ali"))
    return shop


async def connect(server: Server, github: GitHub, shop: Repository) -> None:
    """As people do: an App is made and installed in the browser, then the repository is chosen."""
    address = json.loads(server.home.server_file.read_text())["url"]
    begun = await server.post(
        "/github/connections", {"url": github.web, "organization": "acme", "address": address}
    )
    github.choice = shop.owner, [shop]
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as browser:
        form = Form((await browser.get(begun["url"])).text)
        back = await browser.post(form.action, data=form.fields)
        made = await browser.get(back.headers["location"])
        assert made.status_code == 200, made.text
        [connection] = await server.get("/github/connections")
        installed = await browser.get(connection["install_url"])
        assert installed.status_code in (200, 302, 303), installed.text
    added = await server.post("/github/projects", {"repository": "acme/shop"})
    assert (added["project"]["name"], added["webhooks"], added["warnings"]) == ("shop", True, [])


async def until(
    holds: Callable[[], bool], what: Callable[[], object], timeout: float = 120
) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not holds():  # noqa: ASYNC110 - the stand-in works in threads
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(what()) from None


def report(pull: Pull) -> str:
    """What our one comment says."""
    ours = [each.body for each in pull.comments if each.body.startswith(MARK)]
    assert len(ours) < 2, ours
    return ours[0] if ours else ""


async def says(pull: Pull, *words: str) -> str:
    await until(lambda: all(word in report(pull) for word in words), lambda: report(pull))
    return report(pull)


@contextmanager
def watched_argv(needle: str) -> Generator[list[str]]:
    """Command lines of this machine that ever had this in them, during the block."""
    found: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        seen: set[str] = set()
        while not ended.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line = (folder / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if needle in line and line not in seen:
                    seen.add(line)
                    found.append(line.replace("\0", " "))
            time.sleep(0.01)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def written(server: Server, needle: str) -> list[str]:
    """Files of the data folder, and of the server's output, that have this in them."""
    places = (str(server.home.path), str(server.output))
    grep = ("grep", "-r", "-l", "-a", "-F", "-s", "--devices=skip", "-e", needle, *places)
    return subprocess.run(grep, capture_output=True, text=True, check=False).stdout.splitlines()


async def left(server: Server, runtime: str) -> list[str]:
    """What there still is of the preview: processes, containers, data, routes."""
    database, cache = DATA[runtime]
    url_of = server.admin_url if runtime == "process" else lambda one: admin_url(server, one)
    query = "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles"
    async with await psycopg.AsyncConnection.connect(url_of(database)) as admin:
        names = [str(name) for (name,) in await rows(admin, query)]
    async with cache_at(url_of(cache)) as client:
        names += [user.decode() for user in await client.execute_command("ACL", "USERS")]
        names += [f"redis {name}" for name in await client.info("keyspace")]
    names += server.routes()
    found = [name for name in names if "shop_pr_42" in name or "pr-42" in name or "redis" in name]
    if runtime == "process":
        return found + list(server.processes().values())
    mine = await containers_of(server.home.installation, preview="shop/pr-42")
    return found + [str(one["Name"]) for one in mine]


async def test_the_mission(
    server: Server, github: GitHub, shop: Repository, request: pytest.FixtureRequest
) -> None:
    runtime = request.node.callspec.params["server"]
    with watched_argv(TOKENS) as argv:
        await connect(server, github, shop)
        pull = shop.open_pull(
            "feature/new-auth",
            {"app/added.py": "ADDED = 1\n"},
            title="Add contact e-mail",
            number=NUMBER,
            by=github.user("ali"),
        )
        preview = await server.until("shop/pr-42", lambda now: now["state"] == "ready")
        url = preview["url"]
        text = await says(
            pull,
            f"🚀 Preview deployed: {url}",
            f"📚 API docs: {url}/docs",
            f"🔍 Health check: {url}/health",
            pull.head[:7],
            "Add contact e-mail",
            "`shop_pr_42`, new, 3 migrations applied",
        )
        assert preview["commit"] == pull.head
        await status_of(shop, pull.head, "success", url)
        [deployment] = shop.deployments.values()
        assert (deployment.state, deployment.environment) == ("success", "shop/pr-42")
        docs = await server.visit(preview, "/docs")
        assert docs.status_code == 200
        assert "swagger-ui" in docs.text
        health = await server.read(preview, "/health")
        assert health == {"status": "ok", "database": "connected", "cache": "connected"}

        pushed = pull.push({MIGRATION: NICKNAME}, "Give users a nickname")
        preview = await server.until("shop/pr-42", lambda now: now["commit"] == pushed)
        assert preview["url"] == url
        again = await says(
            pull,
            f"🚀 Preview deployed: {url}",
            pushed[:7],
            "`shop_pr_42`, kept from the last push, 1 migration applied",
        )
        assert again != text
        await status_of(shop, pushed, "success", url)
        assert (await server.visit(preview, "/docs")).status_code == 200

        asked = pull.comment("/preview logs", by=github.user("ali"))
        await until(
            lambda: any(f"answer shop {asked.id} " in each.body for each in pull.comments),
            lambda: [each.body for each in pull.comments],
        )
        answer = next(
            each.body for each in pull.comments if f"answer shop {asked.id} " in each.body
        )
        assert "post-deploy | " in answer
        assert "web | " in answer

        held = await left(server, runtime)
        assert len(held) >= 4, held
        pull.merge()
        await server.gone("shop/pr-42")
        await says(pull, "🧹 Preview removed", "was merged")
        await until(
            lambda: {each.state for each in shop.deployments.values()} == {"inactive"},
            lambda: [each.state for each in shop.deployments.values()],
        )
    assert await left(server, runtime) == []
    # GitHub pings an App before anybody has got its secret.
    refused = [each.kind for each in github.webhooks.log if each.statuses != [202]]
    assert refused in ([], ["ping"])
    assert argv == []
    [app] = github.apps.values()
    for secret in (TOKENS, app.webhook_secret, app.client_secret, app.pem.splitlines()[5]):
        assert written(server, secret) == []


async def status_of(shop: Repository, commit: str, state: str, url: str) -> None:
    """Returns when this is the newest status of a commit."""

    def newest() -> object:
        of = [each for each in shop.statuses if each.sha == commit]
        return (of[-1].state, of[-1].target_url) if of else None

    await until(lambda: newest() == (state, url), newest)
