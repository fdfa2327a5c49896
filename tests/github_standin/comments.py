"""Comments on pull requests, and reactions to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from github_standin import payloads
from github_standin.accounts import Account

if TYPE_CHECKING:
    from github_standin.apps import App
    from github_standin.pull import Pull
    from github_standin.repository import Repository


@dataclass(eq=False, slots=True)
class Reaction:
    id: int
    content: str
    by: Account
    created_at: datetime


@dataclass(eq=False, slots=True)
class Comment:
    """`app` is the App that wrote it, for one of a bot's."""

    repository: Repository
    id: int
    number: int
    body: str
    by: Account
    app: App | None
    created_at: datetime
    updated_at: datetime
    reactions: list[Reaction] = field(default_factory=list[Reaction])

    @property
    def pull(self) -> Pull:
        return self.repository.pulls[self.number]

    def edit(self, body: str, *, by: Account | None = None) -> None:
        with self.repository.github.lock:
            changes = {"body": {"from": self.body}}
            self.body, self.updated_at = body, self.repository.github.clock.now()
            _tell(self, "edited", by or self.by, changes=changes)

    def delete(self, *, by: Account | None = None) -> None:
        with self.repository.github.lock:
            self.repository.comments.pop(self.id)
            _tell(self, "deleted", by or self.by)

    def react(self, content: str, by: Account) -> tuple[Reaction, bool]:
        """The reaction, and whether it is new: nobody reacts twice in the same way."""
        with self.repository.github.lock:
            for each in self.reactions:
                if each.by is by and each.content == content:
                    return each, False
            github = self.repository.github
            reaction = Reaction(github.next_id(), content, by, github.clock.now())
            self.reactions.append(reaction)
            return reaction, True


def comment_on(
    repository: Repository, number: int, body: str, by: Account, app: App | None
) -> Comment:
    github = repository.github
    now = github.clock.now()
    comment = Comment(repository, github.next_id(), number, body, by, app, now, now)
    repository.comments[comment.id] = comment
    comment.pull.updated_at = now
    _tell(comment, "created", by)
    return comment


def _tell(comment: Comment, action: str, by: Account, **more: Any) -> None:
    if not comment.repository.github.webhooks.heard("issue_comment", comment.repository):
        return
    facts = {
        "action": action,
        **more,
        "issue": payloads.issue(comment.pull),
        "comment": payloads.comment(comment),
    }
    comment.repository.github.webhooks.tell("issue_comment", facts, comment.repository, by)
