"""A pull request: its commits, its state, and what tests let happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from github_standin import payloads
from github_standin.accounts import Account
from github_standin.push import pushed
from repositories import Files

if TYPE_CHECKING:
    from github_standin.comments import Comment
    from github_standin.repository import Repository


@dataclass(eq=False, slots=True)
class Label:
    id: int
    name: str
    color: str = "ededed"


@dataclass(eq=False, slots=True)
class Labelling:
    """A label that was set, or taken away with `there` False."""

    id: int
    label: Label
    there: bool
    by: Account
    at: datetime


class Pull:
    """`source` is the repository of its head: another one for a fork, None if it was deleted."""

    def __init__(
        self,
        repository: Repository,
        number: int,
        source: Repository,
        branch: str,
        base: str,
        author: Account,
        *,
        draft: bool = False,
    ) -> None:
        self.repository = repository
        self.github = repository.github
        self.id = self.github.next_id()
        self.number = number
        self.source: Repository | None = source
        self.branch = branch
        self.base = base
        self.author = author
        self.draft = draft
        self.title = ""
        self.body: str | None = None
        self.labels: list[Label] = []
        self.labellings: list[Labelling] = []
        self.open = True
        self.merged_by: Account | None = None
        self.merge_commit: str | None = None
        self.created_at = self.updated_at = self.github.clock.now()
        self.closed_at: datetime | None = None
        self.head = self.base_commit = ""

    def __repr__(self) -> str:
        return f"{self.repository.name}#{self.number}"

    @property
    def merged(self) -> bool:
        return self.merged_by is not None

    @property
    def fork(self) -> bool:
        return self.source is not self.repository

    @property
    def comments(self) -> list[Comment]:
        """In the order they were written, without the deleted ones."""
        return [each for each in self.repository.comments.values() if each.number == self.number]

    def push(
        self, files: Files | None = None, message: str = "Change", *, by: Account | None = None
    ) -> str:
        """One more commit; its id."""
        assert self.source is not None
        return self.source.commit(self.branch, files or {}, message, by=by or self.author)

    def force_push(
        self, files: Files | None = None, message: str = "Rewritten", *, by: Account | None = None
    ) -> str:
        """Replaces all of its commits by one that stands on the base; its id."""
        assert self.source is not None
        onto = self.repository.git.branches[self.base]
        if self.fork:
            self.source.git.take(self.repository.git.path, f"refs/heads/{self.base}")
        by = by or self.author
        return self.source.commit(self.branch, files or {}, message, by=by, onto=onto)

    def close(self, *, by: Account | None = None) -> None:
        """Without merging."""
        with self.github.lock:
            self._end()
            self.tell("closed", by or self.author)

    def merge(self, *, by: Account | None = None) -> str:
        """Merges for real; the merge commit. AssertionError if there are conflicts."""
        with self.github.lock:
            assert self.open, self
            by = by or self.repository.owner
            merge = self.trial_merge(by)
            assert merge is not None, f"{self} has conflicts"
            before = self.repository.git.branches[self.base]
            self.repository.git.point(self.base, merge)
            self.merged_by, self.merge_commit = by, merge
            self._end()
            pushed(self.repository, self.base, before, merge, by)
            self.tell("closed", by)
            return merge

    def reopen(self, *, by: Account | None = None) -> None:
        with self.github.lock:
            assert not self.open, self
            assert not self.merged, self
            self.open, self.closed_at = True, None
            self.follow()
            self.tell("reopened", by or self.author)

    def retarget(self, base: str, *, by: Account | None = None) -> None:
        """Into another branch."""
        with self.github.lock:
            changes = {"base": {"ref": {"from": self.base}, "sha": {"from": self.base_commit}}}
            self.base = base
            self.follow()
            self.tell("edited", by or self.author, changes=changes)

    def edit(
        self, *, title: str | None = None, body: str | None = None, by: Account | None = None
    ) -> None:
        with self.github.lock:
            changes: dict[str, Any] = {}
            if title is not None:
                changes["title"], self.title = {"from": self.title}, title
            if body is not None:
                changes["body"], self.body = {"from": self.body or ""}, body
            self.tell("edited", by or self.author, changes=changes)

    def ready(self, *, by: Account | None = None) -> None:
        """No draft any more."""
        with self.github.lock:
            self.draft = False
            self.tell("ready_for_review", by or self.author)

    def to_draft(self, *, by: Account | None = None) -> None:
        with self.github.lock:
            self.draft = True
            self.tell("converted_to_draft", by or self.author)

    def label(self, name: str, *, by: Account | None = None) -> None:
        with self.github.lock:
            label = self.repository.label(name)
            self.labels.append(label)
            self._labelled(label, by or self.author, there=True)

    def unlabel(self, name: str, *, by: Account | None = None) -> None:
        with self.github.lock:
            label = self.repository.label(name)
            self.labels.remove(label)
            self._labelled(label, by or self.author, there=False)

    def comment(self, body: str, *, by: Account | None = None) -> Comment:
        return self.repository.comment(self.number, body, by or self.author)

    def trial_merge(self, by: Account | None = None) -> str | None:
        """The commit that merging would make, at `refs/pull/…/merge`; None for conflicts."""
        git, name = self.repository.git, (by or self.repository.owner).login
        base = git.branches[self.base]
        source = self.label_of_head.replace(":", "/")
        message = f"Merge pull request #{self.number} from {source}\n\n{self.title}"
        merge = git.merged(base, self.head, message, name, self.github.clock.now())
        git.point_ref(f"refs/pull/{self.number}/merge", merge)
        return merge

    @property
    def size(self) -> tuple[int, int, int, int]:
        """Lines added, lines deleted, changed files, commits."""
        git = self.repository.git
        changes = git.compared(self.base_commit, self.head)
        plus, minus = sum(c.additions for c in changes), sum(c.deletions for c in changes)
        return plus, minus, len(changes), len(git.between(self.base_commit, self.head))

    @property
    def label_of_head(self) -> str:
        owner = "unknown" if self.source is None else self.source.owner.login
        return f"{owner}:{self.branch}"

    def follow(self) -> None:
        """Notes where its branches lead now, and makes `refs/pull/…/head`."""
        assert self.source is not None
        ref = f"refs/pull/{self.number}/head"
        head, base = self.source.git.branches[self.branch], self.repository.git.branches[self.base]
        if self.fork:
            self.repository.git.take(self.source.git.path, f"+{head}:{ref}")
        else:
            self.repository.git.point_ref(ref, head)
        self.head, self.base_commit = head, base

    def tell(self, action: str, by: Account, **more: Any) -> None:
        """The event of a change, which is now."""
        self.updated_at = self.github.clock.now()
        if not self.github.webhooks.heard("pull_request", self.repository):
            return
        facts: Mapping[str, Any] = {"action": action, "number": self.number, **more}
        payload = {**facts, "pull_request": payloads.pull(self)}
        self.github.webhooks.tell("pull_request", payload, self.repository, by)

    def _labelled(self, label: Label, by: Account, *, there: bool) -> None:
        action = "labeled" if there else "unlabeled"
        self.tell(action, by, label=payloads.label(self.repository, label))
        event = Labelling(self.github.next_id(), label, there, by, self.updated_at)
        self.labellings.append(event)

    def _end(self) -> None:
        assert self.open, self
        self.open, self.closed_at = False, self.github.clock.now()
