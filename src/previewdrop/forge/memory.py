"""A code host in memory for tests and dry runs, which misbehaves when it is told to.

    forge = MemoryForge()
    repository = forge.add(Repository(1, "acme/shop", "/srv/shop.git"))
    forge.misbehave(Misbehaviour.HALFWAY, call="comment", times=1)   # made, but the answer is lost

What it was told is in plain public collections, and the names of the calls it got in `calls`.
Webhooks that it signs itself come from `deliver`.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from previewdrop.domain.errors import BadInput, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Environment, Labelled, Page, Refused, Status, Verdict, Written
from previewdrop.forge.events import Commented, Delivery, Event, Pull, Repository
from previewdrop.misbehaviour import Misbehaving, Misbehaviour

_SIGNATURE = "x-memory-signature"
_DELIVERY = "x-memory-delivery"


@dataclass(slots=True)
class MemoryComment:
    """A comment: `text` with the mark that it begins with, written `at` the host's time."""

    repository: int
    number: int
    author: str
    text: str
    at: datetime


class MemoryForge(Misbehaving):
    """A Forge. Change its public parts at any time: they are what the host would say now.

    `pulls` are by repository and number, `statuses` by repository, commit and context,
    `deployments` the newest of each id, `reactions` (comment, reaction) in order. `writers` are
    (repository, login), `labelled_by` who set a label, by repository, number and its name in lower
    case. `author` is the login of our own comments; `closed` tells whether it was closed.
    """

    author = "previewdrop[bot]"
    closed = False
    limit = 60.0

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Repository] = {}
        self.pulls: dict[tuple[int, int], Pull] = {}
        self.writers: set[tuple[int, str]] = set()
        self.labelled_by: dict[tuple[int, int, str], Labelled] = {}
        self.comments: dict[int, MemoryComment] = {}
        self.statuses: dict[tuple[int, str, str], Status] = {}
        self.deployments: dict[int, tuple[int, Environment]] = {}
        self.reactions: list[tuple[int, str]] = []
        self.webhook = Secret("memory")
        self.password = Secret("memory-token")
        self._deliveries: dict[str, Delivery] = {}
        self._ids = itertools.count(1)

    def add(self, repository: Repository, *pulls: Pull) -> Repository:
        """A repository within reach, or one that changed, and pull requests of it."""
        self.known[repository.id] = repository
        for pull in pulls:
            self.pulls[repository.id, pull.number] = pull
        return repository

    def deliver(self, *events: Event, kind: str = "memory") -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook that tells these events; send it twice to repeat it."""
        delivery = Delivery(f"memory-{next(self._ids)}", kind, events)
        self._deliveries[delivery.id] = delivery
        body = delivery.id.encode()
        return {_SIGNATURE: self._signature(body), _DELIVERY: delivery.id}, body

    def written(
        self,
        repository: Repository,
        number: int,
        author: str,
        text: str,
        at: datetime | None = None,
    ) -> int:
        """Somebody's comment, written now or `at` another time; its id."""
        comment, at = next(self._ids), at or datetime.now(UTC)
        self.comments[comment] = MemoryComment(repository.id, number, author, text, at)
        return comment

    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        return hmac.compare_digest(headers.get(_SIGNATURE, ""), self._signature(body))

    def parsed(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        try:
            return self._deliveries[body.decode()]
        except (KeyError, UnicodeDecodeError) as error:
            raise BadInput("The webhook's body is none of the in-memory code host.") from error

    async def repositories(self) -> list[Repository]:
        await self._enter("repositories")
        return list(self.known.values())

    async def open_pulls(self, repository: Repository, mark: str | None = None) -> Page:
        await self._enter("open_pulls", repository)
        found = tuple(
            pull for (there, _), pull in self.pulls.items() if there == repository.id and pull.open
        )
        now = hashlib.sha256(repr(found).encode(errors="replace")).hexdigest()
        return Page(None if mark == now else found, now)

    async def pull(self, repository: Repository, number: int) -> Pull | None:
        await self._enter("pull", repository)
        return self.pulls.get((repository.id, number))

    async def comments_since(self, repository: Repository, since: datetime) -> list[Commented]:
        await self._enter("comments_since", repository)
        return [
            Commented(repository, one.number, id, one.author, False, one.text, one.at)
            for id, one in self.comments.items()
            if one.repository == repository.id and one.at >= since
        ]

    async def labelled(
        self, repository: Repository, number: int, labels: Collection[str]
    ) -> Labelled | None:
        await self._enter("labelled", repository)
        wanted, pull = {each.casefold() for each in labels}, self.pulls[repository.id, number]
        there = {each.casefold() for each in pull.labels} & wanted
        told = [self.labelled_by.get((repository.id, number, each)) for each in there]
        return max(filter(None, told), key=lambda each: each.at, default=None)

    async def may_write(self, repository: Repository, login: str) -> bool:
        await self._enter("may_write", repository)
        return (repository.id, login) in self.writers

    async def login(
        self, repository: Repository, refused: Secret | None = None
    ) -> tuple[str, Secret]:
        await self._enter("login", repository)
        if refused == self.password:
            self.password = Secret(f"memory-token-{next(self._ids)}")
        return "memory", self.password

    async def comment(
        self, repository: Repository, number: int, mark: str, text: str, known: int | None
    ) -> Written:
        fault = await self._enter("comment", repository)
        comment = known if known in self.comments else self._find(repository, number, mark)
        if comment is None:
            comment = next(self._ids)
        said, now = f"{mark}\n{text}", datetime.now(UTC)
        written = self.comments[comment].at if comment in self.comments else now
        self.comments[comment] = MemoryComment(repository.id, number, self.author, said, written)
        self._leave("comment", fault)
        url = f"https://memory.test/{repository.name}/{number}#{comment}"
        return Written(comment, url, now)

    async def react(self, repository: Repository, comment: int, reaction: str) -> None:
        fault = await self._enter("react", repository)
        if comment not in self.comments:
            raise _refused("react", 404)
        if (comment, reaction) not in self.reactions:
            self.reactions.append((comment, reaction))
        self._leave("react", fault)

    async def status(self, repository: Repository, status: Status) -> None:
        fault = await self._enter("status", repository)
        self.statuses[repository.id, status.commit, status.context] = status
        self._leave("status", fault)

    async def environment(
        self, repository: Repository, environment: Environment, known: int | None
    ) -> int | None:
        fault = await self._enter("environment", repository)
        same = [
            deployment
            for deployment, (there, listed) in sorted(self.deployments.items())
            if there == repository.id and listed.name == environment.name
        ]
        if environment.verdict is None:
            self._retire(same)
            self._leave("environment", fault)
            return same[-1] if same else None
        current = self._deployment(same, environment.commit)
        self.deployments[current] = repository.id, environment
        if environment.verdict is Verdict.SUCCESS:
            self._retire([each for each in same if each < current])
        self._leave("environment", fault)
        return current

    async def aclose(self) -> None:
        self.closed = True

    def _deployment(self, same: list[int], commit: str) -> int:
        made = (each for each in same if self.deployments[each][1].commit == commit)
        return next(made, None) or next(self._ids)

    def _retire(self, deployments: list[int]) -> None:
        for each in deployments:
            there, environment = self.deployments[each]
            self.deployments[each] = there, replace(environment, verdict=None, url=None)

    def _find(self, repository: Repository, number: int, mark: str) -> int | None:
        for comment, there in self.comments.items():
            place = (there.repository, there.number, there.author)
            if place == (repository.id, number, self.author) and there.text.startswith(mark):
                return comment
        return None

    def _signature(self, body: bytes) -> str:
        return hmac.new(self.webhook.reveal().encode(), body, hashlib.sha256).hexdigest()

    async def _enter(self, call: str, repository: Repository | None = None) -> Misbehaviour | None:
        fault = await self._called(call)
        if fault is Misbehaviour.UNAVAILABLE:
            raise Unavailable(f"The in-memory code host did not answer {call}.")
        if fault is Misbehaviour.LIMITED:
            raise Unavailable("The in-memory code host wants fewer calls.", seconds=self.limit)
        if fault is Misbehaviour.REFUSED:
            raise _refused(call, 403)
        if repository is not None and repository.id not in self.known:
            raise _refused(call, 404)
        return fault

    def _leave(self, call: str, fault: Misbehaviour | None) -> None:
        if fault is Misbehaviour.HALFWAY:
            raise Unavailable(f"The answer of the in-memory code host to {call} was lost.")


def _refused(call: str, answer: int) -> Refused:
    reason = "Not Found" if answer == 404 else "Forbidden"
    return Refused(
        f"The in-memory code host refused {call}: {reason}.", answer=answer, reason=reason
    )
