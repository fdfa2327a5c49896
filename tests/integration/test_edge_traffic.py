"""Real requests through Caddy: HTTPS, switching, streams, WebSockets, pages for what is missing."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
import pytest_asyncio

from previewdrop.config.home import Home
from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.spec import Route
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.pipeline.outside import Outside
from previewdrop.services.caddy import CaddyService
from previewdrop.services.ports import free_port

HOST = "pr-1.shop.localhost"
Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["folder", "admin API"])
def table(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture
async def edge(caddy_service: CaddyService, table: str) -> AsyncGenerator[CaddyEdge]:
    folder = caddy_service.routes if table == "folder" else None
    driver = CaddyEdge(
        caddy_service.admin, "traffic", caddy_service.https, caddy_service.access_log, folder
    )
    yield driver
    await driver.sweep([])
    await driver.aclose()


@pytest_asyncio.fixture
async def browser(caddy_service: CaddyService, services_home: Home) -> AsyncGenerator[Browser]:
    context = ssl.create_default_context(cafile=str(services_home.ca_file))
    async with httpx2.AsyncClient(verify=context, http2=False, trust_env=False) as client:
        yield Browser(client, caddy_service.port)


class Browser:
    """Asks for a host on loopback, with the certificate checked against our root."""

    def __init__(self, client: httpx2.AsyncClient, port: int) -> None:
        self._client = client
        self._url = f"https://127.0.0.1:{port}"

    async def get(
        self,
        path: str = "/",
        host: str = HOST,
        headers: dict[str, str] | None = None,
        **more: object,
    ) -> httpx2.Response:
        return await self._client.request(
            str(more.pop("method", "GET")),
            self._url + path,
            headers={"Host": host, **(headers or {})},
            extensions={"sni_hostname": host},
            **more,
        )

    def stream(self, path: str):
        return self._client.stream(
            "GET", self._url + path, headers={"Host": HOST}, extensions={"sni_hostname": HOST}
        )


@asynccontextmanager
async def upstream(answer: Answer) -> AsyncGenerator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def says(body: bytes) -> Answer:
    async def answer(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    return answer


async def echo(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await says(head)(head, reader, writer)


async def test_the_first_request_finds_a_certificate(edge: CaddyEdge, browser: Browser):
    async with upstream(says(b"hello")) as address:
        await edge.ensure(Route("pr-1.fresh.localhost", address))
        answer = await browser.get(host="pr-1.fresh.localhost")
    assert (answer.status_code, answer.text) == (200, "hello")


async def test_the_application_learns_who_asked_and_how(edge: CaddyEdge, browser: Browser):
    async with upstream(echo) as address:
        await edge.ensure(Route(HOST, address))
        head = (await browser.get("/who?x=1")).text.lower()
    assert "x-forwarded-proto: https" in head
    assert "x-forwarded-for: 127.0.0.1" in head
    assert f"x-forwarded-host: {HOST}" in head
    assert head.startswith("get /who?x=1 ")


async def test_a_client_cannot_forge_where_it_comes_from(edge: CaddyEdge, browser: Browser):
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}
    async with upstream(echo) as address:
        await edge.ensure(Route(HOST, address))
        answer = await browser.get(headers=forged)
    assert "6.6.6.6" not in answer.text
    assert "x-forwarded-proto: https" in answer.text.lower()


async def test_a_socket_is_reached(edge: CaddyEdge, browser: Browser, tmp_path):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(b"by socket")(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        writer.close()

    async with await asyncio.start_unix_server(handle, tmp_path / "app"):
        await edge.ensure(Route(HOST, f"unix/{tmp_path}/app"))
        assert (await browser.get()).text == "by socket"


async def test_an_unknown_host_gets_a_page(edge: CaddyEdge, browser: Browser):
    await edge.ensure(Route(HOST, "127.0.0.1:1"))
    answer = await browser.get(host="pr-404.shop.localhost")
    assert answer.status_code == 404
    assert "No preview here" in answer.text
    assert "pr-404.shop.localhost" in answer.text


async def test_an_upstream_that_is_down_gets_a_page(edge: CaddyEdge, browser: Browser):
    await edge.ensure(Route(HOST, f"127.0.0.1:{free_port()}"))
    answer = await browser.get()
    assert answer.status_code == 502
    assert "does not answer" in answer.text
    assert answer.headers["retry-after"] == "3"


async def test_what_the_application_answers_is_not_replaced(edge: CaddyEdge, browser: Browser):
    async def fails(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\nours")
        await writer.drain()

    async with upstream(fails) as address:
        await edge.ensure(Route(HOST, address))
        answer = await browser.get()
    assert (answer.status_code, answer.text) == (503, "ours")


async def test_http_redirects_to_https(caddy_service: CaddyService):
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(
            f"http://127.0.0.1:{caddy_service.http_port}/docs?x=1", headers={"Host": HOST}
        )
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{HOST}:{caddy_service.port}/docs?x=1"


@pytest.mark.parametrize("table", ["folder"], indirect=True)
async def test_a_switch_drops_no_request(edge: CaddyEdge, browser: Browser):
    """Four clients ask all the time while the route goes to and fro."""
    answers: list[str] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            answer = await browser.get()
            assert answer.status_code == 200
            answers.append(answer.text)

    async with upstream(says(b"old")) as old, upstream(says(b"new")) as new:
        await edge.ensure(Route(HOST, old))
        clients = [asyncio.create_task(ask()) for _ in range(4)]
        for address in (new, old) * 5:
            before = len(answers)
            while len(answers) < before + 20:
                assert not any(client.done() for client in clients)
                await asyncio.sleep(0)
            await edge.ensure(Route(HOST, address))
        await edge.ensure(Route(HOST, new))
        over.set()
        await asyncio.gather(*clients)
        assert (await browser.get()).text == "new"
    assert {"old", "new"} == set(answers)


async def test_a_request_under_way_ends_at_the_old_one(edge: CaddyEdge, browser: Browser):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go_on.wait()
        await says(b"old, at last")(head, reader, writer)

    async with upstream(slow) as old, upstream(says(b"new")) as new:
        await edge.ensure(Route(HOST, old))
        under_way = asyncio.create_task(browser.get())
        await arrived.wait()
        await edge.ensure(Route(HOST, new))
        assert (await browser.get()).text == "new"
        go_on.set()
        assert (await under_way).text == "old, at last"


async def test_events_stream_as_they_come(edge: CaddyEdge, browser: Browser):
    """The second event is sent only after the first was read, and a switch comes in between."""
    go_on = asyncio.Event()

    async def stream(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        writer.close()

    async with upstream(stream) as address, upstream(says(b"new")) as new:
        await edge.ensure(Route(HOST, address))
        async with browser.stream("/events") as answer:
            chunks = answer.aiter_text()
            assert await anext(chunks) == "data: 1\n\n"
            await edge.ensure(Route(HOST, new))
            go_on.set()
            assert await anext(chunks) == "data: 2\n\n"


async def test_a_websocket_outlives_a_change_of_other_routes(
    edge: CaddyEdge, caddy_service: CaddyService, services_home: Home
):
    async def websocket(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\n"
        )
        while data := await reader.read(1024):
            writer.write(data)

    async with upstream(websocket) as address:
        await edge.ensure(Route(HOST, address))
        context = ssl.create_default_context(cafile=str(services_home.ca_file))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", caddy_service.port, ssl=context, server_hostname=HOST
        )
        key = base64.b64encode(b"0123456789abcdef").decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        await edge.ensure(Route("pr-2.shop.localhost", address))
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()


async def test_a_large_upload_arrives(edge: CaddyEdge, browser: Browser):
    size = 8 * 1024 * 1024

    async def swallow(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = await reader.readexactly(size)
        await says(b"%d" % len(body))(head, reader, writer)

    async with upstream(swallow) as address:
        await edge.ensure(Route(HOST, address))
        assert (await browser.get(method="POST", content=b"x" * size)).text == str(size)


async def test_enormous_headers_are_refused(edge: CaddyEdge, browser: Browser):
    async with upstream(echo) as address:
        await edge.ensure(Route(HOST, address))
        answer = await browser.get("/", headers={"X-Long": "x" * 200_000})
    assert answer.status_code == 431


async def test_the_last_request_is_known(edge: CaddyEdge, browser: Browser):
    async with upstream(says(b"hello")) as address:
        await edge.ensure(Route("pr-7.shop.localhost", address))
        answer = await browser.get("/?token=secret", host="pr-7.shop.localhost")
        assert answer.status_code == 200
    async with asyncio.timeout(5):
        while "pr-7.shop.localhost" not in (times := await edge.last_requests()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert times["pr-7.shop.localhost"] > 1_700_000_000


async def test_pages_of_the_edge_itself_are_no_answer(edge: CaddyEdge, caddy_service: CaddyService):
    host, port = caddy_service.https
    outside, name = Outside(host, port), "pr-11.shop.localhost"
    assert not await outside.answers(f"https://{name}:{port}/health")
    async with upstream(says(b"hello")) as address:
        await edge.ensure(Route(name, address))
        assert await outside.answers(f"https://{name}:{port}/health")
    await edge.ensure(Route(name, "127.0.0.1:9"))
    assert not await outside.answers(f"https://{name}:{port}/health")


async def test_our_own_look_is_no_request(edge: CaddyEdge, caddy_service: CaddyService):
    ours, theirs = "pr-9.shop.localhost", "pr-10.shop.localhost"
    host, port = caddy_service.https
    async with upstream(says(b"hello")) as address, asyncio.timeout(10):
        for each in (ours, theirs):
            await edge.ensure(Route(each, address))
        assert await Outside(host, port).answers(f"https://{ours}:{port}/health")
        async with httpx2.AsyncClient(verify=False, trust_env=False) as client:
            await client.get(
                f"https://{host}:{port}/",
                headers={"Host": theirs},
                extensions={"sni_hostname": theirs},
            )
        while theirs not in (times := await edge.last_requests()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert ours not in times


async def test_no_query_is_logged(edge: CaddyEdge, browser: Browser, caddy_service: CaddyService):
    await browser.get("/logged?token=secret", host="pr-8.shop.localhost")
    async with asyncio.timeout(5):
        while "/logged" not in (text := caddy_service.access_log.read_text()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "secret" not in text


async def test_no_caddy_is_unavailable(tmp_path):
    edge = CaddyEdge(f"unix/{tmp_path}/nobody.sock", "traffic", ("127.0.0.1", 1))
    with pytest.raises(Unavailable):
        await edge.observe(HOST)
    await edge.aclose()


@pytest.mark.parametrize("upstream", ["nowhere", "127.0.0.1", "{env.HOME}:80", "unix//{host}", ""])
async def test_an_upstream_that_is_no_address_is_refused(edge: CaddyEdge, upstream: str):
    with pytest.raises(StageFailed, match="no address"):
        await edge.ensure(Route(HOST, upstream))
    assert await edge.observe(HOST) is None
