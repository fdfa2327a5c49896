"""Pull requests whose previews are asked for by hand: their rules decide as for a command."""

from __future__ import annotations

from datetime import UTC, datetime

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import Verb
from previewdrop.domain.errors import Conflict
from previewdrop.domain.pulls import Mark, Show, wanted
from previewdrop.store.pulls import PullRow


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
