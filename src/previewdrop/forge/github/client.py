"""Sends calls to GitHub's REST API over HTTP, with its errors as ours.

There is no library between: GitHub's protocol is a header for the token, one for the version, links
for pages and a few rules about limits, and the sans-I/O core of gidgethub would have to be worked
around where it matters (it takes SHA-1 signatures, knows no 429, and no redirections of renamed
repositories).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.answers import Answer, host_time, loaded, problem
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.host import Host, local

_TIMEOUT = 20.0
_CONNECT_WITHIN = 5.0
_CONNECTIONS = 8
"""GitHub asks for few requests at the same time; the others wait for a connection."""
_REDIRECTIONS = 3
_MOVED = frozenset({301, 302, 307, 308})
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "User-Agent": "PreviewDrop",
    # https://docs.github.com/en/rest/about-the-rest-api/api-versions
    "X-GitHub-Api-Version": "2022-11-28",
}


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token, and who it is of: the App, an installation or a person.

    GitHub's limits are theirs, not a token's: an App proves itself with a new one each second, and
    an installation gets another each hour.
    """

    token: Secret
    who: str


class Client:
    """One GitHub's API. Call `aclose` at the end.

    Unavailable when it does not answer, fails or wants to be left alone, with the seconds to wait;
    until those are over, further calls of the same one fail the same way and are not sent.
    Refused for its no. `transport` and the clocks are for tests.
    """

    def __init__(
        self,
        host: Host,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self._api = httpx2.URL(host.api)
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = 0.0
        self._silent_until: dict[str | None, float] = {}
        self._client = httpx2.AsyncClient(
            transport=transport,
            headers=_HEADERS,
            # A proxy of the environment leads out, not to this machine itself.
            trust_env=not local(self._api.host),
            timeout=httpx2.Timeout(_TIMEOUT, connect=_CONNECT_WITHIN, pool=None),
            limits=httpx2.Limits(max_connections=_CONNECTIONS),
        )

    def now(self) -> float:
        """Seconds since 1970 by GitHub's clock as its last answer told, else by our own.

        Tokens and limits are counted by GitHub's, and a machine's own is easily wrong.
        """
        return self._clock() + self._ahead

    async def send(self, call: Call, bearer: Bearer | None) -> Answer:
        """The answer to a call, made with a token or with none."""
        who = bearer.who if bearer else None
        self._stay_silent(call, who)
        answer = await self._sent(call, bearer)
        told = host_time(answer.headers)
        if told is not None:
            self._ahead = told - self._clock()
        status = answer.status_code
        if status == HTTPStatus.NOT_MODIFIED:
            return Answer(None, call.mark, changed=False)
        if status in _MOVED or status >= HTTPStatus.BAD_REQUEST:
            error = problem(call.doing, status, answer.headers, answer.content, self.now())
            if isinstance(error, Unavailable) and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                until = self._monotonic() + (error.seconds or 0)
                self._silent_until[who] = max(until, self._silent_until.get(who, 0.0))
            raise error
        return Answer(loaded(answer.content), answer.headers.get("etag"), "next" in answer.links)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _sent(self, call: Call, bearer: Bearer | None) -> httpx2.Response:
        headers: dict[str, str] = {}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.token.reveal()}"
        if call.mark is not None:
            headers["If-None-Match"] = call.mark
        request = self._client.build_request(
            call.method, self.host.api + call.path, params=call.query, json=call.body
        )
        request.headers.update(headers)
        answer = await self._answer(call, request)
        for _ in range(_REDIRECTIONS):
            target = self._target(answer)
            if target is None:
                break
            # The client's own following would make a GET of a POST, and go anywhere.
            request = self._client.build_request(
                call.method, target, json=call.body, headers=headers
            )
            answer = await self._answer(call, request)
        return answer

    async def _answer(self, call: Call, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request, follow_redirects=False)
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"GitHub did not answer when asked to {call.doing} ({type(error).__name__})."
            ) from error

    def _target(self, answer: httpx2.Response) -> httpx2.URL | None:
        """Where a renamed repository is now, on the same host; None for anything else."""
        if answer.status_code not in _MOVED or "location" not in answer.headers:
            return None
        try:
            target = answer.url.join(answer.headers["location"])
        except httpx2.InvalidURL:
            return None
        return target if _origin(target) == _origin(self._api) else None

    def _stay_silent(self, call: Call, who: str | None) -> None:
        left = self._silent_until.get(who, 0.0) - self._monotonic()
        if left > 0:
            raise Unavailable(
                f"GitHub wants fewer requests, so it was not asked to {call.doing}.", seconds=left
            )
        self._silent_until.pop(who, None)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
