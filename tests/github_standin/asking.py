"""A plain HTTP client for GitHub's API, for tests that have none of their own."""

from __future__ import annotations

import httpx2

from github_standin import jwt
from github_standin.accounts import Account
from github_standin.apps import App, Installation
from github_standin.github import GitHub

Who = App | Installation | Account | str | None


def asking(github: GitHub, who: Who = None) -> httpx2.AsyncClient:
    """Asks as an App, as its installation, as a person, with a token, or as nobody."""
    headers = {"User-Agent": "tests", "Accept": "application/vnd.github+json"}
    match who:
        case App():
            headers["Authorization"] = f"Bearer {jwt.made(who)}"
        case Installation():
            headers["Authorization"] = f"Bearer {who.token().value}"
        case Account():
            headers["Authorization"] = f"Bearer {github.token_of(who)}"
        case str():
            headers["Authorization"] = f"Bearer {who}"
        case None:
            pass
    return httpx2.AsyncClient(base_url=github.api, headers=headers, timeout=60, trust_env=False)
