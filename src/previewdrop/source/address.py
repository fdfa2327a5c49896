"""Where a repository is: a URL or a folder on this machine, checked and without its password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from previewdrop.domain.errors import BadSource
from previewdrop.domain.secret import Secret

_REMOTE_SCHEMES = frozenset({"http", "https", "ssh", "git", "git+ssh", "ssh+git"})
_WEB_SCHEMES = frozenset({"http", "https"})
_KEYLESS = ("http://", "https://", "git://")
_SCP = re.compile(r"(?P<host>[^/:\[\]]+|[^/:]*\[[0-9a-fA-F:.]+\]):(?P<path>.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_KINDS = "Use an https, ssh or git URL, or a folder on this machine."


@dataclass(frozen=True, slots=True)
class Address:
    """A repository's place. `text` names it everywhere and never holds a password.

    `folder` is set for a repository on this machine, `url` for all others. `login` is what an http
    URL had before its `@`.
    """

    text: str
    folder: Path | None = None
    url: str | None = None
    login: Secret | None = None

    @property
    def site(self) -> str | None:
        """`https://host:port/` of a web address: where its credentials may be sent."""
        if self.url is None:
            return None
        parts = urlsplit(self.url) if _SCHEME.match(self.url) else None
        if parts is None or parts.scheme not in _WEB_SCHEMES:
            return None
        return f"{parts.scheme}://{parts.netloc}/"

    @property
    def keyed(self) -> bool:
        """Whether an ssh key of this machine opens it."""
        return self.url is not None and not self.url.startswith(_KEYLESS)


def parse_address(source: str) -> Address:
    """The address that a user wrote; BadSource for what git must not be given."""
    shown = _LOGIN.sub("", source)
    if not source.strip() or _CONTROL.search(source) or source.startswith("-"):
        raise BadSource(f"{shown!a} is not the address of a repository.", _KINDS)
    if _HELPER.match(source):
        raise BadSource(f"{shown!a} asks for a transport that is not allowed.", _KINDS)
    if scheme := _SCHEME.match(source):
        return _parse_url(source, scheme["scheme"].lower())
    if scp := _SCP.fullmatch(source):
        return _parse_scp(source, scp["host"], scp["path"])
    return _folder(Path(source).expanduser())


def join_address(base: Address, url: str, *, ours: bool) -> Address:
    """The address of a submodule whose `.gitmodules` says `url`, inside the repository `base`.

    A relative URL goes from the repository's own address: https://git-scm.com/docs/git-submodule .
    `ours` tells that `base` is a folder of this machine. A repository that came over the network
    must not read here, nor elsewhere with an ssh key of this machine: both are a BadSource then.
    """
    if url.startswith(("./", "../")) or url in (".", ".."):
        address = parse_address(_climb(str(base.folder or base.url), url))
    else:
        address = parse_address(url)
    if address.folder and not ours:
        raise BadSource(f"{url!a} is a folder of this machine.", "Use an https URL.")
    if address.keyed and not ours:
        raise BadSource(
            f"{address.text} needs an ssh key, and submodules are fetched without a login.",
            "Give the https URL of a public repository in .gitmodules.",
        )
    return address


def _parse_url(source: str, scheme: str) -> Address:
    shown = _LOGIN.sub("", source)
    try:
        parts = urlsplit(source)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadSource(f"{shown!a} is not a URL: {error}.") from error
    if scheme == "file":
        if host not in ("", "localhost"):
            raise BadSource(f"{shown!a} is on another machine.", _KINDS)
        return _folder(Path(unquote(parts.path)))
    if scheme not in _REMOTE_SCHEMES:
        raise BadSource(f"{shown!a} asks for a transport that is not allowed.", _KINDS)
    user = parts.username or ""
    if not host or host.startswith("-") or unquote(user).startswith("-"):
        raise BadSource(f"{shown!a} is not the address of a repository.", _KINDS)
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    login = None
    if scheme in _WEB_SCHEMES:
        if user or parts.password:
            login = Secret(f"{unquote(user)}:{unquote(parts.password or '')}")
    elif user:
        place = f"{user}@{place}"
    url = urlunsplit((scheme, place, parts.path.rstrip("/"), parts.query, ""))
    return Address(url, url=url, login=login)


def _parse_scp(source: str, host: str, path: str) -> Address:
    name = host.rpartition("@")[2]
    if not name or name.startswith("-") or host.startswith("-") or not path or path[0] == "-":
        raise BadSource(f"{source!a} is not the address of a repository.", _KINDS)
    return Address(source, url=source)


def _folder(path: Path) -> Address:
    folder = Path(os.path.normpath(path.absolute()))
    return Address(str(folder), folder=folder)


def _climb(base: str, relative: str) -> str:
    base = base.rstrip("/")
    rest = relative
    while rest:
        head, _, tail = rest.partition("/")
        if head == "..":
            cut = max(base.rfind("/"), base.rfind(":"))
            if cut <= 0 or base[:cut].endswith((":/", ":")):
                raise BadSource(f"{relative!a} leads above the repository's address.")
            colon = base[cut] == ":"
            base = base[: cut + 1] if colon else base[:cut]
        elif head not in (".", ""):
            break
        rest = tail
    return base + rest if base.endswith(":") else f"{base}/{rest}".rstrip("/")
