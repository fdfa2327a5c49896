"""Which runtime a commit runs in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewdrop.config.project import Build, ProjectConfig
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.pipeline.choice import RuntimeChoice

PLAIN = AppFacts("", AppObject("main", "app"), Dependencies(Lock.REQUIREMENTS, ()))
WITH_DOCKERFILE = replace(PLAIN, dockerfile="Dockerfile")


async def answers() -> bool:
    return True


async def silent() -> bool:
    return False


@pytest.mark.parametrize("setting", ["process", "docker"])
async def test_what_is_set_holds(setting: str) -> None:
    choice = RuntimeChoice(setting, silent)
    assert await choice.of(WITH_DOCKERFILE, ProjectConfig(), None) == setting
    assert await choice.of(PLAIN, ProjectConfig(), None) == setting


async def test_by_itself_an_engine_and_a_dockerfile_make_it_docker() -> None:
    auto = RuntimeChoice("auto", answers)
    assert await auto.of(WITH_DOCKERFILE, ProjectConfig(), None) == "docker"
    assert await auto.of(WITH_DOCKERFILE, ProjectConfig(), "process") == "docker"
    assert await auto.of(PLAIN, ProjectConfig(), None) == "process"
    named = ProjectConfig(build=Build(dockerfile="docker/api.Dockerfile"))
    assert await auto.of(PLAIN, named, None) == "docker"


async def test_an_outage_of_the_engine_moves_no_preview() -> None:
    auto = RuntimeChoice("auto", silent)
    assert await auto.of(WITH_DOCKERFILE, ProjectConfig(), None) == "process"
    assert await auto.of(WITH_DOCKERFILE, ProjectConfig(), "docker") == "docker"
    assert await auto.of(PLAIN, ProjectConfig(), "docker") == "process"
