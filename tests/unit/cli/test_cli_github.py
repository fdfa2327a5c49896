"""`github …` against an API that answers from a table."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from previewdrop.cli import github_connect, run

APP = {
    "id": 1, "kind": "app", "url": "https://github.com", "slug": "previewdrop-acme-3f9a",
    "app": 1234, "webhooks": True,
    "install_url": "https://github.com/apps/previewdrop-acme-3f9a/installations/new",
}  # fmt: skip
TOKEN = {**APP, "id": 2, "kind": "token", "slug": "ali", "app": None, "install_url": None}
PAGE = "http://127.0.0.1:7780/github/new?state=s"
WAITING = {"id": "a1", "url": PAGE, "state": "waiting", "error": None, "connection": None}
PROJECT = {
    "name": "shop", "source": "https://github.com/acme/shop.git", "settings": {}, "previews": 0,
    "created_at": "2026-05-20T09:00:00Z",
}  # fmt: skip
ADDED = {
    "project": PROJECT, "repository": "acme/shop", "moved": [], "webhooks": True, "warnings": [],
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github_connect, "_PAUSE", 0)


def test_connecting_shows_the_page_waits_and_says_what_comes_next(server: Any, capsys: Any):
    server.on("POST", "/api/v1/github/connections", (201, WAITING))
    done = {**WAITING, "url": None, "state": "connected", "connection": APP}
    server.on("GET", "/api/v1/github/attempts/a1", (200, WAITING), (200, done))
    assert run(["github", "connect", "-o", "acme", "--address", "https://p.acme.com"]) == 0
    asked = {"organization": "acme", "address": "https://p.acme.com"}
    assert server.asked[0] == ("POST", "/api/v1/github/connections", asked)
    assert capsys.readouterr().out == (
        "Open this page in a browser:\n"
        f"  {PAGE}\n"
        "Waiting for GitHub to register the App.\n"
        "✓ https://github.com is connected as the App previewdrop-acme-3f9a.\n"
        "\n"
        "Choose the repositories that it may see:\n"
        "  https://github.com/apps/previewdrop-acme-3f9a/installations/new\n"
        "Then add those whose pull requests get previews:\n"
        "  previewdrop github add OWNER/NAME\n"
    )


def test_as_json_the_connection_alone_is_printed(server: Any, capsys: Any):
    server.on("POST", "/api/v1/github/connections", (201, WAITING))
    done = {**WAITING, "state": "connected", "connection": APP}
    server.on("GET", "/api/v1/github/attempts/a1", (200, done))
    assert run(["github", "connect", "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == APP
    assert PAGE in output.err


def test_a_refusal_in_the_browser_ends_the_waiting(server: Any, capsys: Any):
    server.on("POST", "/api/v1/github/connections", (201, WAITING))
    failed = {**WAITING, "state": "failed", "error": "GitHub refused to register it."}
    server.on("GET", "/api/v1/github/attempts/a1", (200, failed))
    assert run(["github", "connect"]) == 1
    assert capsys.readouterr().err == "Error: GitHub refused to register it.\n"


def test_a_token_comes_from_standard_input(
    server: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    silent = {**TOKEN, "webhooks": False}
    made = {"id": None, "url": None, "state": "connected", "error": None, "connection": silent}
    server.on("POST", "/api/v1/github/connections", (201, made))
    monkeypatch.setattr("sys.stdin", io.StringIO("ghp_s3cret\n"))
    assert run(["github", "connect", "--token", "-"]) == 0
    assert server.asked == [("POST", "/api/v1/github/connections", {"token": "ghp_s3cret"})]
    output = capsys.readouterr()
    assert "connected with the token of ali" in output.out
    assert "connect with --address" in output.out
    assert "ghp_s3cret" not in output.out + output.err


def test_a_token_on_the_command_line_is_refused_and_not_repeated(server: Any, capsys: Any):
    assert run(["github", "connect", "--token", "ghp_s3cret"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: A token does not belong on the command line.")
    assert "ghp_s3cret" not in error
    assert server.asked == []


def test_no_token(server: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run(["github", "connect", "--token", "-"]) == 1
    assert server.asked == []


def test_the_list(server: Any, capsys: Any):
    server.on("GET", "/api/v1/github/connections", (200, [APP, {**TOKEN, "webhooks": False}]))
    assert run(["github", "list"]) == 0
    assert capsys.readouterr().out == (
        "ID  KIND   NAME                   GITHUB              HEARS BY\n"
        "1   app    previewdrop-acme-3f9a  https://github.com  webhooks\n"
        "2   token  ali                    https://github.com  looking every 5 minutes\n"
    )
    assert run(["github", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_the_only_connection_needs_no_id(server: Any, capsys: Any):
    server.on("GET", "/api/v1/github/connections", (200, [APP]), (200, [APP, TOKEN]), (200, []))
    server.on("DELETE", "/api/v1/github/connections/1", (200, APP))
    assert run(["github", "disconnect"]) == 0
    assert capsys.readouterr().out == (
        "Disconnected previewdrop-acme-3f9a at https://github.com.\n"
    )
    assert run(["github", "disconnect"]) == 2
    assert run(["github", "disconnect"]) == 1


def test_repositories(server: Any, capsys: Any):
    shop = {"name": "acme/shop", "url": "u", "private": True, "connection": 1, "projects": ["shop"]}
    other = {**shop, "name": "acme/other", "private": False, "projects": []}
    told = {"repositories": [other, shop], "warnings": ["bob at https://x: GitHub did not answer."]}
    server.on("GET", "/api/v1/github/repositories", (200, told))
    assert run(["github", "repositories"]) == 0
    output = capsys.readouterr()
    assert output.out == (
        "REPOSITORY  ACCESS   PROJECT\n"
        "acme/other  public   –\n"
        "acme/shop   private  shop\n"
    )  # fmt: skip
    assert output.err == "! bob at https://x: GitHub did not answer.\n"
    assert run(["github", "repositories", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told


def test_adding(server: Any, capsys: Any):
    unheard = {**ADDED, "webhooks": False, "warnings": ["GitHub refused it."]}
    moved = {**ADDED, "moved": ["shop", "backend"]}
    server.on("POST", "/api/v1/github/projects", (201, ADDED), (201, moved), (201, unheard))
    assert run(["github", "add", "acme/shop"]) == 0
    assert server.asked[0][2] == {"repository": "acme/shop", "name": None}
    assert capsys.readouterr().out == (
        "acme/shop is the project shop. Its open pull requests get previews now.\n"
    )
    assert run(["github", "add", "acme/shop"]) == 0
    assert capsys.readouterr().out == "shop, backend of acme/shop moved to this connection.\n"
    assert run(["github", "add", "acme/shop", "--name", "x"]) == 0
    output = capsys.readouterr()
    assert output.err == "! GitHub refused it.\n"
    assert output.out.endswith("PreviewDrop looks for changes every five minutes.\n")
