"""Repositories and who may do what in them."""

from __future__ import annotations

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, not_found
from github_standin.tokens import PersonalToken

_LEGACY = {"triage": "read", "maintain": "write"}


@operation("repos/get")
def one(call: Call) -> Answer:
    viewer = call.viewer
    level = call.repository.level(viewer.user) if isinstance(viewer, PersonalToken) else "read"
    return Answer(200, payloads.full_repository(call.repository, level))


@operation("repos/get-collaborator-permission-level")
def permission(call: Call) -> Answer:
    account = call.github.accounts.get(call.path["username"])
    if account is None:
        raise not_found()
    level = call.repository.level(account)
    shown = payloads.repository(call.repository, level)["permissions"]
    user = payloads.account(account) | {"permissions": shown, "role_name": level}
    answer = {"permission": _LEGACY.get(level, level), "role_name": level, "user": user}
    return Answer(200, answer)
