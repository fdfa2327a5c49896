"""Tokens: personal ones, and those of installations, which live for an hour."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from github_standin.accounts import Account
from github_standin.clock import Clock

if TYPE_CHECKING:
    from github_standin.apps import Installation

LIFETIME = timedelta(hours=1)


@dataclass(eq=False, slots=True)
class InstallationToken:
    """`repositories` are ids, None for all of the installation's."""

    value: str
    installation: Installation
    repositories: frozenset[int] | None
    permissions: dict[str, str]
    expires_at: datetime


@dataclass(eq=False, slots=True)
class PersonalToken:
    value: str
    user: Account


class Tokens:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, InstallationToken | PersonalToken] = {}

    def issue(
        self,
        installation: Installation,
        repositories: frozenset[int] | None,
        permissions: dict[str, str],
    ) -> InstallationToken:
        value = f"ghs_{secrets.token_hex(18)}"
        expires = self._clock.now() + LIFETIME
        token = InstallationToken(value, installation, repositories, permissions, expires)
        self._known[value] = token
        return token

    def add_personal(self, value: str, user: Account) -> None:
        self._known[value] = PersonalToken(value, user)

    def find(self, value: str) -> InstallationToken | PersonalToken | None:
        """None for one that is unknown or has expired."""
        token = self._known.get(value)
        if isinstance(token, InstallationToken) and token.expires_at <= self._clock.now():
            return None
        return token

    def expire(self) -> None:
        """All that were issued so far are good for nothing any more."""
        self._known.clear()

    def forget(self, installation: Installation) -> None:
        """Those of one installation."""
        for value, token in list(self._known.items()):
            if isinstance(token, InstallationToken) and token.installation is installation:
                del self._known[value]
