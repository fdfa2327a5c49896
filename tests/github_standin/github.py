"""GitHub's state, in plain Python, which tests drive: accounts, repositories and Apps."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from github_standin.accounts import Account, Kind
from github_standin.apps import App, Installation
from github_standin.clock import Clock
from github_standin.description import Description, description
from github_standin.limits import Limits
from github_standin.manifests import Manifests
from github_standin.moods import Moods
from github_standin.repository import Repository
from github_standin.tokens import Tokens
from github_standin.traffic import Traffic
from github_standin.webhooks import Webhooks
from repositories import Files, fixture

if TYPE_CHECKING:
    from github_standin.server import Server


class GitHub:
    """All of it, at the addresses `web` and `api`; repositories lie in `folder`.

    What happens is sent to `webhooks` as it happens; `moods` decide how requests fare, `traffic`
    has them all, and `violations` what strayed from GitHub's description. `signed_in` and `choice`
    are who sits at the browser (else the first user), and where Apps get installed there.
    """

    def __init__(self, folder: Path, web: str, api: str, *, enterprise: bool = False) -> None:
        self.folder = folder
        self.web = web
        self.api = api
        self.enterprise = enterprise
        self.lock = threading.RLock()
        self.clock = Clock()
        self.accounts: dict[str, Account] = {}
        self.repositories: dict[int, Repository] = {}
        self.moved: dict[str, int] = {}
        self.apps: dict[int, App] = {}
        self.tokens = Tokens(self.clock)
        self.limits = Limits(self.clock)
        self.moods = Moods()
        self.manifests = Manifests(self)
        self.traffic = Traffic()
        self.violations: list[str] = []
        self.signed_in: Account | None = None
        self.choice: tuple[Account, list[Repository] | None] | None = None
        self.server: Server | None = None
        self.webhooks = Webhooks(self)
        self._ids = itertools.count(1001)

    @property
    def description(self) -> Description:
        return description("enterprise" if self.enterprise else "api.github.com")

    def next_id(self) -> int:
        return next(self._ids)

    def user(self, login: str) -> Account:
        return self._account(login, Kind.USER)

    def organization(self, login: str) -> Account:
        return self._account(login, Kind.ORGANIZATION)

    def bot(self, login: str) -> Account:
        """An App's bot, such as `dependabot[bot]`."""
        return self._account(login, Kind.BOT)

    def repository(
        self,
        name: str,
        files: Files | Path | str | None = None,
        *,
        private: bool = False,
        branch: str = "main",
    ) -> Repository:
        """A new repository `owner/name`, its owner an organization if nobody has the name yet.

        `files` of the first commit are contents by path, the name of a fixture app or `"shop"`; a
        Path is a repository on this machine, whose commits it begins with.
        """
        owner, _, short = name.partition("/")
        with self.lock:
            account = self.accounts.get(owner) or self.organization(owner)
            repository = Repository(self, self.next_id(), account, short, private, branch)
            self.repositories[repository.id] = repository
            repository.begin(
                fixture(files or "healthy") if files is None or isinstance(files, str) else files
            )
            return repository

    def find(self, name: str) -> Repository | None:
        """The repository that has this name now, in any case of letters."""
        wanted = name.lower()
        return next((r for r in self.repositories.values() if r.name.lower() == wanted), None)

    def app(
        self,
        name: str,
        *,
        owner: Account | None = None,
        hook_url: str | None = None,
        permissions: Mapping[str, str] | None = None,
        events: Iterable[str] = (),
    ) -> App:
        """A new App, as the form in the browser makes it."""
        with self.lock:
            owner = owner or self.organization("acme")
            app = App(
                self, self.next_id(), name, owner, hook_url, dict(permissions or {}), tuple(events)
            )
            assert app.slug not in {each.slug for each in self.apps.values()}, f"{name} is taken"
            self.bot(f"{app.slug}[bot]")
            self.apps[app.id] = app
            return app

    def token_of(self, user: Account) -> str:
        """A personal access token with all that the user may do."""
        value = f"ghp_{secrets.token_hex(18)}"
        self.tokens.add_personal(value, user)
        return value

    @property
    def installations(self) -> list[Installation]:
        return [each for app in self.apps.values() for each in app.installations.values()]

    def _account(self, login: str, kind: Kind) -> Account:
        with self.lock:
            if login not in self.accounts:
                self.accounts[login] = Account(self, self.next_id(), login, kind)
            if self.signed_in is None and kind is Kind.USER:
                self.signed_in = self.accounts[login]
            assert self.accounts[login].kind is kind, f"{login} is a {self.accounts[login].kind}"
            return self.accounts[login]
