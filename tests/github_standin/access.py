"""Who asks, and whether they may: JWTs of Apps, tokens of installations and of people."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from github_standin.api.table import Known
from github_standin.apps import App
from github_standin.calls import Refusal, Viewer, not_found
from github_standin.tokens import InstallationToken, PersonalToken

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

_RANKS = ("read", "write", "admin")
_LONGEST = 600
_PERSONAL = {"read": "read", "write": "write", "admin": "admin"}
_ANYBODY_READS = frozenset({"issues", "pull_requests", "deployments", "statuses", "checks"})


def viewer(github: GitHub, authorization: str | None) -> Viewer:
    """Whose credentials these are; a Refusal with 401 if nobody's."""
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value.count(".") == 2:
        return _app(github, value)
    token = github.tokens.find(value) if scheme.lower() in ("bearer", "token") else None
    if token is None:
        raise Refusal(401, "Bad credentials")
    return token


def check(known: Known, viewer: Viewer, repository: Repository) -> None:
    """A Refusal if the viewer may not call this operation on this repository."""
    match viewer:
        case App():
            if known.handle.__module__ != "github_standin.api.apps":
                raise Refusal(403, "Resource not accessible by integration")
        case InstallationToken():
            _check_installation(known, viewer, repository)
        case PersonalToken():
            _check_person(known, viewer, repository)
        case _:
            if repository.private:
                raise not_found()
            if known.level != "read" or known.permissions == ("repository_hooks",):
                raise Refusal(401, "Requires authentication")


def _check_installation(known: Known, token: InstallationToken, repository: Repository) -> None:
    if token.installation.suspended_at is not None:
        raise Refusal(403, "This installation has been suspended")
    inside = token.installation.sees(repository) and (
        token.repositories is None or repository.id in token.repositories
    )
    if not inside and repository.private:
        raise not_found()
    if not inside and known.level == "read" and known.permissions != ("repository_hooks",):
        return
    granted = {
        name: level
        for name, level in token.permissions.items()
        if name in token.installation.permissions
    }
    if inside and not repository.private and known.level == "read":
        return
    least = _RANKS.index(known.level)
    levels = [granted[name] for name in known.permissions if name in granted]
    if inside and any(_RANKS.index(level) >= least for level in levels):
        return
    wanted = "; ".join(f"{name}={known.level}" for name in known.permissions)
    raise Refusal(
        403, "Resource not accessible by integration", X_Accepted_GitHub_Permissions=wanted
    )


def _check_person(known: Known, token: PersonalToken, repository: Repository) -> None:
    if not repository.may(token.user, "read"):
        raise not_found()
    if known.permissions == ("repository_hooks",):
        if not repository.may(token.user, "admin"):
            raise not_found()
    elif known.level == "write" and not repository.may(token.user, _least(known)):
        raise Refusal(403, "Must have write access to the repository.")


def _least(known: Known) -> str:
    """Everybody who reads a repository may comment and react."""
    return "read" if "issues" in known.permissions else "write"


def _app(github: GitHub, jwt: str) -> App:
    header, claims, signature = jwt.split(".")
    try:
        algorithm = _part(header)["alg"]
        said = _part(claims)
        issuer, expires, issued = str(said["iss"]), int(said["exp"]), int(said["iat"])
        signed = _decoded(signature)
    except (ValueError, KeyError, TypeError):
        raise Refusal(401, "A JSON web token could not be decoded") from None
    app = next((a for a in github.apps.values() if issuer in (str(a.id), a.client_id)), None)
    if app is None:
        raise Refusal(401, "Integration not found")
    if algorithm != "RS256":
        raise Refusal(401, "A JSON web token could not be decoded")
    try:
        public = app.key.public_key()
        public.verify(signed, f"{header}.{claims}".encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise Refusal(401, "A JSON web token could not be decoded") from None
    now = github.clock.now().timestamp()
    if expires <= now:
        raise Refusal(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing "
            "the future time at which the assertion expires",
        )
    if expires > now + _LONGEST:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    if issued > now + 1:
        raise Refusal(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time "
            "that the assertion was issued",
        )
    return app


def _part(text: str) -> dict[str, Any]:
    return json.loads(_decoded(text))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
