"""What follows when a branch leads somewhere else: events, and pull requests that move along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from github_standin import payloads
from github_standin.accounts import Account
from github_standin.bare import NOTHING

if TYPE_CHECKING:
    from github_standin.repository import Repository

_MOST_COMMITS = 2048


def pushed(
    repository: Repository, branch: str, before: str | None, after: str, by: Account
) -> None:
    """A branch was made (`before` None) or moved. Says so, and lets pull requests follow."""
    if before == after:
        return
    repository.pushed_at = repository.touch()
    if before is None:
        _told(repository, "create", branch, by)
    _push(repository, branch, before, after, by)
    for other in list(repository.github.repositories.values()):
        for pull in other.pulls.values():
            if pull.open and pull.source is repository and pull.branch == branch:
                pull.follow()
                pull.tell("synchronize", by, before=before or NOTHING, after=after)


def deleted(repository: Repository, branch: str, by: Account) -> None:
    """A branch is no more; pull requests that need it are closed."""
    before = repository.git.branches[branch]
    repository.git.point(branch, None)
    repository.pushed_at = repository.touch()
    for other in list(repository.github.repositories.values()):
        for pull in list(other.pulls.values()):
            from_it = pull.source is repository and pull.branch == branch
            into_it = other is repository and pull.base == branch
            if pull.open and (from_it or into_it):
                pull.close(by=by)
    _push(repository, branch, before, None, by)
    _told(repository, "delete", branch, by)


def _told(repository: Repository, event: str, branch: str, by: Account) -> None:
    facts: dict[str, Any] = {"ref": branch, "ref_type": "branch", "pusher_type": "user"}
    if event == "create":
        facts |= {"master_branch": repository.default_branch, "description": None}
    repository.github.webhooks.tell(event, facts, repository, by)


def _push(
    repository: Repository, branch: str, before: str | None, after: str | None, by: Account
) -> None:
    if not repository.github.webhooks.heard("push", repository):
        return
    git = repository.git
    start = before or git.branches[repository.default_branch]
    new = [] if after is None or start == after else git.between(start, after)
    commits = [payloads.pushed_commit(repository, sha) for sha in new[-_MOST_COMMITS:]]
    head = None if after is None else payloads.pushed_commit(repository, after)
    forced = before is not None and after is not None and not git.contains(before, after)
    ends = before or NOTHING, after or NOTHING
    facts = {
        "ref": f"refs/heads/{branch}",
        "before": ends[0],
        "after": ends[1],
        "pusher": {"name": by.login, "email": f"{by.login}@example.com"},
        "created": before is None,
        "deleted": after is None,
        "forced": forced,
        "base_ref": None,
        "compare": f"{repository.web}/compare/{ends[0][:12]}...{ends[1][:12]}",
        "commits": commits,
        "head_commit": head,
    }
    repository.github.webhooks.tell("push", facts, repository, by)
