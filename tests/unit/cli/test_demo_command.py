"""`previewdrop demo` as a whole, on a server that answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from previewdrop.cli import demo_check, demo_lanes, launch, run
from previewdrop.cli.demo_check import Verdict
from previewdrop.cli.demo_checklist import Check
from previewdrop.cli.demo_ledger import Ledger

Make = Callable[..., Any]
PROJECT = {
    "name": "shop",
    "source": "",
    "settings": {"max_previews": 8},
    "previews": 0,
    "created_at": "2026-05-20T10:00:00Z",
}


@pytest.fixture
def shop(server: Any, make_preview: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A running server on which every branch is live already."""

    def wanted(request: httpx2.Request) -> httpx2.Response:
        branch = json.loads(request.content)["branch"]
        return httpx2.Response(202, json=make_preview(name=f"shop/{branch}", branch=branch))

    def runs(*_: object) -> bool:
        return False

    server.on("GET", "/api/v1/projects", (200, [PROJECT]))
    facts = {"home": str(tmp_path / "home"), "runtime": "process"}
    server.on("GET", "/api/v1/server", (200, facts))
    server.on("POST", "/api/v1/projects/shop/previews", wanted)
    monkeypatch.setattr(launch, "ensure_server", runs)
    return server


def test_it_ends_with_what_to_try_next(
    shop: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["demo"]) == 0
    said = capsys.readouterr().out
    assert "Four engineers, one staging server" in said
    assert "🚀 All 4 are live at the same time, and were already." in said
    assert "What to try next" in said
    assert (tmp_path / "home" / "demo" / "shop" / ".git").is_dir()


def test_json_is_all_that_is_written_to_standard_output(
    shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--json"]) == 0
    written = capsys.readouterr()
    result = json.loads(written.out)
    assert [each["branch"] for each in result["previews"]] == [
        "ali/rename-email",
        "ben/email-search",
        "chloe/cache-keys",
        "you/health-version",
    ]
    assert result["checks"] == []
    assert "Four engineers" in written.err


def test_one_that_fails_fails_the_demo(
    shop: Any, make_preview: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = (422, {"title": "Bad", "detail": "There is no branch ben/email-search."})
    shop.on(
        "POST", "/api/v1/projects/shop/previews", refused, refused, refused, (202, make_preview())
    )
    assert run(["demo"]) == 1
    said = capsys.readouterr().out
    assert "There is no branch ben/email-search." in said
    assert "What to try next" not in said


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_a_check_that_fails_is_the_exit_code(
    shop: Any,
    passed: bool,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prove(*_: object) -> Verdict:
        checks = [Check("Two is two", True, None, 0.1), Check("All is well", passed, None, 0.1)]
        return Verdict(checks, Ledger({"routes": ["shop.localhost"]}, {"routes": []}))

    monkeypatch.setattr(demo_check, "prove", prove)
    assert run(["demo", "--check", "--json"]) == code
    result = json.loads(capsys.readouterr().out)
    assert [check["passed"] for check in result["checks"]] == [True, passed]
    assert result["held"] == {"before": {"routes": ["shop.localhost"]}, "after": {"routes": []}}
    assert result["runtime"] == "process"


def test_a_check_has_a_repository_of_its_own(
    shop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing(*_: object) -> Verdict:
        return Verdict([], Ledger())

    monkeypatch.setattr(demo_check, "prove", nothing)
    assert run(["demo", "--check"]) == 0
    assert [each.name for each in (tmp_path / "home" / "demo").iterdir()] == ["check"]


def test_ctrl_c_says_what_goes_on(
    shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_lanes, "run_together", interrupted)
    assert run(["demo"]) == 130
    assert "`previewdrop down --all` removes it" in capsys.readouterr().out


def test_a_server_elsewhere_cannot_read_the_repository(
    shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREVIEWDROP_URL", "https://preview.example.com")
    assert run(["demo"]) == 2
    assert "Unset PREVIEWDROP_URL." in capsys.readouterr().err


def test_a_server_of_another_runtime_is_left_alone(
    shop: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["demo", "--runtime", "docker"]) == 1
    said = capsys.readouterr().err
    assert "puts previews in processes, and the demo is asked for containers." in said
    assert "`previewdrop shutdown`" in said
    assert not (tmp_path / "home" / "demo").exists()


def test_without_an_engine_no_server_is_started_for_containers(
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PREVIEWDROP_DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert run(["demo", "--runtime", "docker"]) == 1
    said = capsys.readouterr().err
    assert f"No Docker Engine answers at unix://{tmp_path}/docker.sock" in said
    assert "leave out --runtime docker" in said
