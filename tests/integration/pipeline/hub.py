"""A pipeline that hears webhooks of a code host in memory, and tells it how previews stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import urlsplit

from previewdrop.domain.pull import Pull
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Labelled
from previewdrop.forge.events import Commented, Event, PullChanged, Repository
from previewdrop.forge.memory import MemoryForge
from previewdrop.pipeline.code_hosts import CodeHosts
from previewdrop.pipeline.hosts import Hosts
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import PreviewRow
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Deployment, Project
from previewdrop.web.api.projects import remove_project
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control, ServerFacts
from repositories import commit, git

from .conftest import Plant

BEGINNING = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
REPOSITORY = 7
INSTALLATION = 5
NUMBER = 42
MARK = "<!-- previewdrop:shop/pr-42 -->"


class Hub:
    """`outside` tells whether the edge answers. `ali` may write to the repository."""

    def __init__(self, plant: Plant, state: StateDatabase) -> None:
        self.plant = plant
        self.state = state
        self.forge = MemoryForge()
        self.store = plant.shop.store
        hosts = Hosts(self.store, lambda _: self.forge)
        self.shop = replace(plant.shop, hosts=hosts)
        self.outside = True
        self.asked_outside = 0
        self.repository = self.forge.add(
            Repository(REPOSITORY, "acme/shop", str(plant.repository), installation=INSTALLATION)
        )
        self.forge.writers.add((REPOSITORY, "ali"))
        self._seconds = 0

    async def connect(self, project: str = "shop") -> None:
        stored = await self.store.forges.add("memory", "https://memory.test", {"x": Secret("x")})
        linked = await self.store.projects.named(project)
        name, installation = self.repository.name, self.repository.installation
        await self.store.forges.link(linked.id, stored.id, REPOSITORY, name, installation)

    async def project(self) -> Project:
        return await self.store.projects.named("shop")

    @asynccontextmanager
    async def running(self, asked: str = "comments_since") -> AsyncGenerator[None]:
        """The server's tasks, when the first resync has asked the host."""
        self.forge.calls.clear()
        jobs = Jobs(self.state.conninfo, self.store, 4)
        await jobs.open()
        reconciler = Reconciler(self.shop, jobs.wake)
        self.operations = LiveOperations(self.shop, jobs, dict, lambda _: None)
        self.code_hosts = CodeHosts(self.shop, self.operations, self._answers)
        changes = Changes(self.state)
        with changes.follow() as queue:
            tasks = [
                asyncio.create_task(jobs.work(reconciler.reconcile)),
                asyncio.create_task(changes.run()),
                asyncio.create_task(self._report(queue)),
                asyncio.create_task(self.code_hosts.run()),
            ]
            try:
                await until(lambda: self._asked(asked))
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await reconciler.close()
                await jobs.close()

    async def remove_project(self) -> None:
        """As somebody does over the API."""
        facts, token = cast("ServerFacts", None), Secret("x")
        resync = self.code_hosts.pulls.resync.set
        control = Control(
            self.store, self.shop.settings, facts, self.operations, token, resync=resync
        )
        await remove_project("shop", control)

    async def add_project(self) -> None:
        """The project that was removed, once more."""
        await self.store.projects.add("shop", str(self.plant.repository), {})
        await self.connect()
        self.code_hosts.pulls.resync.set()

    async def resync(self, *, whole: bool = True) -> None:
        await self.code_hosts.resync.once(whole=whole)

    def later(self) -> datetime:
        """The host's time, a second after whatever was before."""
        self._seconds += 1
        return BEGINNING + timedelta(seconds=self._seconds)

    def commit(self, branch: str = "feature", message: str = "Change", **files: str) -> str:
        """A commit of the branch; `main.py` changes unless other files are given."""
        self._seconds += 1
        changed = {name.replace("__", "/"): text for name, text in files.items()}
        sha = commit(
            self.plant.repository,
            changed or {"note.txt": f"{branch} {self._seconds}"},
            message,
            branch=branch,
        )
        git(self.plant.repository, "switch", "--quiet", "main")
        return sha

    def pull(self, head: str = "", number: int = NUMBER, **more: object) -> Pull:
        """The pull request as it is from now on, a second later than whatever was before."""
        former = self.forge.pulls.get((REPOSITORY, number))
        seen = self.later()
        if former is None:
            former = Pull(
                number=number,
                title="Add contact e-mail",
                open=True,
                merged=False,
                draft=False,
                labels=frozenset(),
                author="ali",
                bot=False,
                base="main",
                branch="feature",
                head=head or self.commit(),
                fork=False,
                seen=seen,
            )
        changes = {"seen": seen, **({"head": head} if head else {}), **more}
        pull = replace(former, **changes)
        self.forge.pulls[REPOSITORY, number] = pull
        return pull

    def changed(self, head: str = "", number: int = NUMBER, **more: object) -> PullChanged:
        return PullChanged(self.repository, self.pull(head, number, **more), "changed")

    async def hear(self, *events: Event) -> None:
        """One webhook for each."""
        for event in events:
            headers, body = self.forge.deliver(event)
            assert await self.code_hosts.hear("memory", headers, body)

    def write(
        self,
        text: str,
        author: str = "ali",
        number: int = NUMBER,
        at: datetime | None = None,
    ) -> int:
        """A comment that nobody tells us of, written now or `at` another time; its id."""
        return self.forge.written(self.repository, number, author, text, at)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=2)

    async def say(
        self,
        text: str,
        author: str = "ali",
        number: int = NUMBER,
        at: datetime | None = None,
    ) -> int:
        """A comment that we are told of, written now or `at` another time; its id.

        Now is two minutes from now, so that what our comment asks was read by then.
        """
        at = at or self.now
        comment = self.write(text, author, number, at)
        await self.hear(Commented(self.repository, number, comment, author, False, text, at))
        return comment

    def label(
        self,
        name: str,
        author: str = "ali",
        number: int = NUMBER,
        at: datetime | None = None,
        *,
        bot: bool = False,
    ) -> PullChanged:
        """A label that somebody sets, now as in `say`, or `at` another time."""
        key = (REPOSITORY, number, name.lower())
        self.forge.labelled_by[key] = Labelled(author, bot, at or self.now)
        labels = self.forge.pulls[REPOSITORY, number].labels | {name}
        return self.changed(number=number, labels=labels)

    async def told(self, number: int = NUMBER) -> PullRow:
        row = await self.store.pulls.of((await self.project()).id, number)
        assert row is not None
        return row

    async def preview(self, number: int = NUMBER) -> PreviewRow | None:
        return await self.store.previews.of_pull((await self.project()).id, number)

    async def deployments(self, number: int = NUMBER) -> list[Deployment]:
        row = await self.preview(number)
        return list(await self.store.deployments.of(row.preview.id)) if row else []

    async def live(self, head: str, number: int = NUMBER) -> PreviewRow:
        """The preview as soon as that commit is live."""

        async def there() -> bool:
            row = await self.preview(number)
            if row is None or row.preview.live is None:
                return False
            return (await self.store.deployments.get(row.preview.live)).commit == head

        await until(there)
        row = await self.preview(number)
        assert row is not None
        return row

    async def branch_live(self, branch: str, head: str) -> PreviewRow:
        """The branch's preview as soon as that commit is live."""

        async def there() -> bool:
            row = await self.store.previews.existing("shop", branch, None)
            if row is None or row.preview.live is None:
                return False
            return (await self.store.deployments.get(row.preview.live)).commit == head

        await until(there)
        row = await self.store.previews.existing("shop", branch, None)
        assert row is not None
        return row

    async def expire(self, row: PreviewRow) -> None:
        """As the sweep does with what nobody used for a long time."""
        await self.store.pulls.expire(row.project.id, row.preview.number or 0, datetime.now(UTC))
        await self.store.previews.unwant(row.preview.id)
        await self.operations.changed(row.preview.id)

    async def gone(self, number: int = NUMBER) -> None:
        async def there() -> bool:
            row = await self.preview(number)
            return row is not None and row.preview.state == "removed"

        await until(there)

    async def reason(self, why: str, number: int = NUMBER) -> None:
        """Returns when this is why the head is not previewed."""

        async def there() -> bool:
            row = await self.told(number)
            return row.reason is not None and row.reason.why == why

        await until(there)

    async def says(self, *words: str, number: int = NUMBER) -> str:
        """Our comment as soon as all of this is in it; there is never a second one."""

        async def there() -> bool:
            return all(word in self.comment(number) for word in words)

        await until(there, lambda: self.comment(number))
        return self.comment(number)

    async def asks_about(self, head: str, number: int = NUMBER) -> None:
        """Returns when our comment asks somebody to approve this commit."""
        await self.says("🔒 Approval needed", f"/preview approve {head}", number=number)

        async def kept() -> bool:
            return (await self.told(number)).row.told.get("head") == head

        await until(kept)

    def comment(self, number: int = NUMBER) -> str:
        """Our report's text, empty if there is none."""
        mark = f"<!-- previewdrop:shop/pr-{number} -->"
        ours = [c.text for c in self.forge.comments.values() if c.text.startswith(mark)]
        assert len(ours) < 2, ours
        return ours[0] if ours else ""

    def answer(self, comment: int, project: str = "shop") -> str:
        """What we answered to a comment."""
        mark = f"<!-- previewdrop:answer {project} {comment} -->"
        return next((c.text for c in self.forge.comments.values() if c.text.startswith(mark)), "")

    async def reacted(self, comment: int, reaction: str) -> None:
        async def there() -> bool:
            return any(each == comment for each, _ in self.forge.reactions)

        await until(there)
        assert (comment, reaction) in self.forge.reactions, self.forge.reactions

    async def _asked(self, call: str) -> bool:
        return call in self.forge.calls

    async def _answers(self, url: str) -> bool:
        self.asked_outside += 1
        return self.outside and urlsplit(url).hostname in self.plant.edge.routes

    async def _report(self, queue: asyncio.Queue[object]) -> None:
        while True:
            change = await queue.get()
            if change is None:
                await self.code_hosts.changed(None)
            elif change.deployment is None:
                await self.code_hosts.changed(change.preview)


async def until(
    holds: Callable[[], Awaitable[bool]],
    what: Callable[[], object] = lambda: "",
    timeout: float = 20,
) -> None:
    """Returns as soon as it holds."""
    try:
        async with asyncio.timeout(timeout):
            while not await holds():  # noqa: ASYNC110 - many things make it hold
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it never held: {what()}") from None
