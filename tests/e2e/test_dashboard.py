"""The dashboard in a real browser: signing in, connecting GitHub, adding a project of it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import AsyncGenerator, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from e2e.server import Server, served
from github_standin.github import GitHub
from github_standin.repository import Repository
from github_standin.server import standing_in

OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """A server of its own, with no project and no connection."""
    async with served(tmp_path_factory.mktemp("dashboard") / "home") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=OFFLINE
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Browser, tmp_path: Path) -> AsyncGenerator[BrowserContext]:
    """A browser that nobody has used; it complains of every page that its policy breaks."""
    async with await chromium.new_context(viewport={"width": 1000, "height": 800}) as context:
        complaints: list[str] = []
        context.on("console", lambda said: complaints.append(said.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield context
        assert [each for each in complaints if "Content Security Policy" in each] == []


@pytest.fixture
def github(tmp_path: Path) -> Generator[GitHub]:
    with standing_in(tmp_path / "github", enterprise=True) as github:
        yield github


@pytest.fixture
def shop(github: GitHub) -> Repository:
    github.repository("acme/docs", {"README.md": "docs"})
    return github.repository("acme/shop", "shop", private=True)


async def signed_in(server: Server, browser: BrowserContext) -> Page:
    code, said = await server.run("dashboard", "--json")
    assert code == 0, said
    page = await browser.new_page()
    await page.goto(json.loads(said)["url"])
    await expect(page.get_by_role("navigation")).to_contain_text("GitHub")
    return page


def api(server: Server) -> str:
    return json.loads(server.home.server_file.read_text())["url"]


async def test_whoever_is_not_signed_in_is_told_how(
    server: Server, browser: BrowserContext
) -> None:
    page = await browser.new_page()
    for path in ("/", "/dashboard/guessed/github"):
        answer = await page.goto(f"{api(server)}{path}")
        assert answer is not None
        assert answer.status == 401
        await expect(page.locator("pre").first).to_have_text("previewdrop dashboard")


async def test_what_is_not_there_is_said_in_a_page(server: Server, browser: BrowserContext) -> None:
    page = await signed_in(server, browser)
    answer = await page.goto(page.url + "/nowhere")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading")).to_have_text("Not Found")


async def test_a_ticket_signs_one_browser_in(
    server: Server, browser: BrowserContext, chromium: Browser
) -> None:
    _, said = await server.run("dashboard", "--json")
    url = json.loads(said)["url"]
    page = await browser.new_page()
    await page.goto(url)
    dashboard = page.url
    assert "ticket" not in dashboard
    await page.reload()
    await expect(page.get_by_role("heading", name="Connect GitHub")).to_be_visible()
    async with await chromium.new_context() as another:
        second = await another.new_page()
        answer = await second.goto(url)
        assert answer is not None
        assert answer.status == 404
        answer = await second.goto(dashboard)
        assert answer is not None
        assert answer.status == 401


async def test_github_is_connected_and_a_repository_added(
    server: Server, browser: BrowserContext, github: GitHub, shop: Repository, tmp_path: Path
) -> None:
    github.choice = shop.owner, None
    page = await signed_in(server, browser)
    await page.get_by_label("Organization").fill("acme")
    await page.get_by_label("Address of this server").fill(api(server))
    await page.get_by_text("Enterprise Server").click()
    await page.get_by_label("Address of GitHub").fill(github.web)
    await page.screenshot(path=tmp_path / "connect.png", full_page=True)
    await page.get_by_role("button", name="Connect").click()
    await expect(page.get_by_role("heading")).to_contain_text("is registered")
    await page.screenshot(path=tmp_path / "registered.png", full_page=True)
    dashboard = await page.get_by_role("link", name="add projects").get_attribute("href")
    before = await browser.new_page()
    await before.goto(f"{api(server)}{dashboard}")
    await expect(before.get_by_text("It is installed nowhere yet.")).to_be_visible()
    async with browser.expect_page() as opened:
        await page.get_by_role("link", name="Choose repositories").click()
    chosen = await opened.value
    await expect(chosen.get_by_role("heading")).to_have_text("The App is installed")
    await page.get_by_role("link", name="add projects").click()
    await expect(page.get_by_text("hears webhooks")).to_be_visible()
    await expect(page.get_by_text("installed nowhere")).to_have_count(0)
    await expect(page.get_by_role("listitem")).to_contain_text("acme")
    await page.screenshot(path=tmp_path / "repositories.png", full_page=True)
    await page.get_by_role("button", name="Add acme/shop").click()
    await expect(page.get_by_role("status")).to_contain_text("acme/shop is the project shop.")
    await page.screenshot(path=tmp_path / "added.png", full_page=True)
    [project] = await server.get("/projects")
    assert (project["name"], project["source"]) == ("shop", shop.url)
    await expect(page.get_by_role("button", name="Add acme/docs")).to_be_visible()
    await page.reload()
    assert len(await server.get("/projects")) == 1
    await page.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("status")).to_contain_text("is disconnected")
    assert await server.get("/github/connections") == []
    await server.ask("DELETE", "/projects/shop")


async def test_what_is_wrong_is_said_on_the_page(
    server: Server, browser: BrowserContext, tmp_path: Path
) -> None:
    page = await signed_in(server, browser)
    await page.get_by_label("Organization").fill("<b>acme</b>")
    await page.get_by_role("button", name="Connect").click()
    await expect(page.get_by_role("status")).to_contain_text("letters, digits and hyphens")
    await page.screenshot(path=tmp_path / "wrong.png", full_page=True)


class Neighbour(ThreadingHTTPServer):
    """A preview's app on another port of this host, with a page that has a form for ours."""

    target = ""

    def __init__(self) -> None:
        self.cookies: list[str] = []
        super().__init__(("127.0.0.1", 0), _Neighbour)


class _Neighbour(BaseHTTPRequestHandler):
    server: Neighbour

    def do_GET(self) -> None:
        self.server.cookies += self.headers.get_all("Cookie", [])
        form = f'<form method="post" action="{self.server.target}"><button>Go</button></form>'
        content = f"<!doctype html><title>evil</title>{form}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def neighbour() -> Generator[Neighbour]:
    with Neighbour() as neighbour:
        threading.Thread(target=neighbour.serve_forever, daemon=True).start()
        yield neighbour
        neighbour.shutdown()


async def test_an_app_on_another_port_gets_no_session_and_can_use_none(
    server: Server, browser: BrowserContext, neighbour: Neighbour
) -> None:
    """Though to a browser it is the same site, which gets the same cookies."""
    dashboard = await signed_in(server, browser)
    await dashboard.goto(dashboard.url)
    neighbour.target = f"{dashboard.url}/connect"
    page = await browser.new_page()
    for path in ("/", "/dashboard/", "/github", "/sign-in"):
        await page.goto(f"http://127.0.0.1:{neighbour.server_port}{path}")
        await page.reload()
    assert neighbour.cookies == []
    await page.get_by_role("button", name="Go").click()
    await expect(page.get_by_role("heading")).to_have_text("This came from another site")
    assert await server.get("/github/connections") == []
