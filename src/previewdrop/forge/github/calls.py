"""Every request that is sent to GitHub's REST API, as plain data: https://docs.github.com/en/rest

`doing` completes a sentence that begins with "GitHub refused to". Texts that GitHub limits are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Environment, Status, Verdict
from previewdrop.forge.events import Repository

PAGE = 100
"""The most that a list call gives at once."""

_DESCRIPTION = 140
_STATES = {
    Verdict.PENDING: "in_progress",
    Verdict.SUCCESS: "success",
    Verdict.FAILURE: "failure",
    None: "inactive",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `mark` is the ETag of an answer to it that is known already."""

    method: str
    path: str
    doing: str
    query: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    # Not shown: a webhook's secret is in one.
    body: object = field(default=None, repr=False)
    mark: str | None = None


def app() -> Call:
    """https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app"""
    return Call("GET", "/app", "tell which App this is")


def user() -> Call:
    """https://docs.github.com/en/rest/users/users#get-the-authenticated-user"""
    return Call("GET", "/user", "tell whose token this is")


def conversion(code: str) -> Call:
    """https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest"""
    return Call(
        "POST", f"/app-manifests/{quote(code, safe='')}/conversions", "hand over the new App"
    )


def installations(page: int) -> Call:
    """https://docs.github.com/en/rest/apps/apps#list-installations-for-the-authenticated-app"""
    return Call("GET", "/app/installations", "list the App's installations", _paged(page))


def installation(repository: Repository) -> Call:
    """https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app"""
    doing = f"tell who installed the App for {repository.name}"
    return Call("GET", f"{_at(repository)}/installation", doing)


def token(installation: int, only: Repository | None = None) -> Call:
    """A token of an installation, or one that can do no more than clone a single repository.

    https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
    """
    body = {"repository_ids": [only.id], "permissions": {"contents": "read"}} if only else None
    doing = f"let the App clone {only.name}" if only else "let the App work at an account"
    return Call("POST", f"/app/installations/{installation}/access_tokens", doing, body=body)


def installed_repositories(page: int) -> Call:
    """https://docs.github.com/en/rest/apps/installations#list-repositories-accessible-to-the-app-installation"""
    return Call("GET", "/installation/repositories", "list the App's repositories", _paged(page))


def own_repositories(page: int) -> Call:
    """https://docs.github.com/en/rest/repos/repos#list-repositories-for-the-authenticated-user"""
    return Call("GET", "/user/repos", "list the token's repositories", _paged(page))


def repository(repository: Repository) -> Call:
    """https://docs.github.com/en/rest/repos/repos#get-a-repository"""
    return Call("GET", _at(repository), f"show {repository.name}")


def pulls(repository: Repository, page: int, mark: str | None = None) -> Call:
    """https://docs.github.com/en/rest/pulls/pulls#list-pull-requests"""
    # Newest first: a new one then changes the first page, and a closed one its own.
    query = {"state": "open", "sort": "created", "direction": "desc", **_paged(page)}
    doing = f"list the pull requests of {repository.name}"
    return Call("GET", f"{_at(repository)}/pulls", doing, query, mark=mark)


def pull(repository: Repository, number: int) -> Call:
    """https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request"""
    return Call("GET", f"{_at(repository)}/pulls/{number}", f"show {repository.name}#{number}")


def issue_events(repository: Repository, number: int, page: int) -> Call:
    """Oldest first. https://docs.github.com/en/rest/issues/events#list-issue-events-for-a-repository"""
    path = f"{_at(repository)}/issues/{number}/events"
    return Call("GET", path, f"tell who labelled {repository.name}#{number}", _paged(page))


def permission(repository: Repository, login: str) -> Call:
    """https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user"""
    path = f"{_at(repository)}/collaborators/{quote(login, safe='')}/permission"
    return Call("GET", path, f"tell who may write to {repository.name}")


def comments(repository: Repository, number: int, page: int) -> Call:
    """https://docs.github.com/en/rest/issues/comments#list-issue-comments"""
    path = f"{_at(repository)}/issues/{number}/comments"
    return Call("GET", path, f"list the comments on {repository.name}#{number}", _paged(page))


def comments_since(repository: Repository, since: datetime, page: int) -> Call:
    """https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository"""
    # Newest first: one that is changed meanwhile then moves none over the edge of a page unseen.
    query = {"since": _time(since), "sort": "updated", "direction": "desc", **_paged(page)}
    doing = f"list the comments of {repository.name}"
    return Call("GET", f"{_at(repository)}/issues/comments", doing, query)


