"""A repository: its branches, people, pull requests and what belongs to its commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from github_standin import payloads
from github_standin.accounts import Account, Kind
from github_standin.bare import Bare
from github_standin.comments import Comment, comment_on
from github_standin.commits import Status
from github_standin.deployments import Deployment
from github_standin.hooks import Hook
from github_standin.pull import Label, Pull
from github_standin.push import deleted, pushed
from repositories import Files, git

if TYPE_CHECKING:
    from github_standin.github import GitHub

LEVELS = ("none", "read", "triage", "write", "maintain", "admin")


class Repository:
    """Every change through a method is an event, which webhooks tell of at once."""

    def __init__(
        self, github: GitHub, id: int, owner: Account, short: str, private: bool, branch: str
    ) -> None:
        self.github = github
        self.id = id
        self.owner = owner
        self.short = short
        self.private = private
        self.default_branch = branch
        self.parent: Repository | None = None
        self.archived = False
        self.created_at = self.updated_at = self.pushed_at = github.clock.now()
        self.people: dict[str, str] = {}
        self.pulls: dict[int, Pull] = {}
        self.comments: dict[int, Comment] = {}
        self.labels: dict[str, Label] = {}
        self.statuses: list[Status] = []
        self.check_runs: list[dict[str, Any]] = []
        self.deployments: dict[int, Deployment] = {}
        self.hooks: dict[int, Hook] = {}
        self.git = Bare(github.folder / f"{id}.git", branch)
        self._next_number = 1

    @property
    def name(self) -> str:
        return f"{self.owner.login}/{self.short}"

    @property
    def url(self) -> str:
        """For `git clone` over HTTP, without a login."""
        return f"{self.github.web}/{self.name}.git"

    @property
    def api(self) -> str:
        return f"{self.github.api}/repos/{self.name}"

    @property
    def web(self) -> str:
        return f"{self.github.web}/{self.name}"

    def begin(self, files: Files | Path) -> None:
        """The first commits, which no webhook can tell of yet."""
        if isinstance(files, Path):
            self.git.take(files, "HEAD")
            self.git.point(self.default_branch, git(files, "rev-parse", "HEAD"))
            return
        now = self.github.clock.now()
        self.git.commit(self.default_branch, files, "First commit", self.owner.login, now, None)

    def level(self, account: Account) -> str:
        """What somebody may do here, one of `LEVELS`."""
        if account is self.owner:
            return "admin"
        return self.people.get(account.login, "none" if self.private else "read")

    def may(self, account: Account, level: str) -> bool:
        return LEVELS.index(self.level(account)) >= LEVELS.index(level)

    def grant(self, account: Account, level: str = "write") -> Account:
        """Makes somebody a collaborator, or no more with `none`."""
        assert level in LEVELS, level
        self.people[account.login] = level
        return account

    def commit(
        self,
        branch: str,
        files: Files,
        message: str = "Change",
        *,
        by: Account | None = None,
        onto: str | None = None,
    ) -> str:
        """A push of one commit; its id. A new branch begins at the default branch.

        `onto` is the commit to begin at instead of the branch's: that is a forced push.
        """
        with self.github.lock:
            by = by or self.owner
            before = self.git.branches.get(branch)
            start = onto or before or self.git.branches[self.default_branch]
            after = self.git.commit(
                branch, files, message, by.login, self.github.clock.now(), start
            )
            pushed(self, branch, before, after, by)
            return after

    def push(
        self, branch: str, source: Path, *, ref: str = "HEAD", by: Account | None = None
    ) -> str:
        """A push from a repository on this machine, forced if need be; the commit's id."""
        with self.github.lock:
            before = self.git.branches.get(branch)
            after = git(source, "rev-parse", ref)
            self.git.take(source, ref)
            self.git.point(branch, after)
            pushed(self, branch, before, after, by or self.owner)
            return after

    def reset(self, branch: str, commit: str, *, by: Account | None = None) -> None:
        """A forced push that lets a branch lead to an existing commit."""
        with self.github.lock:
            before = self.git.branches.get(branch)
            self.git.point(branch, commit)
            pushed(self, branch, before, commit, by or self.owner)

    def delete_branch(self, branch: str, *, by: Account | None = None) -> None:
        """Pull requests from it or into it are closed, as GitHub does."""
        with self.github.lock:
            deleted(self, branch, by or self.owner)

    def rename_branch(self, branch: str, name: str, *, by: Account | None = None) -> None:
        """Pull requests into it follow; those from it are closed, as GitHub does."""
        with self.github.lock:
            by = by or self.owner
            sha = self.git.branches[branch]
            self.git.point(name, sha)
            if self.default_branch == branch:
                self.default_branch = name
                self.git.default(name)
            pushed(self, name, None, sha, by)
            for pull in [each for each in self.pulls.values() if each.open and each.base == branch]:
                pull.retarget(name, by=by)
            deleted(self, branch, by)

    def open_pull(
        self,
        branch: str,
        files: Files | None = None,
        *,
        base: str | None = None,
        title: str | None = None,
        body: str | None = None,
        by: Account | None = None,
        draft: bool = False,
        number: int | None = None,
        source: Repository | None = None,
        labels: tuple[str, ...] = (),
    ) -> Pull:
        """Opens a pull request from `branch`, of the fork `source` if given.

        `files` are committed to the branch first. `number` leaves out those before it.
        """
        with self.github.lock:
            by = by or self.owner
            source = source or self
            if files is not None:
                source.commit(branch, files, title or "Change", by=by)
            number = number or self._next_number
            assert number >= self._next_number, f"number {number} is taken"
            self._next_number = number + 1
            pull = Pull(self, number, source, branch, base or self.default_branch, by, draft=draft)
            pull.title, pull.body = title or f"Add {branch}", body
            pull.labels = [self.label(name) for name in labels]
            self.pulls[number] = pull
            pull.follow()
            pull.tell("opened", by)
            return pull

    def label(self, name: str) -> Label:
        """The repository's label of this name, made if it is new."""
        if name not in self.labels:
            self.labels[name] = Label(self.github.next_id(), name)
        return self.labels[name]

    def comment(self, number: int, body: str, by: Account, *, app: Any = None) -> Comment:
        """A comment on a pull request."""
        with self.github.lock:
            return comment_on(self, number, body, by, app)

    def fork(self, by: Account, name: str | None = None) -> Repository:
        """A copy that belongs to somebody else."""
        with self.github.lock:
            short, branch = name or self.short, self.default_branch
            github = self.github
            fork = Repository(github, github.next_id(), by, short, self.private, branch)
            fork.parent = self
            fork.git.take_branches(self.git)
            github.repositories[fork.id] = fork
            return fork

    def rename(self, short: str, *, by: Account | None = None) -> None:
        with self.github.lock:
            former = self.short
            self.github.moved[self.name.lower()] = self.id
            self.short = short
            changes = {"repository": {"name": {"from": former}}}
            self.tell("renamed", by or self.owner, {"changes": changes})

    def transfer(self, owner: Account, *, by: Account | None = None) -> None:
        """To another owner, whose installations decide which Apps still see it."""
        with self.github.lock:
            former, seen = self.owner, self._seen_by()
            self.github.moved[self.name.lower()] = self.id
            self.owner = owner
            for installation in seen - self._seen_by():
                installation.leave(self, by or owner)
            for installation in self._seen_by() - seen:
                installation.tell_repositories("added", [self], by or owner)
            people = former.kind is not Kind.ORGANIZATION
            shown = payloads.account(former) if people else payloads.organization(former)
            changes = {"owner": {"from": {former.kind.lower(): shown}}}
            self.tell("transferred", by or owner, {"changes": changes})

    def delete(self, *, by: Account | None = None) -> None:
        """Pull requests from it, a fork, stay open elsewhere and have no head repository."""
        with self.github.lock:
            self.tell("deleted", by or self.owner, {})
            self.github.repositories.pop(self.id)
            for installation in self.github.installations:
                if installation.repositories is not None:
                    installation.repositories.discard(self.id)
            for other in self.github.repositories.values():
                for pull in other.pulls.values():
                    if pull.source is self:
                        pull.source = None

    def tell(self, action: str, by: Account, more: Mapping[str, Any]) -> None:
        self.touch()
        self.github.webhooks.tell("repository", {"action": action, **more}, self, by)

    def touch(self) -> datetime:
        self.updated_at = self.github.clock.now()
        return self.updated_at

    def _seen_by(self) -> set[Any]:
        return {each for each in self.github.installations if each.sees(self)}
