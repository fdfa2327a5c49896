"""One request to the REST API as its handler sees it, and the answer it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from github_standin.accounts import Account
from github_standin.apps import App
from github_standin.tokens import InstallationToken, PersonalToken

if TYPE_CHECKING:
    from github_standin.github import GitHub
    from github_standin.repository import Repository

T = TypeVar("T")

_DOCS = "https://docs.github.com/rest"
_MOST_A_PAGE = 100
_INVALID = 422
"""Its description has no `status`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` None is an answer without one."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        body = {"message": message, "documentation_url": _DOCS}
        if status != _INVALID:
            body["status"] = str(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = Answer(status, body, named)


def not_found() -> Refusal:
    return Refusal(404, "Not Found")


def invalid(resource: str, field: str, code: str = "invalid") -> Refusal:
    """GitHub's answer to a value that makes no sense."""
    refusal = Refusal(422, "Validation Failed")
    refusal.answer.body["errors"] = [{"resource": resource, "code": code, "field": field}]
    return refusal


Viewer = App | InstallationToken | PersonalToken | None
"""Who asks. An App itself shows a JWT; None is anybody."""


@dataclass(frozen=True, slots=True)
class Call:
    """`found` is the repository that the path names, after checking that the viewer may."""

    github: GitHub
    viewer: Viewer
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    found: Repository | None
    url: str

    @property
    def repository(self) -> Repository:
        assert self.found is not None
        return self.found

    @property
    def actor(self) -> Account:
        """In whose name things are done."""
        match self.viewer:
            case InstallationToken():
                return self.viewer.installation.app.bot
            case PersonalToken():
                return self.viewer.user
            case _:
                raise Refusal(401, "Requires authentication")

    @property
    def app(self) -> App | None:
        """The App that does it, if one does."""
        return self.viewer.installation.app if isinstance(self.viewer, InstallationToken) else None

    def id(self, name: str) -> int:
        return int(self.path[name])

    def page(self, items: list[T], shown: Callable[[T], Any]) -> Answer:
        """One page of a list, with links to the others."""
        part, headers = self.part(items)
        return Answer(200, [shown(each) for each in part], headers)

    def part(self, items: list[T]) -> tuple[list[T], dict[str, str]]:
        size = min(int(self.query.get("per_page", "30")), _MOST_A_PAGE) or 30
        number = max(int(self.query.get("page", "1")), 1)
        last = max(-(-len(items) // size), 1)
        places: dict[str, int] = {}
        if number > 1:
            places |= {"prev": number - 1}
        if number < last:
            places |= {"next": number + 1, "last": last}
        if number > 1:
            places |= {"first": 1}
        links = ", ".join(f'<{self._at(page)}>; rel="{name}"' for name, page in places.items())
        return items[(number - 1) * size : number * size], {"Link": links} if links else {}

    def _at(self, page: int) -> str:
        return f"{self.url}?{urlencode({**self.query, 'page': page})}"
