"""Caddy's admin API, with its errors as ours: https://caddyserver.com/docs/api"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx2

from previewdrop.domain.errors import StageFailed, Unavailable

_TIMEOUT = 15.0


class Admin:
    """The API at `unix//path` or `http://host:port`. Paths begin with `/`.

    Connections are not kept: Caddy opens its admin endpoint anew with each change.
    """

    def __init__(self, address: str) -> None:
        uds = address.removeprefix("unix/") if address.startswith("unix//") else None
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=uds, limits=limits, trust_env=False),
            base_url="http://localhost" if uds else address,
            timeout=_TIMEOUT,
        )

    async def get(self, path: str) -> Any:
        """The JSON at a path; None when there is nothing."""
        answer = await self._send("GET", path)
        return answer.json() if answer.status_code == HTTPStatus.OK else None

    async def append(self, path: str, value: object) -> None:
        """Adds an element to an array."""
        await self._send("POST", path, value)

    async def replace(self, path: str, value: object) -> bool:
        """Replaces what is at the path; False when there is nothing."""
        return (await self._send("PATCH", path, value)).status_code != HTTPStatus.NOT_FOUND

    async def delete(self, path: str) -> bool:
        """Removes what is at the path; False when there is nothing."""
        return (await self._send("DELETE", path)).status_code != HTTPStatus.NOT_FOUND

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self, method: str, path: str, value: object = None) -> httpx2.Response:
        try:
            answer = await self._client.request(method, path, json=value)
        except httpx2.HTTPError as error:
            raise Unavailable(f"Caddy did not answer ({type(error).__name__}).") from error
        if answer.is_success or answer.status_code == HTTPStatus.NOT_FOUND:
            return answer
        raise StageFailed(f"Caddy refused a change of its routes: {_said(answer)}.")


def _said(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["error"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
