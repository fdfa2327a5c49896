"""The server user's own logins at image registries, as `docker login` keeps them.

https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret

_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_WITHIN = 15.0
_NO_USER = "<token>"
"""What a helper gives as the user of an identity token."""


@dataclass(frozen=True, slots=True)
class Login:
    """`user` is empty when `secret` is an identity token instead of a password."""

    user: str
    secret: Secret


class Logins:
    """Finds the login of one registry in a `config.json`, or with the credential helper it names.

    Read anew each time, as a token in it may be a short-lived one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or default_path(os.environ, Path.home())

    async def find(self, host: str) -> Login | None:
        """The login at `host`; None for none. BadConfig when the file or the helper is broken."""
        config = read(self._path)
        server = _HUB if host in _HUB_HOSTS else host
        helper = helper_for(config, server)
        if helper and (program := shutil.which(f"docker-credential-{helper}")):
            found = await _ask(program, server)
            if found:
                return found
        return stored(config, server)


def default_path(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def read(path: Path) -> dict[str, Any]:
    """The file's content; empty when there is no file."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadConfig(
            f"{path} cannot be read ({error}), so images behind a login cannot be pulled.",
            "Mend or remove that file, then log in again with `docker login`.",
        ) from error
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def helper_for(config: Mapping[str, Any], server: str) -> str | None:
    """The credential helper in charge of a server: the X of `docker-credential-X`."""
    helpers = _table(config.get("credHelpers"))
    name = helpers.get(_host(server)) or helpers.get(server) or config.get("credsStore")
    return name if isinstance(name, str) and _HELPER.fullmatch(name) else None


def stored(config: Mapping[str, Any], server: str) -> Login | None:
    """The login that the file itself holds."""
    auths = _table(config.get("auths"))
    for key in (server, *(key for key in auths if _host(key) == _host(server))):
        if login := _login(_table(auths.get(key))):
            return login
    return None


def _login(entry: Mapping[str, Any]) -> Login | None:
    if token := entry.get("identitytoken"):
        return Login("", Secret(str(token)))
    try:
        decoded = base64.b64decode(str(entry.get("auth", "")), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadConfig("An `auth` in Docker's config.json is not base64 of user:password.") from (
            error
        )
    user, _, password = decoded.rstrip("\0").partition(":")
    user, password = user or str(entry.get("username", "")), password or entry.get("password", "")
    return Login(user, Secret(str(password))) if user and password else None


async def _ask(program: str, server: str) -> Login | None:
    """Runs a credential helper; None when it knows nothing of the server.

    https://github.com/docker/docker-credential-helpers
    """
    name = Path(program).name
    try:
        helper = await asyncio.create_subprocess_exec(
            program, "get", stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except OSError as error:
        raise BadConfig(f"{name} cannot be run ({error}).") from error
    try:
        async with asyncio.timeout(_HELPER_WITHIN):
            said, _ = await helper.communicate(server.encode())
    except TimeoutError as error:
        raise BadConfig(
            f"{name} did not answer within {_HELPER_WITHIN:.0f} s.",
            "Log in at the registry again as the user that runs PreviewDrop.",
        ) from error
    finally:
        if helper.returncode is None:
            helper.kill()
            await helper.wait()
    if helper.returncode:
        return None
    try:
        answer = _table(json.loads(said))
    except ValueError as error:
        raise BadConfig(f"{name} gave an answer that is no JSON.") from error
    user, secret = str(answer.get("Username", "")), str(answer.get("Secret", ""))
    if not secret:
        return None
    return Login("" if user == _NO_USER else user, Secret(secret))


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _host(server: str) -> str:
    return server.partition("://")[2].partition("/")[0] if "://" in server else server.split("/")[0]
