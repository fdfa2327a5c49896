"""The client's errors, its headers, and where it finds the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from previewdrop.cli import client
from previewdrop.cli.address import Address, find_address, home
from previewdrop.cli.client import Api, preview_path, project_path
from previewdrop.cli.errors import NoServer
from previewdrop.domain.errors import (
    BadInput,
    Conflict,
    NotFound,
    PreviewDropError,
    ServerError,
    Unavailable,
)
from previewdrop.domain.secret import Secret


def record(folder: Path) -> None:
    folder.mkdir(parents=True)
    server = {"url": "http://127.0.0.1:7780", "pid": 1, "edge_port": 7443}
    (folder / "server.json").write_text(json.dumps(server))
    (folder / "token").write_text("secret\n")


def test_the_data_folder_says_where_the_server_is(tmp_path: Path) -> None:
    record(tmp_path / "home")
    address = find_address(home())
    assert address == Address("http://127.0.0.1:7780", Secret("secret"), local=True)
    assert "secret" not in repr(address)


def test_no_record_is_no_server(tmp_path: Path) -> None:
    assert find_address(home()) is None
    record(tmp_path / "home")
    (tmp_path / "home" / "server.json").write_text("{half")
    assert find_address(home()) is None


def test_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "home")
    monkeypatch.setenv("PREVIEWDROP_URL", "https://previews.example.com/")
    assert find_address(home()) == Address("https://previews.example.com", None, local=False)
    monkeypatch.setenv("PREVIEWDROP_TOKEN", "theirs")
    assert find_address(home()) == Address(
        "https://previews.example.com", Secret("theirs"), local=False
    )


def test_this_machines_token_is_sent_to_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "home")
    monkeypatch.setenv("PREVIEWDROP_URL", "http://localhost:9000")
    address = find_address(home())
    assert address is not None
    assert address.token == Secret("secret")


def test_a_url_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREVIEWDROP_URL", "previews.example.com")
    with pytest.raises(BadInput, match="PREVIEWDROP_URL"):
        find_address(home())


def asked(answer: Any) -> Any:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    address = Address("http://127.0.0.1:7780", Secret("secret"), local=True)
    return Api(lambda: address, httpx2.MockTransport(handler)).get("/api/v1/server", x="1", y=None)


def test_sends_token_and_query() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    asked(handler)
    assert str(seen[0].url) == "http://127.0.0.1:7780/api/v1/server?x=1"
    assert seen[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInput), (401, BadInput), (404, NotFound), (409, Conflict), (422, BadInput),
        (500, ServerError), (503, Unavailable),
    ],
)  # fmt: skip
def test_a_problem_becomes_an_error(status: int, kind: type[PreviewDropError]) -> None:
    problem = {"title": "t", "status": status, "detail": "It is so.", "hint": "Do this."}
    with pytest.raises(kind) as caught:
        asked(httpx2.Response(status, json=problem))
    assert type(caught.value) is kind
    if status == 401:
        assert "does not accept the token" in caught.value.message
    else:
        assert (caught.value.message, caught.value.hint) == ("It is so.", "Do this.")


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx2.Response(502, text="<html>"), Unavailable, "The server answered 502 Bad Gateway."),
        (httpx2.Response(422, json={"detail": [{"loc": ["body"]}]}), BadInput, "answered 422"),
        (httpx2.Response(200, text="<html>"), ServerError, "not JSON"),
        (httpx2.ConnectError("refused"), NoServer, "No PreviewDrop server is running for"),
        (httpx2.ReadTimeout("slow"), Unavailable, "did not answer in time"),
        (httpx2.RemoteProtocolError("cut"), Unavailable, "connection to the server broke"),
    ],
)
def test_everything_else_becomes_an_error_too(
    answer: Any, kind: type[PreviewDropError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        asked(answer)
    assert type(caught.value) is kind


def test_no_server_at_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREVIEWDROP_URL", "https://previews.example.com")
    assert "https://previews.example.com" in str(client.no_server())


def test_names_cannot_leave_their_place_in_a_path() -> None:
    assert preview_path("shop/pr-42", "logs") == "/api/v1/previews/shop/pr-42/logs"
    assert project_path("../../x?y", "variables") == "/api/v1/projects/..%2F..%2Fx%3Fy/variables"


def test_events_are_parsed_across_chunks() -> None:
    def chunks() -> Any:
        yield b": hello\n\nevent: pre"
        yield b'view\ndata: {"a":\ndata: 1}\n\n'
        yield b"event: end\n\n"

    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["accept"] == "text/event-stream"
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())

    address = Address("http://127.0.0.1:7780", None, local=True)
    api = Api(lambda: address, httpx2.MockTransport(handler))
    with api.events("/api/v1/events") as events:
        assert [(event.kind, event.data) for event in events] == [
            ("preview", {"a": 1}),
            ("end", None),
        ]


def test_a_stream_may_be_refused() -> None:
    address = Address("http://127.0.0.1:7780", None, local=True)
    refuse = httpx2.MockTransport(lambda _: httpx2.Response(404, json={"detail": "Gone."}))
    with pytest.raises(NotFound, match="Gone"), Api(lambda: address, refuse).events("/x"):
        pass
