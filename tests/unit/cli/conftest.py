"""A preview as the API gives it, and a server that answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from previewdrop.cli import client
from previewdrop.cli.address import Address
from previewdrop.cli.client import Api
from previewdrop.domain.secret import Secret

COMMIT = "a1b2c3d" + "0" * 33
OLDER = "9f8e7d6" + "0" * 33
URL = "https://feature-new-auth.shop.localhost:7443"


@pytest.fixture
def make_stage() -> Callable[..., Any]:
    def make(name: str, state: str = "done", **changes: Any) -> dict[str, Any]:
        return {
            "name": name, "state": state, "seconds": 0.1, "cached": False, "note": None, **changes
        }  # fmt: skip

    return make


@pytest.fixture
def make_deployment() -> Callable[..., Any]:
    def make(**changes: Any) -> dict[str, Any]:
        return {
            "id": 7,
            "commit": COMMIT,
            "title": "Add contact e-mail",
            "generation": 1,
            "state": "ready",
            "error": None,
            "seconds": 2.9,
            "stages": [],
            "notes": [],
            "created_at": "2026-05-20T10:00:00Z",
            "finished_at": "2026-05-20T10:00:03Z",
            **changes,
        }

    return make


@pytest.fixture
def make_preview(make_deployment: Callable[..., Any]) -> Callable[..., Any]:
    def make(**changes: Any) -> dict[str, Any]:
        return {
            "name": "shop/feature-new-auth",
            "project": "shop",
            "number": None,
            "branch": "feature/new-auth",
            "state": "ready",
            "url": URL,
            "docs_url": f"{URL}/docs",
            "health_url": f"{URL}/health",
            "commit": COMMIT,
            "desired_commit": COMMIT,
            "generation": 1,
            "database": {"name": "shop_feature_new_auth", "user": "shop_fna", "schema": None},
            "redis": {"db": 1},
            "deployment": make_deployment(),
            "waiting": None,
            "warnings": [],
            "created_at": "2026-05-20T09:00:00Z",
            "last_request_at": None,
            "expires_at": "2026-06-03T10:00:00Z",
            **changes,
        }

    return make


class Server:
    """Answers from a table of (method, path) and keeps what was asked.

    An answer is a status and a body, or a function of the request. Several answers in a list are
    given one after the other; the last one stays.
    """

    def __init__(self) -> None:
        self.table: dict[tuple[str, str], Any] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def on(self, method: str, path: str, *answers: Any) -> None:
        self.table[method, path] = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else None
        target = request.url.raw_path.decode()
        self.asked.append((request.method, target, body))
        answers = self.table.get((request.method, target))
        if answers is None:
            answers = self.table.get((request.method, target.partition("?")[0]))
        if answers is None:
            problem = {"title": "Not Found", "status": 404, "detail": f"Nothing at {target}."}
            return httpx2.Response(404, json=problem)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        if isinstance(answer, httpx2.Response):
            return answer
        status, document = answer
        return httpx2.Response(status, json=document)


def events(*pairs: tuple[str, Any]) -> httpx2.Response:
    """A stream of these events that then ends."""
    text = ": keep-alive\n\n" + "".join(
        f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in pairs
    )
    return httpx2.Response(
        200, headers={"content-type": "text/event-stream"}, content=text.encode()
    )


@pytest.fixture
def sse() -> Callable[..., httpx2.Response]:
    return events


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server that every command talks to in this test."""
    server = Server()
    address = Address("http://127.0.0.1:7780", Secret("the-token"), local=True)
    transport = httpx2.MockTransport(server)
    monkeypatch.setattr(client, "connect", lambda: Api(lambda: address, transport))
    return server


@pytest.fixture
def api(server: Server) -> Api:
    return client.connect()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("PREVIEWDROP_URL", "PREVIEWDROP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREVIEWDROP_HOME", str(tmp_path / "home"))
