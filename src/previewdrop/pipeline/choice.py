"""Which runtime a commit runs in: the one that is set, or what the repository and machine allow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from previewdrop.config.project import ProjectConfig
from previewdrop.domain.app import AppFacts
from previewdrop.domain.spec import DOCKER, PROCESS

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """`setting` is PREVIEWDROP_RUNTIME; `docker_answers` asks whether there is an Engine now."""

    setting: str
    docker_answers: Callable[[], Awaitable[bool]]

    async def of(self, facts: AppFacts, config: ProjectConfig, former: str | None) -> str:
        """Process or docker; a preview that lives in `former` does not leave it for an outage."""
        if self.setting != AUTO:
            return self.setting
        if not (config.build.dockerfile or facts.dockerfile):
            return PROCESS
        return DOCKER if former == DOCKER or await self.docker_answers() else PROCESS
