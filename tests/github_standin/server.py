"""The stand-in on real sockets: one for the web and Git, one for the API."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from github_standin import browser, git_http, rest
from github_standin.calls import Answer, Refusal
from github_standin.github import GitHub
from github_standin.moods import Mood
from github_standin.traffic import Seen

_HOST = "127.0.0.1"
_PREFIX = "/api/v3"


@contextmanager
def standing_in(folder: Path, *, enterprise: bool = False) -> Generator[GitHub]:
    """A GitHub for the block. AssertionError at its end if anybody strayed from the real API."""
    listening = [_socket(), _socket()]
    web, api = (f"http://{_HOST}:{each.getsockname()[1]}" for each in listening)
    github = GitHub(folder, web, f"{web}{_PREFIX}" if enterprise else api, enterprise=enterprise)
    github.server = server = Server(github, listening)
    server.plug_in()
    try:
        yield github
    except BaseException as error:
        for each in github.violations:
            error.add_note(each)
        raise
    finally:
        github.moods.clear()
        github.webhooks.close()
        server.unplug()
        server.close()
    assert not github.violations, "\n".join(github.violations)


class Server:
    """Serves while it is plugged in; its ports stay its own until it is closed."""

    def __init__(self, github: GitHub, sockets: list[socket.socket]) -> None:
        self._github = github
        self._sockets = sockets
        self._web_port = sockets[0].getsockname()[1]
        self._threads = ThreadPoolExecutor(64, "github")
        self._running: tuple[uvicorn.Server, threading.Thread] | None = None

    def plug_in(self) -> None:
        """Connections are taken from now on."""
        for each in self._sockets:
            each.listen(512)
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        server = uvicorn.Server(config)
        taken = [each.dup() for each in self._sockets]
        thread = threading.Thread(target=server.run, args=(taken,), name="github", daemon=True)
        thread.start()
        self._running = server, thread

    def unplug(self) -> None:
        """Connections are refused from now on."""
        if self._running is None:
            return
        server, thread = self._running
        server.should_exit = True
        server.force_exit = True
        thread.join()
        self._running = None
        ports = [each.getsockname()[1] for each in self._sockets]
        for each in self._sockets:
            each.close()
        self._sockets = [_socket(port) for port in ports]

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self._threads.shutdown()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        raw = scope["raw_path"].decode().partition("?")[0]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        method = scope["method"]
        try:
            if self._github.enterprise and raw.startswith(f"{_PREFIX}/"):
                raw = raw.removeprefix(_PREFIX)
                answer = await self._rest(method, raw, query, headers, body)
            elif scope["server"][1] != self._web_port:
                answer = await self._rest(method, raw, query, headers, body)
            else:
                answer = await self._web(method, scope["path"], query, headers, body)
        except Refusal as refusal:
            answer = refusal.answer
        except Exception as error:  # noqa: BLE001 - it fails the test
            self._github.violations.append(f"{method} {raw}: {error!r}")
            answer = Answer(500, {"message": repr(error)})
        date = format_datetime(self._github.clock.now(), usegmt=True)
        await _send(send, answer, date)

    async def _rest(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        asked = dict(parse_qsl(query, keep_blank_values=True))
        request = rest.Request(method, path, asked, headers, body)
        one = rest.routed(self._github, request)
        if isinstance(one, Answer):
            return one
        await self._endure(one.moods)
        return await self._in_thread(rest.answered, self._github, one)

    async def _web(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        github = self._github
        operation = git_http.operation(path)
        if operation is None:
            asked = dict(parse_qsl(query, keep_blank_values=True))
            with github.lock:
                answer = browser.visited(github, method, path, asked, body)
            return answer or Answer(404, "Not Found", {"Content-Type": "text/plain"})
        moods = github.moods.take(operation)
        await self._endure(moods)
        instead = next((each.answer for each in moods if each.answer is not None), None)
        request = git_http.GitRequest(method, path, query, headers, body)
        if instead is not None:
            answer = instead()
        else:
            with github.lock:
                allowed = git_http.allowed(github, request)
            answer = allowed
            if not isinstance(allowed, Answer):
                answer = await git_http.served(github, allowed, request)
        assert isinstance(answer, Answer)
        github.traffic.append(Seen(operation, method, path, query, answer.status))
        return answer

    async def _endure(self, moods: list[Mood]) -> None:
        for mood in moods:
            if mood.seconds:
                await asyncio.sleep(mood.seconds)
            if mood.gate is not None:
                await self._in_thread(mood.gate.pass_through)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)


def _socket(port: int = 0) -> socket.socket:
    """Bound but not listening: connections are refused."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((_HOST, port))
    return made


async def _send(send: Any, answer: Answer, date: str) -> None:
    headers = {"Date": date, "Content-Type": "application/json; charset=utf-8", **answer.headers}
    match answer.body:
        case None:
            content = b""
        case bytes():
            content = answer.body
        case str():
            content = answer.body.encode()
        case _:
            content = json.dumps(answer.body).encode()
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(content)).encode()))
    if answer.status in (204, 304):
        pairs = [pair for pair in pairs if pair[0] not in (b"content-length", b"content-type")]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
