"""Where the server is and which token it wants: from the environment, or from the data folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from previewdrop.config.home import Home, default_home
from previewdrop.domain.errors import BadInput
from previewdrop.domain.secret import Secret

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Address:
    """A server's base URL and token. `local` says that it was found in the data folder."""

    url: str
    token: Secret | None
    local: bool

    @property
    def loopback(self) -> bool:
        return urlsplit(self.url).hostname in _LOOPBACK


def home() -> Home:
    """The data folder that this command line belongs to."""
    return Home(default_home())


def find_address(home: Home) -> Address | None:
    """The server to talk to, whether or not it answers; None if the data folder knows of none.

    `PREVIEWDROP_URL` and `PREVIEWDROP_TOKEN` go before the data folder. The data folder's token
    is sent to this machine only. BadInput if the URL is none.
    """
    token = os.environ.get("PREVIEWDROP_TOKEN")
    if url := os.environ.get("PREVIEWDROP_URL"):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(
                f"PREVIEWDROP_URL is {url!r}, which is not a URL.",
                "Write it as https://previewdrop.example.com.",
            )
        address = Address(url.rstrip("/"), Secret(token) if token else None, local=False)
        if token or not address.loopback:
            return address
        return Address(address.url, _token(home), local=False)
    url = recorded(home).get("url")
    if not isinstance(url, str):
        return None
    return Address(url.rstrip("/"), Secret(token) if token else _token(home), local=True)


def recorded_pid(home: Home) -> int | None:
    """The process that the data folder names as its server."""
    pid = recorded(home).get("pid")
    return pid if isinstance(pid, int) else None


def recorded(home: Home) -> dict[str, Any]:
    """What the data folder says of its server: `Home.server_file`; empty if none runs."""
    try:
        document = json.loads(home.server_file.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    except OSError as error:
        raise BadInput(f"The data folder {home.path} cannot be read: {error.strerror}.") from error
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _token(home: Home) -> Secret | None:
    try:
        return Secret(home.token_file.read_text().strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{home.token_file} cannot be read: {error.strerror}.") from error
