"""A preview as GitHub's deployments: https://docs.github.com/en/rest/deployments

A deployment of GitHub's belongs to one commit, so each commit that is deployed gets one, all under
the environment of the preview's name. The branch's view button follows the newest successful one;
those before it are made inactive once it is there, because for environments that come and go GitHub
does not do that itself.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from previewdrop.forge.base import Environment, Refused, Verdict
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, results
from previewdrop.forge.github.answers import read, read_list
from previewdrop.forge.github.paging import Send

_INACTIVE = "inactive"


async def settle(
    send: Send, repository: Repository, environment: Environment, known: int | None
) -> int | None:
    """The deployment for the environment's commit says how it stands; its id.

    With the verdict None every deployment of the environment is made inactive; then the id is that
    of the newest, or None if there was none.
    """
    listed = await _listed(send, repository, environment)
    if environment.verdict is None:
        await _retire(send, repository, environment, [each.id for each in listed])
        return listed[0].id if listed else None
    current = await _find(send, repository, environment, listed, known)
    if current is None:
        current = await _create(send, repository, environment)
    await send(calls.deployment_status(repository, current, environment))
    if environment.verdict is Verdict.SUCCESS:
        older = [each.id for each in listed if each.id < current]
        await _retire(send, repository, environment, older)
    return current


async def _listed(
    send: Send, repository: Repository, environment: Environment
) -> list[results.DeploymentPayload]:
    """Newest first."""
    answer = await send(calls.deployments(repository, environment.name))
    return read_list(results.DeploymentPayload, answer.value)


async def _find(
    send: Send,
    repository: Repository,
    environment: Environment,
    listed: list[results.DeploymentPayload],
    known: int | None,
) -> int | None:
    for each in listed:
        if each.commit == environment.commit:
            return each.id
    if known is None or any(each.id == known for each in listed):
        return None
    # Lists may lag behind what was made a moment ago.
    try:
        answer = await send(calls.deployment(repository, known))
    except Refused as refused:
        if refused.missing:
            return None
        raise
    there = read(results.DeploymentPayload, answer.value)
    return known if there.commit == environment.commit else None


async def _create(send: Send, repository: Repository, environment: Environment) -> int:
    try:
        answer = await send(calls.deploy(repository, environment, environment.ref))
    except Refused as refused:
        # The branch is gone already; its commit is not.
        if (
            refused.answer != HTTPStatus.UNPROCESSABLE_ENTITY
            or environment.ref == environment.commit
        ):
            raise
        answer = await send(calls.deploy(repository, environment, environment.commit))
    return read(results.DeploymentPayload, answer.value).id


async def _retire(
    send: Send, repository: Repository, environment: Environment, newest_first: list[int]
) -> None:
    """Makes deployments inactive, down to the first that is so already.

    From the oldest on: whatever is cut off in the middle is found again from the newest on.
    """
    active: list[int] = []
    for each in newest_first:
        answer = await send(calls.deployment_statuses(repository, each))
        states = read_list(results.DeploymentState, answer.value)
        if states and states[0].state == _INACTIVE:
            break
        active.append(each)
    gone = replace(environment, verdict=None, url=None)
    for each in reversed(active):
        await send(calls.deployment_status(repository, each, gone))
