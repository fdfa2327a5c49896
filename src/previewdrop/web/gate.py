"""Who may do what: the API takes our token, the dashboard a session, and a few paths anybody."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from previewdrop.domain.secret import Secret
from previewdrop.web.pages.signing_in import another_site, signed_out
from previewdrop.web.session import DASHBOARD, Sessions

OPEN_PATHS = frozenset(
    {
        *("/", "/healthz", "/webhooks/github", "/sign-in"),
        *("/github/new", "/github/connected", "/github/installed"),
    }
)
"""Without our token: webhooks have a signature; a browser has a ticket or a state that we gave,
or learns nothing."""

_READING = frozenset({"GET", "HEAD"})

_REFUSAL = {
    "type": "about:blank",
    "title": "Unauthorized",
    "status": 401,
    "detail": "This needs the server's token.",
    "hint": "Send `Authorization: Bearer TOKEN`; it is in the file `token` of the data folder.",
}


class Gate:
    """ASGI middleware: 401 unless the bearer token is ours, compared in constant time.

    The dashboard is shown to a session instead, which is good for nothing else. What changes
    something must come from a page of ours: previews may be of the same site as this server, so
    that a browser would send the cookie along from there.
    """

    def __init__(
        self, app: ASGIApp, token: Secret, sessions: Sessions, public: str | None = None
    ) -> None:
        self._app = app
        self._expected = f"Bearer {token.reveal()}".encode()
        self._sessions = sessions
        self._public = "" if public is None else "://".join(urlsplit(public)[:2])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in OPEN_PATHS:
            return None
        asked = HTTPConnection(scope)
        if scope["path"].startswith(DASHBOARD):
            return self._refusal_of_page(asked)
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, self._expected):
            return None
        headers = {"WWW-Authenticate": "Bearer"}
        return JSONResponse(
            _REFUSAL, HTTPStatus.UNAUTHORIZED, headers, media_type="application/problem+json"
        )

    def _refusal_of_page(self, asked: HTTPConnection) -> Response | None:
        known = self._sessions.covers(asked.scope["path"])
        if not known or not self._sessions.valid(asked.headers.get("cookie", "")):
            return signed_out(asked.url.port)
        if asked.scope["method"] in _READING:
            return None
        origin = asked.headers.get("origin", "")
        # A proxy in front of us may have put another name into Host.
        ours = origin == self._public or origin.endswith(f"://{asked.headers.get('host')}")
        return None if origin and ours else another_site()
