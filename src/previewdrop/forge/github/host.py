"""Where a GitHub is: github.com, an Enterprise Server, or one with data residency at ghe.com."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from previewdrop.domain.errors import BadConfig


@dataclass(frozen=True, slots=True)
class Host:
    """`web` is where people and Git go, `api` where the REST API is, both without a last slash."""

    web: str
    api: str


CLOUD = Host("https://github.com", "https://api.github.com")
_RESIDENCE = ".ghe.com"
_API = "/api/v3"


def host(address: str) -> Host:
    """The GitHub at an address as people write it, of its pages or of its API.

    https://docs.github.com/en/enterprise-server@latest/rest/quickstart for an Enterprise Server,
    https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency for ghe.com. BadConfig
    for what is no such address, or would send credentials unencrypted to another machine.
    """
    parts = _split(address)
    name, rest = parts.hostname or "", parts.path.rstrip("/").removesuffix(_API)
    if not name or rest or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadConfig(
            "The address of GitHub is not like https://github.example.com.",
            "Give the address of its start page, without a login or anything behind the name.",
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and local(name)):
        raise BadConfig(
            f"The address of GitHub at {name} does not begin with https://.",
            "PreviewDrop sends credentials there, so the connection must be encrypted.",
        )
    if name in ("github.com", "www.github.com", "api.github.com"):
        return CLOUD
    if name.endswith(_RESIDENCE):
        own = name.removeprefix("api.")
        return Host(f"https://{own}", f"https://api.{own}")
    web = f"{parts.scheme}://{parts.netloc.lower()}"
    return Host(web, web + _API)


def local(name: str) -> bool:
    """Whether a host name is this machine itself."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address.strip())
        _ = parts.port
    except ValueError as error:
        raise BadConfig("The address of GitHub is no address.") from error
    return parts
