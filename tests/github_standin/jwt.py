"""JSON web tokens, by which Apps prove who they are.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from github_standin.apps import App
from github_standin.calls import Refusal

if TYPE_CHECKING:
    from github_standin.github import GitHub

_LONGEST = 600
_ALGORITHM = "RS256"


def made(app: App, **claims: object) -> str:
    """One that is right, unless `claims` (`iss`, `iat`, `exp`) say otherwise."""
    now = int(app.github.clock.now().timestamp())
    said = {"iss": app.id, "iat": now - 60, "exp": now + 300, **claims}
    signed = f"{_encoded({'alg': _ALGORITHM, 'typ': 'JWT'})}.{_encoded(said)}"
    signature = app.key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_base64(signature)}"


def app_of(github: GitHub, token: str) -> App:
    """The App that made it; a Refusal with 401 if it is not right."""
    header, claims, signature = token.split(".")
    try:
        algorithm, said = _decoded(header)["alg"], _decoded(claims)
        issuer, expires, issued = str(said["iss"]), int(said["exp"]), int(said["iat"])
        proof = _bytes(signature)
    except (ValueError, KeyError, TypeError):
        raise _undecodable() from None
    app = next((a for a in github.apps.values() if issuer in (str(a.id), a.client_id)), None)
    if app is None:
        raise Refusal(401, "Integration not found")
    if algorithm != _ALGORITHM:
        raise _undecodable()
    try:
        app.key.public_key().verify(proof, f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise _undecodable() from None
    now = github.clock.now().timestamp()
    if expires <= now:
        raise Refusal(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future time "
            "at which the assertion expires",
        )
    if expires > now + _LONGEST:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    if issued > now + 1:
        raise Refusal(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion "
            "was issued",
        )
    return app


def _undecodable() -> Refusal:
    return Refusal(401, "A JSON web token could not be decoded")


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _decoded(text: str) -> dict[str, Any]:
    return json.loads(_bytes(text))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