def write_comment(repository: Repository, number: int, text: str) -> Call:
    """https://docs.github.com/en/rest/issues/comments#create-an-issue-comment"""
    path = f"{_at(repository)}/issues/{number}/comments"
    return Call("POST", path, f"comment on {repository.name}#{number}", body={"body": text})


def change_comment(repository: Repository, comment: int, text: str) -> Call:
    """https://docs.github.com/en/rest/issues/comments#update-an-issue-comment"""
    path = f"{_at(repository)}/issues/comments/{comment}"
    return Call("PATCH", path, f"change a comment in {repository.name}", body={"body": text})


def react(repository: Repository, comment: int, reaction: str) -> Call:
    """https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment"""
    path = f"{_at(repository)}/issues/comments/{comment}/reactions"
    return Call("POST", path, f"react in {repository.name}", body={"content": reaction})


def status(repository: Repository, status: Status) -> Call:
    """https://docs.github.com/en/rest/commits/statuses#create-a-commit-status"""
    body = {
        "state": status.verdict.value,
        "context": status.context,
        "description": cut(status.description),
        "target_url": status.url,
    }
    path = f"{_at(repository)}/statuses/{status.commit}"
    return Call("POST", path, f"set a commit's status in {repository.name}", body=body)


def deployments(repository: Repository, environment: str) -> Call:
    """https://docs.github.com/en/rest/deployments/deployments#list-deployments"""
    query = {"environment": environment, "per_page": PAGE}
    doing = f"list the deployments of {environment}"
    return Call("GET", f"{_at(repository)}/deployments", doing, query)


def deployment(repository: Repository, deployment: int) -> Call:
    """https://docs.github.com/en/rest/deployments/deployments#get-a-deployment"""
    doing = f"show a deployment in {repository.name}"
    return Call("GET", f"{_at(repository)}/deployments/{deployment}", doing)


def deploy(repository: Repository, environment: Environment, ref: str) -> Call:
    """https://docs.github.com/en/rest/deployments/deployments#create-a-deployment"""
    body: dict[str, object] = {
        "ref": ref,
        "environment": environment.name,
        "description": cut(environment.description),
        # Whether to deploy is decided already: nothing is to be merged first or waited for.
        "auto_merge": False,
        "required_contexts": [],
        "transient_environment": True,
        "production_environment": False,
        # The branch may have moved on by now, so that `sha` of the deployment is a later one.
        "payload": {"commit": environment.commit},
    }
    doing = f"list {environment.name} as a deployment"
    return Call("POST", f"{_at(repository)}/deployments", doing, body=body)


def deployment_statuses(repository: Repository, deployment: int) -> Call:
    """The newest status. https://docs.github.com/en/rest/deployments/statuses#list-deployment-statuses"""
    path = f"{_at(repository)}/deployments/{deployment}/statuses"
    doing = f"tell a deployment's state in {repository.name}"
    return Call("GET", path, doing, {"per_page": 1})


def deployment_status(repository: Repository, deployment: int, environment: Environment) -> Call:
    """https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status"""
    body = {
        "state": _STATES[environment.verdict],
        "description": cut(environment.description),
        "environment": environment.name,
        "auto_inactive": False,
        **({"environment_url": environment.url} if environment.url else {}),
        **({"log_url": environment.log_url} if environment.log_url else {}),
    }
    path = f"{_at(repository)}/deployments/{deployment}/statuses"
    return Call("POST", path, f"set the state of {environment.name}", body=body)


def hooks(repository: Repository, page: int) -> Call:
    """https://docs.github.com/en/rest/repos/webhooks#list-repository-webhooks"""
    doing = f"list the webhooks of {repository.name}"
    return Call("GET", f"{_at(repository)}/hooks", doing, _paged(page))


def hook(
    repository: Repository,
    address: str,
    secret: Secret,
    events: Sequence[str],
    known: int | None = None,
) -> Call:
    """Makes a webhook, or changes the one that is known.

    https://docs.github.com/en/rest/repos/webhooks#create-a-repository-webhook
    """
    config = {"url": address, "content_type": "json", "secret": secret.reveal()}
    body = {"config": config, "events": list(events), "active": True}
    path, doing = f"{_at(repository)}/hooks", f"send webhooks of {repository.name}"
    if known is None:
        return Call("POST", path, doing, body={"name": "web", **body})
    return Call("PATCH", f"{path}/{known}", doing, body=body)


def cut(text: str) -> str:
    """In one line and not longer than GitHub takes a description."""
    line = " ".join(text.split())
    return line if len(line) <= _DESCRIPTION else f"{line[: _DESCRIPTION - 1]}…"


def _at(repository: Repository) -> str:
    return f"/repos/{quote(repository.name)}"


def _paged(page: int) -> dict[str, str | int]:
    return {"per_page": PAGE, "page": page}


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
