"""The REST API: each request and each answer is held against GitHub's description of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from github_standin import access
from github_standin.api import OPERATIONS, Known
from github_standin.calls import Answer, Call, Refusal, Viewer, not_found
from github_standin.description import Operation
from github_standin.moods import Mood
from github_standin.traffic import Seen

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

_FREE = "rate-limit/get"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is below the API's root and still percent-encoded."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Routed:
    """A request whose operation is known."""

    request: Request
    operation: Operation
    known: Known
    path: dict[str, str]
    moods: list[Mood]


def routed(github: GitHub, request: Request) -> Routed | Answer:
    """Finds what is asked for. That there is no such thing is the client's mistake."""
    found = github.description.find(request.method, request.path)
    name = f"{request.method} {request.path}"
    if found is None:
        return _violated(github, f"GitHub has no {name}")
    operation, path = found
    known = OPERATIONS.get(operation.id)
    if known is None:
        return _violated(github, f"{operation.id} is missing in the stand-in")
    return Routed(request, operation, known, path, github.moods.take(operation.id))


def answered(github: GitHub, one: Routed) -> Answer:
    """The answer to a request, after all moods that only take time."""
    instead = next((each for each in one.moods if each.answer is not None), None)
    if instead is not None and instead.answer is not None and not instead.lost:
        answer = instead.answer()
    else:
        with github.lock:
            answer = _limited(github, one)
        if instead is not None and instead.answer is not None:
            answer = instead.answer()
    wrong = one.operation.wrong_answer(answer.status, answer.body)
    if wrong and answer.status != 500:
        answer = _violated(
            github, *(f"{one.operation.id} answers {answer.status}: {each}" for each in wrong)
        )
    query = urlencode(one.request.query)
    seen = Seen(one.operation.id, one.request.method, one.request.path, query, answer.status)
    github.traffic.append(seen)
    return answer


def _limited(github: GitHub, one: Routed) -> Answer:
    """Within the rate limit, and with the headers that tell of it."""
    viewer: Viewer = None
    free = one.operation.id == _FREE
    try:
        if "user-agent" not in one.request.headers:
            raise Refusal(
                403,
                "Request forbidden by administrative rules. Please make sure your "
                "request has a User-Agent header.",
            )
        viewer = access.viewer(github, one.request.headers.get("authorization"))
        if github.limits.exhausted(viewer) and not free:
            raise Refusal(github.limits.status, "API rate limit exceeded for this token.")
        answer = _done(github, one, viewer)
    except Refusal as refusal:
        answer = refusal.answer
    answer = _conditional(answer, one.request)
    if answer.status != 304 and not free:
        github.limits.spend(viewer)
    return replace(answer, headers={**answer.headers, **github.limits.headers(viewer)})


def _done(github: GitHub, one: Routed, viewer: Viewer) -> Answer:
    body = _json(one.request)
    wrong = one.operation.wrong_request(one.path, one.request.query, body)
    if wrong:
        return _violated(
            github, *(f"{one.operation.id} is asked wrongly: {each}" for each in wrong)
        )
    repository = None
    if "repo" in one.path:
        repository = _repository(github, one)
        access.check(one.known, viewer, repository)
    url = f"{github.api}{one.request.path}"
    return one.known.handle(
        Call(github, viewer, one.path, one.request.query, body, repository, url)
    )


def _repository(github: GitHub, one: Routed) -> Repository:
    """By name, or by id as redirects have it. A former name is a redirect."""
    if one.path["repo"] == "":
        found = github.repositories.get(int(one.path["owner"]))
    else:
        name = f"{one.path['owner']}/{one.path['repo']}"
        found = github.find(name)
        id = github.moved.get(name.lower())
        if found is None and id in github.repositories:
            rest = re.sub(r"^/repos/[^/]+/[^/]+", "", one.request.path)
            query = f"?{urlencode(one.request.query)}" if one.request.query else ""
            url = f"{github.api}/repositories/{id}{rest}{query}"
            status = 301 if one.request.method == "GET" else 307
            refusal = Refusal(status, "Moved Permanently", Location=url)
            refusal.answer.body.pop("status")
            refusal.answer.body["url"] = url
            raise refusal
    if found is None:
        raise not_found()
    return found


def _conditional(answer: Answer, request: Request) -> Answer:
    """An answer that the client has already is not sent again.

    GitHub's ETags differ by token: the same list has another one after an hour.
    """
    if request.method != "GET" or answer.status != 200:
        return answer
    token = request.headers.get("authorization", "")
    content = json.dumps(answer.body, sort_keys=True) + token
    tag = f'W/"{hashlib.sha256(content.encode()).hexdigest()}"'
    headers = {**answer.headers, "ETag": tag}
    asked = request.headers.get("if-none-match", "")
    if tag.removeprefix("W/") in asked:
        return Answer(304, None, headers)
    return replace(answer, headers=headers)


def _json(request: Request) -> Any:
    if not request.body:
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None


def _violated(github: GitHub, *wrong: str) -> Answer:
    """Fails the test in the end, and the client now."""
    github.violations += wrong
    return Answer(500, {"message": "; ".join(wrong), "status": "500"})
