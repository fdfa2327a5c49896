"""Whole command lines against an API that answers from a table."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from previewdrop.cli import browser, run, up
from previewdrop.cli.repository import Repository
from previewdrop.domain.errors import BadSource
from previewdrop.domain.secret import Secret

Make = Callable[..., Any]
ONE = "/api/v1/previews/shop/feature-new-auth"
PROJECT = {
    "name": "shop", "source": "/code/shop", "settings": {"health": "/healthz"}, "previews": 1,
    "created_at": "2026-05-20T09:00:00Z",
}  # fmt: skip


@pytest.fixture
def one(server: Any, make_preview: Make) -> Any:
    """A server with one preview of one project, and the current folder on its branch."""
    server.on("GET", "/api/v1/previews", (200, [make_preview()]))
    server.on("GET", "/api/v1/projects", (200, [PROJECT]))
    server.on("GET", "/api/v1/projects/shop", (200, PROJECT))
    return server


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: str) -> Repository:
        if path == "nowhere":
            raise BadSource("nowhere is not in a Git repository.")
        return Repository("/code/shop", "feature/new-auth", uncommitted=2)

    monkeypatch.setattr(up, "read_repository", read)
    monkeypatch.setattr("previewdrop.cli.target.read_repository", read)
    monkeypatch.setattr("previewdrop.cli.projects.read_repository", read)
    monkeypatch.setattr("previewdrop.cli.launch.ensure_server", lambda *_: False)


def test_up_adds_the_project_deploys_and_prints_the_links(
    server: Any, sse: Any, make_preview: Make, make_deployment: Make, make_stage: Make, capsys: Any
) -> None:
    server.on("GET", "/api/v1/projects", (200, []))
    server.on("POST", "/api/v1/projects", (201, PROJECT))
    queued = make_preview(state="pending", commit=None, deployment=None)
    server.on("POST", "/api/v1/projects/shop/previews", (202, queued))
    ready = make_preview(deployment=make_deployment(stages=[make_stage("build")]))
    server.on("GET", "/api/v1/events", sse(("preview", queued), ("preview", ready)))
    assert run(["up"]) == 0
    assert ("POST", "/api/v1/projects", {"source": "/code/shop"}) in server.asked
    wanted = {"branch": "feature/new-auth", "number": None}
    assert ("POST", "/api/v1/projects/shop/previews", wanted) in server.asked
    assert capsys.readouterr().out == (
        "! 2 files are not committed and will not be part of the preview.\n"
        "shop · feature/new-auth · a1b2c3d Add contact e-mail\n"
        "  ✓ build         0.1 s\n"
        "\n"
        "🚀 Preview ready in 2.9 s   https://feature-new-auth.shop.localhost:7443\n"
        "📚 API docs                 https://feature-new-auth.shop.localhost:7443/docs\n"
        "🔍 Health                   https://feature-new-auth.shop.localhost:7443/health\n"
    )


def test_up_as_json_prints_the_preview_alone(
    one: Any, sse: Any, make_preview: Make, make_deployment: Make, capsys: Any
) -> None:
    queued = make_preview(deployment=make_deployment(state="queued"))
    one.on("POST", "/api/v1/projects/shop/previews", (202, queued))
    one.on("GET", "/api/v1/events", sse(("preview", make_preview())))
    assert run(["up", "--branch", "main", "--number", "42", "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == make_preview()
    assert "🚀 Preview ready" in output.err
    wanted = {"branch": "main", "number": 42}
    assert ("POST", "/api/v1/projects/shop/previews", wanted) in one.asked


def test_up_of_what_is_live_already_is_one_line(one: Any, make_preview: Make, capsys: Any) -> None:
    one.on("POST", "/api/v1/projects/shop/previews", (202, make_preview()))
    assert run(["up", "--branch", "other"]) == 0
    assert capsys.readouterr().out == (
        "✓ shop/feature-new-auth is live at a1b2c3d already: "
        "https://feature-new-auth.shop.localhost:7443\n"
    )


def test_up_that_fails_says_why_and_what_is_live(
    one: Any, sse: Any, make_preview: Make, make_deployment: Make, capsys: Any
) -> None:
    older = "9f8e7d6" + "0" * 33
    error = {
        "stage": "health", "message": "GET /health answered 500 for 60 s", "hint": "Look there.",
        "exit_code": None, "status": 500, "log_tail": ["Traceback", "KeyError: 'X'"],
    }  # fmt: skip
    failed = make_preview(commit=older, deployment=make_deployment(state="failed", error=error))
    one.on(
        "POST", "/api/v1/projects/shop/previews", (202, make_preview(commit=older, deployment=None))
    )
    one.on("GET", "/api/v1/events", sse(("preview", failed)))
    one.on("GET", f"{ONE}/deployments", (200, [failed["deployment"]]))
    assert run(["up"]) == 1
    assert capsys.readouterr().out.endswith(
        "✗ health failed: GET /health answered 500 for 60 s\n"
        "    Traceback\n"
        "    KeyError: 'X'\n"
        "  Look there.\n"
        "  Still live: 9f8e7d6. Full log: previewdrop logs shop/feature-new-auth --build\n"
    )


def test_up_at_the_limit_says_so(one: Any, sse: Any, make_preview: Make, capsys: Any) -> None:
    full = make_preview(state="pending", deployment=None, waiting="2 previews are live, the most.")
    one.on("POST", "/api/v1/projects/shop/previews", (202, full))
    one.on("GET", "/api/v1/events", sse(("preview", full)))
    assert run(["up"]) == 1
    assert capsys.readouterr().out.endswith("✗ 2 previews are live, the most.\n")


def test_up_without_waiting(one: Any, make_preview: Make, capsys: Any) -> None:
    preview = make_preview(deployment=None)
    one.on("POST", "/api/v1/projects/shop/previews", (202, preview))
    assert run(["up", "--no-wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == preview


def test_ctrl_c_leaves_the_deployment_running(one: Any, make_preview: Make, capsys: Any) -> None:
    def interrupt(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    one.on("POST", "/api/v1/projects/shop/previews", (202, make_preview(deployment=None)))
    one.on("GET", "/api/v1/events", interrupt)
    assert run(["up"]) == 130
    assert capsys.readouterr().out.endswith(
        "The deployment goes on. See it with: previewdrop status shop/feature-new-auth\n"
    )


def test_two_ups_that_add_the_same_project(server: Any, make_preview: Make, capsys: Any) -> None:
    server.on("GET", "/api/v1/projects", (200, []), (200, [PROJECT]))
    server.on("POST", "/api/v1/projects", (409, {"detail": "There is a project shop."}))
    server.on("POST", "/api/v1/projects/shop/previews", (202, make_preview()))
    assert run(["up"]) == 0


def test_a_name_that_another_repository_has(server: Any, capsys: Any) -> None:
    server.on("GET", "/api/v1/projects", (200, []))
    problem = {"detail": "The name shop is taken.", "hint": "Use --project."}
    server.on("POST", "/api/v1/projects", (409, problem))
    assert run(["up"]) == 1
    assert capsys.readouterr().err == "Error: The name shop is taken. Use --project.\n"


def test_up_with_a_project_of_another_repository(one: Any, capsys: Any) -> None:
    one.on("GET", "/api/v1/projects/blog", (200, {**PROJECT, "name": "blog", "source": "/blog"}))
    assert run(["up", ".", "--project", "blog"]) == 2
    assert "The project blog is /blog, not /code/shop." in capsys.readouterr().err


def test_up_gives_a_login_to_the_server_and_shows_it_nowhere(
    one: Any, make_preview: Make, monkeypatch: Any, capsys: Any
) -> None:
    url = "https://bob:hunter2@example.com/shop"
    found = Repository("https://example.com/shop", "main", login=Secret(url))
    monkeypatch.setattr(up, "read_repository", lambda _: found)
    one.on("POST", "/api/v1/projects/shop/previews", (202, make_preview()))
    one.on("PATCH", "/api/v1/projects/shop", (200, PROJECT))
    assert run(["up", url]) == 0
    assert run(["up", url, "--project", "shop"]) == 0
    assert one.asked.count(("PATCH", "/api/v1/projects/shop", {"source": url})) == 2
    assert [path for _, path, _ in one.asked if "hunter2" in path] == []
    one.on("GET", "/api/v1/projects", (200, []))
    one.on("POST", "/api/v1/projects", (201, PROJECT))
    assert run(["up", url]) == 0
    assert run(["project", "add", url]) == 0
    assert [
        body["source"] for _, path, body in one.asked if path == "/api/v1/projects" and body
    ] == [
        url,
        url,
    ]
    assert run(["up", url, "--project", "shop"]) == 2
    assert "hunter2" not in "".join(capsys.readouterr())


def test_up_of_a_project_from_anywhere(one: Any, make_preview: Make) -> None:
    one.on("POST", "/api/v1/projects/shop/previews", (202, make_preview()))
    assert run(["up", "--project", "shop", "--branch", "main"]) == 0
    assert one.asked[-1][2] == {"branch": "main", "number": None}


def test_up_on_a_detached_head(one: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(up, "read_repository", lambda _: Repository("/code/shop", None))
    assert run(["up"]) == 2
    assert capsys.readouterr().err == (
        "Error: The repository is not on a branch (detached HEAD). Say which branch with --branch."
        "\n"
    )


def test_up_of_no_repository(server: Any, capsys: Any) -> None:
    assert run(["up", "nowhere"]) == 1
    assert capsys.readouterr().err == "Error: nowhere is not in a Git repository.\n"


def test_list_and_what_to_do_next(server: Any, make_preview: Make, capsys: Any) -> None:
    server.on("GET", "/api/v1/previews", (200, []))
    assert run(["list"]) == 0
    assert "`previewdrop up`" in capsys.readouterr().out
    assert run(["list", "--project", "shop", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert server.asked[-1][1] == "/api/v1/previews?project=shop"


def test_status_of_the_current_folders_branch(one: Any, make_preview: Make, capsys: Any) -> None:
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == make_preview()
    assert run(["status"]) == 0
    assert capsys.readouterr().out.startswith("shop/feature-new-auth   ready\n")


def test_down_waits_until_it_is_gone(one: Any, sse: Any, make_preview: Make, capsys: Any) -> None:
    one.on("DELETE", ONE, (202, make_preview()))
    gone = make_preview(state="removed")
    one.on("GET", "/api/v1/events", sse(("preview", make_preview()), ("preview", gone)))
    assert run(["down", "feature/new-auth"]) == 0
    assert capsys.readouterr().out.startswith("✓ shop/feature-new-auth removed   ")
    assert [each[0] for each in one.asked] == ["GET", "DELETE", "GET"]


def test_down_all_as_json(one: Any, make_preview: Make, capsys: Any) -> None:
    one.on("DELETE", ONE, (202, make_preview()))
    assert run(["down", "--all", "--json"]) == 0
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == ["removed"]


def test_down_of_nothing(server: Any, capsys: Any) -> None:
    server.on("GET", "/api/v1/previews", (200, []))
    assert run(["down", "--all"]) == 0
    assert capsys.readouterr().out == "There are no previews.\n"
    assert run(["down", "x", "--all"]) == 2


def test_open(one: Any, monkeypatch: Any, capsys: Any) -> None:
    opened: list[str] = []
    monkeypatch.setattr(browser, "show", opened.append)
    assert run(["open", "--docs"]) == 0
    assert opened == ["https://feature-new-auth.shop.localhost:7443/docs"]
    assert capsys.readouterr().out == f"{opened[0]}\n"


@pytest.mark.parametrize(
    ("terminal", "environment", "opens"),
    [
        (True, {"DISPLAY": ":0"}, True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        (False, {"DISPLAY": ":0"}, False),
        (True, {}, False),
        (True, {"DISPLAY": ":10", "SSH_CONNECTION": "1 2 3 4"}, False),
    ],
)
def test_a_page_is_opened_where_somebody_looks(
    terminal: bool, environment: dict[str, str], opens: bool, monkeypatch: Any
) -> None:
    opened: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(browser.webbrowser, "open", opened.append)
    monkeypatch.setattr(browser.sys, "platform", "linux")
    monkeypatch.setattr(browser.sys.stdout, "isatty", lambda: terminal)
    browser.show("http://here")
    assert opened == (["http://here"] if opens else [])


def test_dashboard(server: Any, monkeypatch: Any, capsys: Any) -> None:
    opened: list[str] = []
    monkeypatch.setattr(browser, "show", opened.append)
    server.on("POST", "/api/v1/sign-ins", (201, {"url": "http://here/sign-in?ticket=t"}))
    assert run(["dashboard"]) == 0
    assert capsys.readouterr().out == "http://here/sign-in?ticket=t\n"
    assert run(["dashboard", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"url": "http://here/sign-in?ticket=t"}
    assert opened == ["http://here/sign-in?ticket=t"]


@pytest.mark.parametrize("action", ["redeploy", "reset-db"])
def test_deploying_again(
    action: str, one: Any, sse: Any, make_preview: Make, make_deployment: Make, capsys: Any
) -> None:
    one.on("POST", f"{ONE}/{action}", (202, make_preview(generation=2)))
    again = make_preview(generation=2, deployment=make_deployment(generation=2))
    one.on("GET", "/api/v1/events", sse(("preview", make_preview()), ("preview", again)))
    assert run([action, "feature-new-auth"]) == 0
    assert "🚀 Preview ready in 2.9 s" in capsys.readouterr().out


def test_logs(one: Any, capsys: Any) -> None:
    lines = [{"source": "web", "line": f"line {n}", "at": None} for n in range(3)]
    one.on("GET", f"{ONE}/logs", (200, lines))
    assert run(["logs", "--build", "--deployment", "7", "--lines", "2"]) == 0
    assert capsys.readouterr().out == "web | line 1\nweb | line 2\n"
    assert one.asked[-1][1] == f"{ONE}/logs?build=true&deployment=7"
    assert run(["logs", "--lines", "0", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    assert run(["logs", "--follow", "--lines", "2"]) == 2


def test_logs_are_followed_to_their_end(one: Any, sse: Any, capsys: Any) -> None:
    line = {"source": "build", "line": "Resolved 30 packages", "at": None}
    one.on("GET", f"{ONE}/logs/stream", sse(("log", line), ("end", {}), ("log", line)))
    assert run(["logs", "-f", "--build"]) == 0
    assert capsys.readouterr().out == "build | Resolved 30 packages\n"
    one.on("GET", f"{ONE}/logs/stream", sse(("log", line)))
    assert run(["logs", "-f", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == line


def test_exec_gives_lines_and_exit_code(one: Any, sse: Any, capsys: Any) -> None:
    lines = [("line", {"line": "hello"}), ("line", {"line": "world"}), ("exit", {"code": 7})]
    one.on("POST", f"{ONE}/exec", sse(*lines))
    assert run(["exec", "feature-new-auth", "--", "ls", "-la", "--json"]) == 7
    assert capsys.readouterr().out == "hello\nworld\n"
    assert one.asked[-1][2] == {"command": ["ls", "-la", "--json"]}
    assert run(["exec", "feature-new-auth", "ls", "-la"]) == 7
    assert one.asked[-1][2] == {"command": ["ls", "-la"]}


def test_exec_that_cannot_run(one: Any, sse: Any, capsys: Any) -> None:
    problem = {"title": "Conflict", "status": 409, "detail": "It is not up.", "hint": "Deploy it."}
    one.on("POST", f"{ONE}/exec", sse(("error", problem)))
    assert run(["exec", "feature-new-auth", "--", "ls"]) == 1
    assert capsys.readouterr().err == "Error: It is not up. Deploy it.\n"
    one.on("POST", f"{ONE}/exec", sse(("line", {"line": "x"})))
    assert run(["exec", "feature-new-auth", "--", "ls"]) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["psql", "feature-new-auth", "--", "-c", "select 1"], ("-c", "select 1")),
        (["psql", "feature-new-auth"], ()),
        (["psql", "--", "-c", "select 1"], ("-c", "select 1")),
    ],
)
def test_psql_becomes_the_client(
    line: list[str], words: tuple[str, ...], one: Any, monkeypatch: Any
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *all_: became.append(all_))
    monkeypatch.setenv("PGSERVICE", "production")
    url = "postgresql://user:pw@127.0.0.1:7781/db"
    one.on("GET", f"{ONE}/connection", (200, {"database_url": url, "redis_url": None}))
    assert run(line) == 0
    binary, argv, environment = became[0]
    assert binary.endswith("psql")
    assert argv == (binary, *words)
    assert environment["PGPASSWORD"] == "pw"
    assert "PGSERVICE" not in environment


def test_redis_cli_without_redis(one: Any, capsys: Any) -> None:
    one.on("GET", f"{ONE}/connection", (200, {"database_url": None, "redis_url": None}))
    assert run(["redis-cli", "feature-new-auth"]) == 1
    assert "has no Redis database" in capsys.readouterr().err
    assert run(["psql", "feature-new-auth"]) == 1


def test_projects(one: Any, capsys: Any) -> None:
    one.on("POST", "/api/v1/projects", (201, PROJECT))
    line = ["project", "add", ".", "root=backend", "watch=", "--name", "shop"]
    assert run(line) == 0
    assert one.asked[-1][2] == {
        "source": "/code/shop", "name": "shop", "settings": {"root": "backend", "watch": None}
    }  # fmt: skip
    assert run(["project", "add", "https://example.com/shop.git"]) == 0
    assert one.asked[-1][2]["source"] == "https://example.com/shop.git"
    capsys.readouterr()
    assert run(["project", "list"]) == 0
    assert capsys.readouterr().out == "NAME  PREVIEWS  SOURCE\nshop  1         /code/shop\n"
    assert run(["project", "show"]) == 0
    assert "  health    /healthz\n" in capsys.readouterr().out


def test_project_set(one: Any, capsys: Any) -> None:
    one.on("PATCH", "/api/v1/projects/shop", (200, PROJECT))
    assert run(["project", "set", "python=3.10", "post_deploy=", "--json"]) == 0
    assert one.asked[-1][2] == {"settings": {"python": "3.10", "post_deploy": None}}
    assert json.loads(capsys.readouterr().out) == PROJECT
    assert run(["project", "set", "python"]) == 2


def test_project_remove_waits(one: Any, capsys: Any) -> None:
    one.on("GET", "/api/v1/projects/shop", (200, PROJECT), (404, {"detail": "Gone."}))
    one.on("DELETE", "/api/v1/projects/shop", (202, PROJECT))
    assert run(["project", "remove", "shop"]) == 0
    assert capsys.readouterr().out == "Removed the project shop.\n"


def test_env_set_list_unset(one: Any, capsys: Any) -> None:
    variable = {"name": "A", "value": "1=2", "secret": False, "branch": "f/*", "preview": None}
    secret = {"name": "B", "value": None, "secret": True, "branch": None, "preview": None}
    one.on("PUT", "/api/v1/projects/shop/variables/A", (200, variable))
    assert run(["env", "set", "A=1=2", "--branch", "f/*"]) == 0
    body = {"value": "1=2", "secret": False, "branch": "f/*", "preview": None}
    assert one.asked[-1] == ("PUT", "/api/v1/projects/shop/variables/A", body)
    assert capsys.readouterr().out == "Set A for branches like f/* of shop.\n"
    one.on("GET", "/api/v1/projects/shop/variables", (200, [variable, secret]))
    assert run(["env", "list", "--project", "shop"]) == 0
    assert capsys.readouterr().out == (
        "NAME  VALUE  FOR\nA     1=2    f/*\nB     •••    every preview\n"
    )
    one.on("DELETE", "/api/v1/projects/shop/variables/A", (204, None))
    assert run(["env", "unset", "A", "--preview", "feature-new-auth"]) == 0
    target = "/api/v1/projects/shop/variables/A?preview=feature-new-auth"
    assert one.asked[-1][1] == target


def test_a_secret_comes_from_standard_input(one: Any, monkeypatch: Any, capsys: Any) -> None:
    secret = {"name": "KEY", "value": None, "secret": True, "branch": None, "preview": None}
    one.on("PUT", "/api/v1/projects/shop/variables/KEY", (200, secret))
    for argument in ("KEY", "KEY=-"):
        monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
        assert run(["env", "set", argument, "--secret"]) == 0
        assert one.asked[-1][2]["value"] == "s3cret"
    assert "s3cret" not in "".join(capsys.readouterr())
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    assert run(["env", "set", "KEY", "OTHER", "--secret"]) == 2
    assert run(["env", "set", "A=1", "--branch", "x", "--preview", "y"]) == 2


def test_a_secret_that_is_typed_is_not_shown(one: Any, monkeypatch: Any) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    secret = {"name": "KEY", "value": None, "secret": True, "branch": None, "preview": None}
    one.on("PUT", "/api/v1/projects/shop/variables/KEY", (200, secret))
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"typed at {prompt}")
    assert run(["env", "set", "KEY", "--secret"]) == 0
    assert one.asked[-1][2]["value"] == "typed at KEY: "


def test_env_import_and_export(one: Any, tmp_path: Any, capsys: Any) -> None:
    variable = {"name": "A", "value": "1", "secret": False, "branch": None, "preview": None}
    one.on("POST", "/api/v1/projects/shop/variables/import", (200, [variable]))
    file = tmp_path / ".env"
    file.write_bytes("\ufeffA=1\r\n".encode())
    assert run(["env", "import", str(file)]) == 0
    body = {"text": "A=1\n", "secret": False, "branch": None, "preview": None}
    assert one.asked[-1][2] == body
    file.write_bytes(b"\xff\xfe")
    assert run(["env", "import", str(file)]) == 1
    assert run(["env", "import", str(tmp_path / "none")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].endswith("is not UTF-8 text.")
    assert errors[1].endswith("cannot be read: No such file or directory.")
    one.on("GET", "/api/v1/projects/shop/variables/export", (200, {"text": "A=1\n"}))
    assert run(["env", "export"]) == 0
    assert capsys.readouterr().out == "A=1\n"


def test_shutdown_without_a_server(server: Any, capsys: Any) -> None:
    server.on("POST", "/api/v1/shutdown", httpx2.ConnectError("refused"))
    assert run(["shutdown"]) == 0
    assert capsys.readouterr().out == "No PreviewDrop server is running.\n"


def test_shutdown_waits_until_nothing_answers(server: Any, capsys: Any) -> None:
    server.on("POST", "/api/v1/shutdown", (202, {}))
    server.on("GET", "/healthz", (200, {"status": "ok"}), httpx2.ConnectError("refused"))
    assert run(["shutdown"]) == 0
    assert capsys.readouterr().out.endswith("The server has stopped. Data is kept.\n")
