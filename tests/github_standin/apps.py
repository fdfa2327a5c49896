"""Apps and their installations."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from github_standin import payloads
from github_standin.accounts import Account
from github_standin.tokens import InstallationToken

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

ALWAYS = frozenset({"installation", "installation_repositories", "ping"})
"""Events that an App gets without subscribing."""


class App:
    def __init__(
        self,
        github: GitHub,
        id: int,
        name: str,
        owner: Account,
        hook_url: str | None,
        permissions: dict[str, str],
        events: tuple[str, ...],
    ) -> None:
        self.github = github
        self.id = id
        self.name = name
        self.slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        self.owner = owner
        self.hook_url = hook_url
        self.permissions = {"metadata": "read", **permissions}
        self.events = events
        self.client_id = f"Iv23li{secrets.token_hex(7)}"
        self.client_secret = secrets.token_hex(20)
        self.webhook_secret = secrets.token_hex(20)
        self.description: str | None = None
        self.external_url = github.web
        self.setup_url: str | None = None
        self.public = False
        self.created_at = github.clock.now()
        self.installations: dict[int, Installation] = {}

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def pem(self) -> str:
        """The private key, as GitHub hands it out."""
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(
            serialization.Encoding.PEM, form, serialization.NoEncryption()
        ).decode()

    @property
    def bot(self) -> Account:
        return self.github.accounts[f"{self.slug}[bot]"]

    def install(
        self,
        account: Account,
        repositories: Iterable[Repository] | None = None,
        *,
        by: Account | None = None,
    ) -> Installation:
        """Installs it at an account, for all of its repositories or for these."""
        with self.github.lock:
            chosen = None if repositories is None else {each.id for each in repositories}
            installation = Installation(self, self.github.next_id(), account, chosen)
            self.installations[installation.id] = installation
            installation.tell("created", by or account, repositories=True)
            return installation

    def ping(self) -> None:
        """What GitHub sends when the App's webhook is set."""
        self.github.webhooks.ping_app(self)


class Installation:
    """`repositories` are ids, None for all of the account's."""

    def __init__(self, app: App, id: int, account: Account, repositories: set[int] | None) -> None:
        self.app = app
        self.github = app.github
        self.id = id
        self.account = account
        self.repositories = repositories
        self.permissions = dict(app.permissions)
        self.created_at = self.updated_at = app.github.clock.now()
        self.suspended_at: datetime | None = None
        self.suspended_by: Account | None = None

    def sees(self, repository: Repository) -> bool:
        if repository.owner is not self.account:
            return False
        return self.repositories is None or repository.id in self.repositories

    @property
    def seen(self) -> list[Repository]:
        return [each for each in self.github.repositories.values() if self.sees(each)]

    def token(
        self,
        repositories: frozenset[int] | None = None,
        permissions: dict[str, str] | None = None,
    ) -> InstallationToken:
        granted = dict(permissions or {}) or dict(self.permissions)
        return self.github.tokens.issue(self, repositories, granted)

    def suspend(self, *, by: Account | None = None) -> None:
        with self.github.lock:
            self.suspended_at, self.suspended_by = self.github.clock.now(), by or self.account
            self.tell("suspend", by or self.account, repositories=True, always=True)

    def unsuspend(self, *, by: Account | None = None) -> None:
        with self.github.lock:
            self.suspended_at = self.suspended_by = None
            self.tell("unsuspend", by or self.account, repositories=True)

    def uninstall(self, *, by: Account | None = None) -> None:
        with self.github.lock:
            self.tell("deleted", by or self.account, repositories=True, always=True)
            self.app.installations.pop(self.id)
            self.github.tokens.forget(self)

    def revoke(self, *permissions: str) -> None:
        """Permissions that it has no more; tokens that were issued lose them too."""
        for each in permissions:
            self.permissions.pop(each, None)

    def add(self, *repositories: Repository, by: Account | None = None) -> None:
        with self.github.lock:
            assert self.repositories is not None, "it has all of them already"
            self.repositories |= {each.id for each in repositories}
            self.tell_repositories("added", list(repositories), by or self.account)

    def remove(self, *repositories: Repository, by: Account | None = None) -> None:
        with self.github.lock:
            assert self.repositories is not None, "it has all of them"
            self.repositories -= {each.id for each in repositories}
            self.tell_repositories("removed", list(repositories), by or self.account)

    def leave(self, repository: Repository, by: Account) -> None:
        """A repository that belongs to somebody else now."""
        if self.repositories is not None:
            self.repositories.discard(repository.id)
        self.tell_repositories("removed", [repository], by)

    def tell(
        self, action: str, by: Account, *, repositories: bool = False, always: bool = False
    ) -> None:
        """`always` sends it although the installation is suspended or on its way out."""
        facts = {"action": action, "installation": payloads.installation(self)}
        if repositories:
            facts["repositories"] = [payloads.named(each) for each in self.seen]
        if action == "created":
            facts["requester"] = None
        self.github.webhooks.tell_installation("installation", facts, self, by, always)

    def tell_repositories(self, action: str, some: list[Repository], by: Account) -> None:
        named = [payloads.named(each) for each in some]
        facts = {
            "action": action,
            "installation": payloads.installation(self),
            "repository_selection": "all" if self.repositories is None else "selected",
            "repositories_added": named if action == "added" else [],
            "repositories_removed": named if action == "removed" else [],
            "requester": None,
        }
        self.github.webhooks.tell_installation("installation_repositories", facts, self, by, False)
