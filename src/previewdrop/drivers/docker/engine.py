"""The Docker Engine's API over its Unix socket, with its errors as ours.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2

from previewdrop.domain.errors import BadConfig, ServerError, StageFailed, Unavailable

DEFAULT_HOST = "unix:///var/run/docker.sock"
OLDEST = (1, 41)
"""Docker 20.10: the first whose BuildKit needs no experimental daemon and takes a tar of files."""
NEWEST = (1, 47)
"""The newest that was read for this module; a newer Engine speaks it too."""

_TIMEOUT = 60.0
_CONNECT_WITHIN = 5.0

Query = Mapping[str, object]


class Refused(StageFailed):
    """The Engine's own no. `answer` is its HTTP status, `reason` its sentence."""

    def __init__(self, answer: int, reason: str) -> None:
        super().__init__(f"The Docker Engine refused: {reason}.")
        self.answer = answer
        self.reason = reason


class Engine:
    """One Engine at a Unix socket. Paths begin with `/`; the API's version is put before them.

    Unavailable when nobody answers or the connection breaks, Refused for an error that the Engine
    reports, BadConfig when it is too old. Call `aclose` at the end.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                uds=socket, trust_env=False, limits=httpx2.Limits(keepalive_expiry=30)
            ),
            base_url="http://docker",
            timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT_WITHIN, pool=None),
        )
        self._version: str | None = None
        self._architecture = ""

    async def get(self, path: str, query: Query | None = None) -> Any:
        """The JSON at a path; None when there is nothing (404)."""
        answer = await self._send("GET", path, query=query)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else _parsed(answer)

    async def post(
        self, path: str, body: object = None, query: Query | None = None, *, timeout: float = 0
    ) -> Any:
        """The JSON answer, None for an empty one. `timeout` in seconds, 0 for the usual minute."""
        answer = await self._send("POST", path, body, query, timeout=timeout)
        return _parsed(_accepted(answer))

    async def upload(self, path: str, tar: bytes, query: Query) -> None:
        """Unpacks a tar inside a container."""
        _accepted(await self._send("PUT", path, query=query, content=tar))

    async def delete(self, path: str, query: Query | None = None) -> bool:
        """Removes what is at a path; False when there was nothing."""
        answer = await self._send("DELETE", path, query=query)
        return answer.status_code != HTTPStatus.NOT_FOUND

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Query | None = None,
        *,
        content: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[httpx2.Response]:
        """An answer that is read as it comes, without a time limit; closing it ends the call."""
        request = self._client.build_request(
            method,
            await self._place(path),
            params=_query(query),
            json=body,
            content=content,
            headers=headers,
            timeout=httpx2.Timeout(None, connect=_CONNECT_WITHIN),
        )
        with _translated():
            answer = await self._client.send(request, stream=True)
            try:
                if answer.status_code >= HTTPStatus.BAD_REQUEST:
                    await answer.aread()
                    await self._believed(answer)
                    _accepted(answer)
                yield answer
            finally:
                await answer.aclose()

    async def lines(self, path: str, query: Query | None = None) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of a stream that has one a line, such as `/events`."""
        async with self.stream("GET", path, query=query) as answer:
            async for line in answer.aiter_lines():
                if line:
                    yield json.loads(line)

    async def version(self) -> str:
        """The API's version that both speak: `1.41`. BadConfig when the Engine is too old."""
        if self._version is None:
            with _translated():
                answer = await self._client.get("/version")
            said: dict[str, Any] = _parsed(_accepted(answer))
            self._version, self._architecture = agreed(said), str(said.get("Arch", ""))
        return self._version

    async def architecture(self) -> str:
        """That of the images it runs, as Go names it: `amd64`."""
        await self.version()
        return self._architecture

    async def listens(self) -> None:
        """Unavailable when a new connection gets no answer.

        An Engine that is about to end closes its door first, then ends its containers. On old
        connections it answers all the while, with less and less sense.
        """
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write(b"GET /_ping HTTP/1.0\r\n\r\n")
                    await reader.readuntil(b"\r\n")
                finally:
                    writer.close()
        except (OSError, EOFError) as error:
            raise _silent(error) from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _place(self, path: str) -> str:
        return f"/v{await self.version()}{path}"

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Query | None = None,
        *,
        content: bytes | None = None,
        timeout: float = 0,
    ) -> httpx2.Response:
        place = await self._place(path)
        with _translated():
            answer = await self._client.request(
                method,
                place,
                params=_query(query),
                json=body,
                content=content,
                timeout=httpx2.Timeout(timeout or _TIMEOUT, connect=_CONNECT_WITHIN, pool=None),
            )
        await self._believed(answer)
        return answer if answer.status_code == HTTPStatus.NOT_FOUND else _accepted(answer)

    async def _believed(self, answer: httpx2.Response) -> None:
        """Unavailable when the answer is the nonsense of an Engine that is about to end."""
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            await self.listens()


def socket_of(host: str) -> str:
    """The path of the Engine's Unix socket; BadConfig for an Engine on another machine.

    Previews are reached over bridges of the Engine's own machine, which a remote one does not
    share with the edge.
    """
    parts = urlsplit(host)
    if parts.scheme == "unix" and parts.path:
        return parts.path
    where = parts.hostname or host
    if where in ("localhost", "127.0.0.1", "::1"):
        raise BadConfig(
            f"The Docker Engine of DOCKER_HOST is reached by {parts.scheme.upper()}.",
            f"Set PREVIEWDROP_DOCKER_HOST={DEFAULT_HOST}, its socket on this machine.",
        )
    raise BadConfig(
        f"The Docker Engine of DOCKER_HOST is on {where}, and previews are served from the "
        "machine that runs them.",
        f"Run PreviewDrop on {where}, or set PREVIEWDROP_DOCKER_HOST={DEFAULT_HOST}.",
    )


def agreed(said: Mapping[str, Any]) -> str:
    """The newest version of the API that the Engine of this `/version` and we both speak."""
    newest, oldest = _numbers(said["ApiVersion"]), _numbers(said.get("MinAPIVersion", "1.24"))
    if newest < OLDEST:
        raise BadConfig(
            f"The Docker Engine is version {said.get('Version', 'unknown')}, which is too old.",
            "PreviewDrop needs Docker 20.10 or newer.",
        )
    if oldest > NEWEST:
        raise ServerError(
            f"The Docker Engine {said.get('Version', '')} no longer speaks version "
            f"{_text(NEWEST)} of its API.",
            "Upgrade PreviewDrop.",
        )
    return _text(min(newest, NEWEST))


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _query(query: Query | None) -> dict[str, str]:
    """Filters and the like go as JSON, booleans as Go reads them."""
    return {name: _value(value) for name, value in (query or {}).items() if value is not None}


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _accepted(answer: httpx2.Response) -> httpx2.Response:
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return answer
    try:
        reason = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        reason = f"status {answer.status_code}"
    raise Refused(answer.status_code, reason.strip().rstrip("."))


def _parsed(answer: httpx2.Response) -> Any:
    return answer.json() if answer.content.strip() else None


@contextmanager
def _translated() -> Generator[None]:
    """Errors of the connection as Unavailable."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise _silent(error) from error


def _silent(error: Exception) -> Unavailable:
    return Unavailable(
        f"The Docker Engine did not answer ({type(error).__name__}).",
        "Is it running? `systemctl status docker` tells.",
    )
