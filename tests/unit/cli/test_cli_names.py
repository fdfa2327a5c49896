"""Which preview a name means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.names import here, named
from previewdrop.cli.repository import Repository
from previewdrop.domain.errors import NotFound

Make = Callable[..., Any]


@pytest.fixture
def previews(make_preview: Make) -> list[Any]:
    return [
        make_preview(name="shop/feature-new-auth", branch="feature/new-auth"),
        make_preview(name="shop/pr-42", branch="main", number=42),
        make_preview(name="blog/pr-42", branch="main", number=42, project="blog"),
        make_preview(name="blog/about", branch="about", project="blog"),
    ]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shop/pr-42", "shop/pr-42"),
        ("feature-new-auth", "shop/feature-new-auth"),
        ("feature/new-auth", "shop/feature-new-auth"),
        ("shop/feature/new-auth", "shop/feature-new-auth"),
        ("shop/main", "shop/pr-42"),
        ("about", "blog/about"),
    ],
)
def test_full_short_and_branch_names(previews: list[Any], name: str, found: str) -> None:
    assert named(name, previews)["name"] == found


@pytest.mark.parametrize("name", ["pr-42", "42", "#42", "main"])
def test_an_ambiguous_name_lists_what_it_can_be(previews: list[Any], name: str) -> None:
    with pytest.raises(WrongUsage, match="can be shop/pr-42 or blog/pr-42"):
        named(name, previews)


def test_an_unknown_name_gets_its_nearest(previews: list[Any]) -> None:
    with pytest.raises(NotFound, match=r"Did you mean shop/feature-new-auth\?"):
        named("featur-new-auth", previews)
    with pytest.raises(NotFound, match="`previewdrop list` lists them"):
        named("zzzz", previews)
    with pytest.raises(NotFound, match="there are none at all"):
        named("zzzz", [])


def test_the_current_folders_preview(previews: list[Any]) -> None:
    projects: list[Any] = [{"name": "shop", "source": "/code/shop"}]
    on = Repository("/code/shop", "feature/new-auth")
    assert here(on, projects, previews)["name"] == "shop/feature-new-auth"
    with pytest.raises(WrongUsage, match="The branch other has no preview"):
        here(Repository("/code/shop", "other"), projects, previews)
    both: list[Any] = [*projects, {"name": "blog", "source": "/code/shop"}]
    with pytest.raises(WrongUsage, match="has 2 previews"):
        here(Repository("/code/shop", "main"), both, previews)
    with pytest.raises(WrongUsage):
        here(Repository("/elsewhere", "main"), projects, previews)
