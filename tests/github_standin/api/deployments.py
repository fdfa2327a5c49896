"""Deployments and their statuses."""

from __future__ import annotations

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, Refusal, not_found
from github_standin.deployments import Deployment, DeploymentStatus

_NEEDED = "deployments"


@operation("repos/list-deployments", _NEEDED)
def deployments(call: Call) -> Answer:
    query = call.query
    found = [
        each
        for each in reversed(call.repository.deployments.values())
        if query.get("sha", each.sha) == each.sha
        and query.get("ref", each.ref) == each.ref
        and query.get("task", each.task) == each.task
        and query.get("environment", each.environment) == each.environment
    ]
    return call.page(found, payloads.deployment)


@operation("repos/create-deployment", _NEEDED, level="write")
def create(call: Call) -> Answer:
    """Where required contexts are not ruled out, every status of the commit has to be green."""
    repository, body, now = call.repository, call.body, call.github.clock.now()
    sha = repository.git.find(body["ref"])
    if sha is None:
        raise Refusal(422, f"No ref found for: {body['ref']}")
    wanted = body.get("required_contexts")
    statuses = {each.context: each.state for each in repository.statuses if each.sha == sha}
    names = statuses.keys() if wanted is None else wanted
    if any(statuses.get(name) != "success" for name in names):
        raise Refusal(409, "Conflict: Commit status checks failed for this ref.")
    environment = body.get("environment", "production")
    deployment = Deployment(
        repository,
        call.github.next_id(),
        sha,
        body["ref"],
        body.get("task", "deploy"),
        body.get("payload", {}),
        environment,
        body.get("description"),
        body.get("transient_environment", False),
        body.get("production_environment", environment == "production"),
        call.actor,
        call.app,
        now,
        now,
    )
    repository.deployments[deployment.id] = deployment
    return Answer(201, payloads.deployment(deployment))


@operation("repos/get-deployment", _NEEDED)
def one(call: Call) -> Answer:
    return Answer(200, payloads.deployment(_deployment(call)))


@operation("repos/delete-deployment", _NEEDED, level="write")
def delete(call: Call) -> Answer:
    """One that is active cannot be deleted, unless it is the repository's only one."""
    deployment = _deployment(call)
    only = len(call.repository.deployments) == 1
    if deployment.state == "success" and not only:
        raise Refusal(
            422,
            "We cannot delete an active deployment unless it is the only deployment "
            "in a given environment.",
        )
    call.repository.deployments.pop(deployment.id)
    return Answer(204)


@operation("repos/list-deployment-statuses", _NEEDED)
def statuses(call: Call) -> Answer:
    deployment = _deployment(call)
    newest_first = deployment.statuses[::-1]
    return call.page(newest_first, lambda each: payloads.deployment_status(deployment, each))


@operation("repos/create-deployment-status", _NEEDED, level="write")
def say(call: Call) -> Answer:
    deployment, body = _deployment(call), call.body
    status = DeploymentStatus(
        call.github.next_id(),
        body["state"],
        call.actor,
        body.get("description", ""),
        body.get("environment", deployment.environment),
        body.get("environment_url", ""),
        body.get("log_url") or body.get("target_url", ""),
        call.github.clock.now(),
    )
    deployment.add(status, auto_inactive=body.get("auto_inactive", True))
    shown = payloads.deployment_status(deployment, status)
    return Answer(201, shown, {"Location": shown["url"]})


def _deployment(call: Call) -> Deployment:
    deployment = call.repository.deployments.get(call.id("deployment_id"))
    if deployment is None:
        raise not_found()
    return deployment
