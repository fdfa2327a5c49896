"""People, organizations and the bots of Apps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from github_standin.github import GitHub


class Kind(StrEnum):
    USER = "User"
    ORGANIZATION = "Organization"
    BOT = "Bot"


@dataclass(eq=False, slots=True)
class Account:
    github: GitHub
    id: int
    login: str
    kind: Kind
