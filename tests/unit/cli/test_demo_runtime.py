"""Which runtime the demo shows, and when it says that it cannot."""

from __future__ import annotations

import pytest

from previewdrop.cli.demo_runtime import chosen
from previewdrop.domain.errors import Conflict


def never() -> bool:
    raise AssertionError("nobody should ask an Engine")


@pytest.mark.parametrize(
    ("asked", "server", "shown"),
    [
        (None, None, "process"),
        ("process", None, "process"),
        ("docker", None, "docker"),
        (None, "docker", "docker"),
        ("docker", "docker", "docker"),
        ("process", "process", "process"),
    ],
)
def test_it_is_what_is_asked_for_or_what_the_server_does(
    asked: str | None, server: str | None, shown: str
) -> None:
    assert chosen(asked, server, never) == shown


@pytest.mark.parametrize(("answers", "shown"), [(True, "docker"), (False, "process")])
def test_a_server_that_chooses_itself_takes_docker_where_an_engine_answers(
    answers: bool, shown: str
) -> None:
    assert chosen(None, "auto", lambda: answers) == shown
    assert chosen(shown, "auto", lambda: answers) == shown


@pytest.mark.parametrize(
    ("asked", "server", "where"),
    [("docker", "process", "processes"), ("process", "auto", "containers")],
)
def test_another_server_is_in_the_way(asked: str, server: str, where: str) -> None:
    with pytest.raises(Conflict, match=f"puts previews in {where},.*previewdrop shutdown"):
        chosen(asked, server, lambda: True)
