"""Who may use the API: whoever has the token, on every route but a few that are named here."""

from __future__ import annotations

import hmac
import json

from starlette.types import ASGIApp, Receive, Scope, Send

from previewdrop.domain.secret import Secret

OPEN_PATHS = frozenset(
    {"/healthz", "/webhooks/github", "/github/new", "/github/connected", "/github/installed"}
)
"""Without our token: webhooks have a signature; a browser has a state that we gave, or learns
nothing."""

_REFUSAL = {
    "type": "about:blank",
    "title": "Unauthorized",
    "status": 401,
    "detail": "This needs the server's token.",
    "hint": "Send `Authorization: Bearer TOKEN`; it is in the file `token` of the data folder.",
}


class Gate:
    """ASGI middleware: 401 unless the bearer token is ours, compared in constant time."""

    def __init__(self, app: ASGIApp, token: Secret) -> None:
        self._app = app
        self._expected = f"Bearer {token.reveal()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        body = json.dumps(_REFUSAL).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"www-authenticate", b"Bearer"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _may_pass(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._expected)
