"""A webhook's bytes as a Delivery: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import parse_qs

from pydantic import ValidationError

from previewdrop.domain.errors import BadInput
from previewdrop.forge.events import (
    BranchDeleted,
    BranchPushed,
    CommentDeleted,
    Commented,
    Delivery,
    Event,
    InstallationJoined,
    InstallationLeft,
    PullChanged,
    RepositoryJoined,
    RepositoryLeft,
    RepositoryMoved,
)
from previewdrop.forge.github import webhooks
from previewdrop.forge.github.headers import CONTENT_TYPE, DELIVERY, EVENT, header

_BRANCH = "refs/heads/"
_FORM = "application/x-www-form-urlencoded"
_WORD = re.compile(r"[a-z0-9_]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_Events = tuple[Event, ...]


def parsed(headers: Mapping[str, str], body: bytes, web: str) -> Delivery:
    """What a webhook tells. `web` is the host's own address, such as https://github.com.

    An event that we do not know, or an action that does not concern us, tells nothing. BadInput,
    with one sentence, for a body that is no JSON object or lacks what its event must have.
    """
    event, delivery = header(headers, EVENT), header(headers, DELIVERY)
    if not _WORD.fullmatch(event) or not _ID.fullmatch(delivery):
        raise BadInput(f"A webhook of GitHub has the headers {EVENT} and {DELIVERY}, not this one.")
    payload = _loaded(header(headers, CONTENT_TYPE), body)
    action = payload.get("action")
    known = isinstance(action, str) and _WORD.fullmatch(action)
    kind = f"{event}.{action}" if known else event
    teller = _TELLERS.get(event)
    try:
        events = teller(payload, web) if teller else ()
    except ValidationError as error:
        raise BadInput(f"GitHub's event {kind} has {complaint(error)}.") from error
    return Delivery(delivery, kind, events)


def complaint(error: ValidationError) -> str:
    """The first thing that is wrong in a payload, as part of a sentence; never its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"no {place}" if first["type"] == "missing" else f"an unusable {place}"


def _loaded(content_type: str, body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
        if content_type.lower().startswith(_FORM):
            text = parse_qs(text, max_num_fields=10, errors="strict")["payload"][0]
        found: object = json.loads(text)
    except (ValueError, KeyError, RecursionError) as error:
        raise BadInput("The webhook's body is not JSON.") from error
    if not isinstance(found, dict):
        raise BadInput("The webhook's body is not a JSON object.")
    return cast("dict[str, Any]", found)


def _pull_request(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.PullHook.model_validate(payload)
    repository = hook.repository.repository(web, hook.installed)
    return (PullChanged(repository, hook.pull_request.pull(), hook.action),)


def _push(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.PushHook.model_validate(payload)
    branch = hook.ref.removeprefix(_BRANCH)
    if not hook.ref.startswith(_BRANCH) or not branch:
        return ()
    repository = hook.repository.repository(web, hook.installed)
    if hook.deleted:
        return (BranchDeleted(repository, branch),)
    message = hook.head_commit.message if hook.head_commit else ""
    return (BranchPushed(repository, branch, hook.after, message, hook.repository.pushed_at),)


def _delete(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.DeleteHook.model_validate(payload)
    if hook.ref_type != "branch":
        return ()
    return (BranchDeleted(hook.repository.repository(web, hook.installed), hook.ref),)


def _issue_comment(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.CommentHook.model_validate(payload)
    if hook.action not in ("created", "deleted") or hook.issue.pull_request is None:
        return ()
    repository = hook.repository.repository(web, hook.installed)
    if hook.action == "deleted":
        return (CommentDeleted(repository, hook.issue.number, hook.comment.id),)
    author = hook.comment.author
    return (
        Commented(
            repository=repository,
            number=hook.issue.number,
            comment=hook.comment.id,
            author=author.login,
            bot=author.bot,
            body=hook.comment.body or "",
            at=hook.comment.created_at,
        ),
    )


def _repository(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.RepositoryHook.model_validate(payload)
    repository = hook.repository.repository(web, hook.installed)
    match hook.action:
        case "renamed" | "transferred" | "privatized" | "publicized":
            return (RepositoryMoved(repository),)
        case "deleted":
            return (RepositoryLeft(repository),)
        case "created" if hook.installed is not None:
            return (RepositoryJoined(repository),)
        case _:
            return ()


def _installation(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.InstallationHook.model_validate(payload)
    installation = hook.installation.id
    match hook.action:
        case "deleted" | "suspend":
            return (InstallationLeft(installation),)
        case "created" | "unsuspend" | "new_permissions_accepted":
            told = hook.repositories or ()
            joined = (RepositoryJoined(each.repository(web, installation)) for each in told)
            return (InstallationJoined(installation), *joined)
        case _:
            return ()


def _installation_repositories(payload: dict[str, Any], web: str) -> _Events:
    hook = webhooks.GrantHook.model_validate(payload)
    installation = hook.installation.id
    added = (each.repository(web, installation) for each in hook.repositories_added)
    removed = (each.repository(web, installation) for each in hook.repositories_removed)
    return (*map(RepositoryJoined, added), *map(RepositoryLeft, removed))


_TELLERS: dict[str, Callable[[dict[str, Any], str], _Events]] = {
    "pull_request": _pull_request,
    "push": _push,
    "delete": _delete,
    "issue_comment": _issue_comment,
    "repository": _repository,
    "installation": _installation,
    "installation_repositories": _installation_repositories,
}
