"""The demo's project: found, given room, or added under a name that is free."""

from __future__ import annotations

from typing import Any

import pytest

from previewdrop.cli.client import Api
from previewdrop.cli.demo_scene import the_project
from previewdrop.domain.errors import Conflict

SOURCE = "/home/demo/shop"
PROJECTS = "/api/v1/projects"


def project(name: str = "shop", **settings: Any) -> dict[str, Any]:
    return {
        "name": name,
        "source": SOURCE,
        "settings": settings,
        "previews": 0,
        "created_at": "2026-05-20T10:00:00Z",
    }


def test_a_new_one_has_room_for_all(server: Any, api: Api) -> None:
    server.on("GET", PROJECTS, (200, []))
    server.on("POST", PROJECTS, (201, project(max_previews=8)))
    assert the_project(api, SOURCE)["name"] == "shop"
    assert server.asked[-1][2] == {
        "source": SOURCE, "name": "shop", "settings": {"max_previews": 8}
    }  # fmt: skip


def test_one_that_is_there_is_used_as_it_is(server: Any, api: Api) -> None:
    server.on("GET", PROJECTS, (200, [project("shop-demo", max_previews=12)]))
    assert the_project(api, SOURCE)["name"] == "shop-demo"
    assert len(server.asked) == 1


def test_one_that_is_too_small_is_given_room(server: Any, api: Api) -> None:
    server.on("GET", PROJECTS, (200, [project(max_previews=2)]))
    server.on("PATCH", f"{PROJECTS}/shop", (200, project(max_previews=8)))
    assert the_project(api, SOURCE)["settings"] == {"max_previews": 8}


def test_a_name_that_is_taken_is_left_to_its_owner(server: Any, api: Api) -> None:
    taken = (409, {"title": "Conflict", "detail": "There is a project shop already."})
    server.on("GET", PROJECTS, (200, []))
    server.on("POST", PROJECTS, taken, (201, project("shop-demo", max_previews=8)))
    assert the_project(api, SOURCE)["name"] == "shop-demo"
    assert [body["name"] for method, _, body in server.asked if method == "POST"] == [
        "shop",
        "shop-demo",
    ]


def test_when_all_names_are_taken_it_says_what_to_do(server: Any, api: Api) -> None:
    server.on("GET", PROJECTS, (200, []))
    server.on("POST", PROJECTS, (409, {"title": "Conflict", "detail": "Taken."}))
    with pytest.raises(Conflict, match="previewdrop project remove"):
        the_project(api, SOURCE)
