"""Webhooks of single repositories, as people without an App set them up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(eq=False, slots=True)
class Hook:
    """`events` may hold `*`, for all."""

    id: int
    url: str
    secret: str | None
    content_type: str
    insecure_ssl: str
    events: tuple[str, ...]
    active: bool
    created_at: datetime
    updated_at: datetime
    deliveries: list[int] = field(default_factory=list[int])

    def wants(self, event: str) -> bool:
        """A ping is sent to every hook."""
        return self.active and (event == "ping" or bool({event, "*"} & set(self.events)))
