"""Git over HTTP: `git http-backend`, behind the same locks as GitHub's."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from github_standin import access
from github_standin.api.table import Known
from github_standin.calls import Answer, Refusal, not_found

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

_ADDRESS = re.compile(
    r"^/(?P<owner>[^/]+)/(?P<repo>[^/]+?)(?:\.git)?/(?P<what>info/refs|git-upload-pack|git-receive-pack)$"
)
_READ = Known(lambda _: Answer(), ("contents",), "read")


@dataclass(frozen=True, slots=True)
class GitRequest:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def operation(path: str) -> str | None:
    """`git/refs` or `git/upload-pack`; None for an address that is not Git's."""
    match = _ADDRESS.match(path)
    if match is None:
        return None
    return "git/refs" if match["what"] == "info/refs" else match["what"].replace("git-", "git/")


def allowed(github: GitHub, request: GitRequest) -> Repository | Answer:
    """The repository, if these credentials may fetch it; else what GitHub says."""
    match = _ADDRESS.match(request.path)
    assert match is not None
    if "git-receive-pack" in (match["what"], request.query.removeprefix("service=")):
        return _text(403, "Nobody pushes to the stand-in over HTTP.")
    name = f"{match['owner']}/{match['repo']}"
    repository = github.find(name)
    moved = github.repositories.get(github.moved.get(name.lower(), 0))
    basic = request.headers.get("authorization")
    if repository is None and moved is not None:
        query = f"?{request.query}" if request.query else ""
        location = f"{moved.web}.git/{match['what']}{query}"
        return Answer(301, "", {"Location": location})
    try:
        viewer = access.viewer(github, _bearer(basic))
        if repository is None:
            raise not_found()
        access.check(_READ, viewer, repository)
    except Refusal as refusal:
        if basic is None or refusal.answer.status == 401:
            more = {"WWW-Authenticate": 'Basic realm="GitHub"'}
            return _text(401, "Repository not found.", more)
        return _text(refusal.answer.status, "Repository not found.")
    return repository


async def served(github: GitHub, repository: Repository, request: GitRequest) -> Answer:
    """What `git http-backend` answers."""
    match = _ADDRESS.match(request.path)
    assert match is not None
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(github.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH_INFO": f"/{repository.id}.git/{match['what']}",
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(request.body)
    head, _, body = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return Answer(status, body, headers)


def _bearer(basic: str | None) -> str | None:
    """The token that Git sends as a password."""
    if basic is None:
        return None
    try:
        login, _, password = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal(401, "Bad credentials") from None
    return f"Bearer {password or login}"


def _text(status: int, text: str, more: dict[str, str] | None = None) -> Answer:
    return Answer(status, text, {"Content-Type": "text/plain; charset=utf-8", **(more or {})})
