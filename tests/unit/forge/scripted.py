"""A GitHub that answers exactly what a test says, in order, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from previewdrop.forge.events import Repository
from previewdrop.forge.github.client import Client
from previewdrop.forge.github.host import Host

HOST = Host("https://github.test", "https://api.github.test")
SHOP = Repository(7, "acme/shop", "https://github.test/acme/shop.git", installation=3)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived: `place` is method, path and query."""

    place: str
    body: Any
    headers: httpx2.Headers

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


def answer(
    value: object = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    if value is None:
        return httpx2.Response(status, headers=headers)
    return httpx2.Response(status, json=value, headers=headers)


def no(status: int, message: str = "Not Found", **headers: str) -> httpx2.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return answer({"message": message}, status, named)


class Scripted:
    """Answers in order; an exception in place of an answer is raised. `asked` has all requests."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.transport = httpx2.MockTransport(self._answer)

    def client(self, now: float = 1_000_000.0) -> Client:
        return Client(HOST, transport=self.transport, clock=lambda: now, monotonic=lambda: now)

    @property
    def places(self) -> list[str]:
        return [each.place for each in self.asked]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        place = f"{request.method} {request.url.raw_path.decode()}"
        body = json.loads(request.content) if request.content else None
        self.asked.append(Asked(place, body, request.headers))
        if not self.answers:
            raise AssertionError(f"GitHub was asked once too often: {place}")
        following = self.answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following
