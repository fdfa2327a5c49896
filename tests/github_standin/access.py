"""Who asks, and whether they may: JWTs of Apps, tokens of installations and of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin import jwt
from github_standin.api.table import Known
from github_standin.apps import App
from github_standin.calls import Refusal, Viewer, not_found
from github_standin.tokens import InstallationToken, PersonalToken

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

_HOOKS = ("repository_hooks",)
_RANKS = ("read", "write", "admin")


def viewer(github: GitHub, authorization: str | None) -> Viewer:
    """Whose credentials these are; a Refusal with 401 if nobody's."""
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value.count(".") == 2:
        return jwt.app_of(github, value)
    token = github.tokens.find(value) if scheme.lower() in ("bearer", "token") else None
    if token is None:
        raise Refusal(401, "Bad credentials")
    return token


def check(known: Known, viewer: Viewer, repository: Repository) -> None:
    """A Refusal if the viewer may not call this operation on this repository."""
    public = not repository.private and known.level == "read" and known.permissions != _HOOKS
    match viewer:
        case App():
            if known.handle.__module__ != "github_standin.api.apps":
                raise Refusal(403, "Resource not accessible by integration")
        case InstallationToken():
            _check_installation(known, viewer, repository, public)
        case PersonalToken():
            _check_person(known, viewer, repository)
        case _:
            if repository.private:
                raise not_found()
            if not public:
                raise Refusal(401, "Requires authentication")


def _check_installation(
    known: Known, token: InstallationToken, repository: Repository, public: bool
) -> None:
    installation = token.installation
    if installation.suspended_at is not None:
        raise Refusal(403, "This installation has been suspended")
    inside = installation.sees(repository) and (
        token.repositories is None or repository.id in token.repositories
    )
    if not inside and repository.private:
        raise not_found()
    levels = [
        token.permissions[name]
        for name in known.permissions
        if name in token.permissions and name in installation.permissions
    ]
    least = _RANKS.index(known.level)
    enough = inside and any(_RANKS.index(each) >= least for each in levels)
    if not enough and not public:
        wanted = "; ".join(f"{name}={known.level}" for name in known.permissions)
        message = "Resource not accessible by integration"
        raise Refusal(403, message, X_Accepted_GitHub_Permissions=wanted)


def _check_person(known: Known, token: PersonalToken, repository: Repository) -> None:
    if not repository.may(token.user, "admin" if known.permissions == _HOOKS else "read"):
        raise not_found()
    # Everybody who reads a repository may comment and react.
    least = "read" if "issues" in known.permissions else "write"
    if known.level == "write" and not repository.may(token.user, least):
        raise Refusal(403, "Must have write access to the repository.")
