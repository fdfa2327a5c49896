"""The HTTP API's client: JSON in and out, problem documents and network errors as our errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import httpx2

from previewdrop.cli.address import Address, find_address, home
from previewdrop.cli.errors import NoServer
from previewdrop.domain.errors import (
    BadInput,
    Conflict,
    NotFound,
    PreviewDropError,
    ServerError,
    Unavailable,
)

_TIMEOUT = httpx2.Timeout(30, connect=5)
_ERRORS: dict[int, type[PreviewDropError]] = {
    400: BadInput,
    404: NotFound,
    409: Conflict,
    413: BadInput,
    422: BadInput,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event: its name and its data, parsed from JSON."""

    kind: str
    data: Any


class Api:
    """One server's API. Every method raises an error of `domain.errors` and nothing else.

    `find` gives the server's address again after it went away: it may come back on another port.
    """

    def __init__(
        self,
        find: Callable[[], Address | None],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._find = find
        self._transport = transport
        self._client: httpx2.Client | None = None

    def get(self, path: str, **query: str | None) -> Any:
        return self._json("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: str | None) -> Any:
        return self._json("POST", path, body=body, query=query)

    def put(self, path: str, body: Any) -> Any:
        return self._json("PUT", path, body=body)

    def patch(self, path: str, body: Any) -> Any:
        return self._json("PATCH", path, body=body)

    def delete(self, path: str, **query: str | None) -> Any:
        return self._json("DELETE", path, query=query)

    @contextmanager
    def events(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        query: dict[str, str | None] | None = None,
        silence: float | None = None,
    ) -> Generator[Iterator[Event]]:
        """An open stream of events. It ends when the server ends it, or with Unavailable.

        `silence` is how many seconds may pass without even a keep-alive comment.
        """
        client = self._open()
        with (
            _translated(),
            client.stream(
                method,
                path,
                params=_given(query or {}),
                json=body,
                headers={"Accept": "text/event-stream"},
                timeout=httpx2.Timeout(silence, connect=5),
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise error_of(response)
            yield parsed(httpx2.EventSource(response))

    def rediscover(self) -> None:
        """Looks the server up again before the next request."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, str | None] | None = None,
    ) -> Any:
        client = self._open()
        with _translated():
            response = client.request(method, path, json=body, params=_given(query or {}))
        if not response.is_success:
            raise error_of(response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ServerError(
                f"{response.url} answered something that is not JSON.",
                "Does PREVIEWDROP_URL name a PreviewDrop server?",
            ) from error

    def _open(self) -> httpx2.Client:
        if self._client is None:
            address = self._find()
            if address is None:
                raise no_server()
            headers = {"Accept": "application/json"}
            if address.token:
                headers["Authorization"] = f"Bearer {address.token.reveal()}"
            self._client = httpx2.Client(
                base_url=address.url,
                headers=headers,
                timeout=_TIMEOUT,
                transport=self._transport,
                # A proxy of the environment never reaches this machine's own loopback.
                trust_env=not address.loopback,
            )
        return self._client


def connect() -> Api:
    """The API of the server that this command line belongs to; nothing is sent yet."""
    return Api(lambda: find_address(home()))


def preview_path(name: str, *rest: str) -> str:
    """`/api/v1/previews/{project}/{preview}…` for a full name."""
    return "/".join(
        ("/api/v1/previews", *(quote(part, safe="") for part in name.split("/")), *rest)
    )


def project_path(name: str, *rest: str) -> str:
    """`/api/v1/projects/{project}…`."""
    return "/".join(("/api/v1/projects", *(quote(part, safe="") for part in (name, *rest))))


def parsed(source: Iterator[httpx2.ServerSentEvent] | httpx2.EventSource) -> Iterator[Event]:
    """Events with their data parsed; one that is not JSON is the server's fault."""
    for event in source:
        try:
            data = json.loads(event.data) if event.data else None
        except ValueError as error:
            raise ServerError(
                f"The server sent an event {event.event!r} that is not JSON."
            ) from error
        yield Event(event.event, data)


def error_of(response: httpx2.Response) -> PreviewDropError:
    """The error that an answer stands for: a problem document, or whatever else came."""
    problem: dict[str, Any] = {}
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        problem = cast("dict[str, Any]", document)
    detail, hint = problem.get("detail"), problem.get("hint")
    if response.status_code in (401, 403):
        return BadInput(
            f"The server at {response.url.scheme}://{response.url.netloc.decode()} does not accept "
            "the token.",
            "Set PREVIEWDROP_TOKEN, or PREVIEWDROP_HOME to that server's data folder.",
        )
    kind = _ERRORS.get(response.status_code, ServerError)
    if not isinstance(detail, str) or not detail:
        title = problem.get("title")
        said = title if isinstance(title, str) and title else response.reason_phrase
        detail = f"The server answered {response.status_code} {said}".rstrip() + "."
    return kind(detail, hint if isinstance(hint, str) else None)


def problem_error(problem: dict[str, Any]) -> PreviewDropError:
    """The error that a problem document inside a stream stands for."""
    kind = _ERRORS.get(problem.get("status", 500), ServerError)
    return kind(str(problem.get("detail") or problem.get("title")), problem.get("hint"))


def no_server() -> NoServer:
    """No server answers; the sentence says where it was looked for."""
    address = find_address(home())
    if address is not None and not address.local:
        return NoServer(
            f"No PreviewDrop server answers at {address.url}.", "Check PREVIEWDROP_URL."
        )
    return NoServer(
        f"No PreviewDrop server is running for {home().path};",
        "start one with `previewdrop serve` or deploy with `previewdrop up`.",
    )


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise no_server() from error
    except httpx2.TimeoutException as error:
        raise Unavailable("The server did not answer in time.", "Try again.") from error
    except httpx2.TransportError as error:
        raise Unavailable("The connection to the server broke.", "Try again.") from error
    except (httpx2.InvalidURL, httpx2.RequestError) as error:
        raise BadInput(f"The server cannot be asked: {error}.", "Check PREVIEWDROP_URL.") from error


def _given(query: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}
