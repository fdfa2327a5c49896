"""Pull requests whose previews are asked for by hand: their rules decide as for a command."""

from __future__ import annotations

from datetime import UTC, datetime

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import Verb
from previewdrop.domain.errors import Conflict, NotFound, Unavailable
from previewdrop.domain.pulls import Mark, Show, wanted
from previewdrop.forge.events import Repository
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Project
from previewdrop.web.ports import Control


async def pull_now(control: Control, project: Project, number: int | None) -> PullRow | None:
    """The pull request as its host tells it now, or as it is known while the host is silent.

    None where there is no host, or nothing is known. NotFound for one that the host does not have.
    """
    if number is None or project.forge_id is None or project.repository is None:
        return None
    forges = {stored.id: forge for stored, forge in await control.hosts()}
    forge = forges.get(project.forge_id)
    if forge is None:
        return await control.store.pulls.of(project.id, number)
    repository = Repository(
        id=project.repository,
        name=project.repository_name or "",
        url=project.source,
        installation=project.installation,
    )
    try:
        now = await forge.pull(repository, number)
    except Unavailable:
        return await control.store.pulls.of(project.id, number)
    if now is None:
        raise NotFound(f"{repository.name} has no pull request {number}.", "Leave out `--number`.")
    await control.store.pulls.take(project.id, now)
    return await control.store.pulls.of(project.id, number)


def deploy_mark(pull: PullRow) -> Mark:
    """What somebody says who asks for a preview now."""
    return Mark(datetime.now(UTC), Verb.DEPLOY, pull.pull.head)


def agreed(pull: PullRow, mark: Mark, branch: str) -> Show:
    """What is to be shown if that is said; Conflict where nothing may be, or of another branch."""
    policy = pull_rules(pull.project.settings).policy
    decision = wanted(pull.pull, policy, (*pull.marks, mark), pull.message, pull.expired)
    if not isinstance(decision, Show):
        raise Conflict(decision.reason.message, decision.reason.hint)
    if pull.pull.fork is False and branch != pull.pull.branch:
        raise Conflict(
            f"Pull request {pull.pull.number} is of the branch {pull.pull.branch}, not {branch}.",
            f"Write `--branch {pull.pull.branch}`, or leave out `--number`.",
        )
    return decision
