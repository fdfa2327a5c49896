"""What an inside answers about addresses, and what it means when it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from previewdrop.cli.client import Api
from previewdrop.cli.demo_checklist import Unproven
from previewdrop.cli.demo_reach import reached
from previewdrop.domain.errors import Conflict

EXEC = "/api/v1/previews/shop/feature-new-auth/exec"
PLACES = [("10.213.0.4", 3000), ("10.213.0.2", 5432)]

Make = Callable[..., Any]


def test_each_place_is_answered(server: Any, api: Api, make_preview: Make, sse: Make) -> None:
    line = ("line", {"line": "[true, false]"})
    server.on("POST", EXEC, sse(("line", {"line": "a warning"}), line, ("exit", {"code": 0})))
    assert reached(api, make_preview(), PLACES) == [True, False]
    command = server.asked[-1][2]["command"]
    assert command[:2] == ["python", "-c"]
    assert command[-1] == '[["10.213.0.4", 3000], ["10.213.0.2", 5432]]'


def test_nothing_is_proved_by_a_command_that_fails(
    server: Any, api: Api, make_preview: Make, sse: Make
) -> None:
    line = ("line", {"line": "ModuleNotFoundError"})
    server.on("POST", EXEC, sse(line, ("exit", {"code": 1})))
    with pytest.raises(Unproven, match="nothing could be tried"):
        reached(api, make_preview(), PLACES)


def test_an_error_of_the_server_comes_through(
    server: Any, api: Api, make_preview: Make, sse: Make
) -> None:
    problem = {"title": "Conflict", "status": 409, "detail": "It does not run."}
    server.on("POST", EXEC, sse(("error", problem)))
    with pytest.raises(Conflict, match="It does not run"):
        reached(api, make_preview(), PLACES)
