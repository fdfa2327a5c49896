"""What became of a preview's database with a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """How a deployment came by its database."""

    CREATED = "created"
    KEPT = "kept"
    RECREATED = "recreated"


@dataclass(frozen=True, slots=True)
class Change:
    """`migrations` counts those that the deployment applied, None if that is not known."""

    fate: Fate
    migrations: int | None = None
