"""Tells code hosts how previews stand: what they were told last is compared with what is so now."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace

import httpx2

from previewdrop.domain.errors import PreviewDropError, Unavailable
from previewdrop.domain.naming import names_for, slug_for_number
from previewdrop.forge.base import Environment, Status, Verdict
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.report_facts import facts_of
from previewdrop.report.comment import comment, mark, opens
from previewdrop.report.facts import Facts
from previewdrop.report.status import commit_status, environment_status
from previewdrop.store.pulls import PullRow

log = logging.getLogger(__name__)

_SETTLE = 0.3
"""Seconds for changes that come together to be told as one."""

_BETWEEN = 2.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
_ANSWER_WITHIN = 5.0

Key = tuple[int, int]
"""A project's id and a pull request's number."""


class Reporter:
    """One task for each pull request that has something to tell.

    Nothing is lost with the server: what was told is kept with the pull request, and the resync
    asks for all of them. A host that does not answer is asked again, ever later, and fails nothing.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._dirty: set[Key] = set()
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._seen: set[int] = set()
        self._closed = False

    def soon(self, project_id: int, number: int) -> None:
        """Something of this pull request may have changed."""
        key = (project_id, number)
        self._dirty.add(key)
        if key not in self._tasks and not self._closed:
            task = asyncio.create_task(self._run(key), name=f"report {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def changed(self, preview_id: int) -> None:
        """A preview changed: its pull request is told of it, if it has one."""
        try:
            row = await self._shop.store.previews.by_id(preview_id)
        except PreviewDropError:
            return
        if row.preview.number is not None and row.project.forge_id is not None:
            self.soon(row.project.id, row.preview.number)

    async def close(self) -> None:
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key) -> None:
        pause = _FIRST_PAUSE
        await asyncio.sleep(_SETTLE)
        while key in self._dirty:
            self._dirty.discard(key)
            try:
                await self._tell(*key)
                pause = _FIRST_PAUSE
                await asyncio.sleep(_BETWEEN if key in self._dirty else 0)
            except Unavailable as error:
                self._dirty.add(key)
                log.warning("report of pull request %s: %s", key[1], error)
                await asyncio.sleep(max(pause, error.seconds or 0))
                pause = min(pause * 2, _LONGEST_PAUSE)
            except PreviewDropError as error:
                log.warning("report of pull request %s: %s", key[1], error)
            except Exception:
                log.exception("report of pull request %s broke", key[1])

    async def _tell(self, project_id: int, number: int) -> None:
        pull = await self._shop.store.pulls.of(project_id, number)
        place = await self._shop.hosts.of(pull.project) if pull else None
        if pull is None or place is None:
            return
        facts = await self._facts(pull)
        # The comment last: whoever reads it finds everything else in place.
        await self._tell_status(pull, place, facts)
        await self._tell_environment(pull, place, facts)
        await self._tell_comment(pull, place, facts)

    async def _tell_status(self, pull: PullRow, place: Place, facts: Facts) -> None:
        told = commit_status(facts)
        if told is None or not self._is_news(pull, "status", told):
            return
        status = Status(
            told.commit, told.context, Verdict(told.standing), told.description, told.url
        )
        await place.forge.status(place.repository, status)
        await self._keep(pull, "status", told)

    async def _tell_environment(self, pull: PullRow, place: Place, facts: Facts) -> None:
        told = environment_status(facts)
        known = pull.row.environment
        if told is None or not self._is_news(pull, "environment", told):
            return
        if known is None and told.standing is None:
            return
        environment = Environment(
            told.name,
            told.ref,
            told.commit,
            Verdict(told.standing) if told.standing else None,
            told.description,
            told.url,
            told.log_url,
        )
        made = await place.forge.environment(place.repository, environment, known)
        await self._keep(pull, "environment", told, environment=made)

    async def _tell_comment(self, pull: PullRow, place: Place, facts: Facts) -> None:
        known = pull.row.comment
        if known is None and not opens(facts):
            return
        text = comment(facts)
        if not self._is_news(pull, "comment", text):
            return
        number, hidden = pull.pull.number, mark(facts.name)
        made = await place.forge.comment(place.repository, number, hidden, text, known)
        await self._keep(pull, "comment", text, comment=made)

    def _is_news(self, pull: PullRow, kind: str, told: object) -> bool:
        return pull.row.told.get(kind) != _digest(told)

    async def _keep(self, pull: PullRow, kind: str, told: object, **values: int | None) -> None:
        pull.row.told = {**pull.row.told, kind: _digest(told)}
        await self._shop.store.pulls.note(
            pull.project.id, pull.pull.number, told=pull.row.told, **values
        )

    async def _facts(self, pull: PullRow) -> Facts:
        shop, project = self._shop, pull.project
        slug = slug_for_number(pull.pull.number)
        row = await shop.store.previews.of_pull(project.id, pull.pull.number)
        deployments = await shop.store.deployments.of(row.preview.id) if row else ()
        name = f"{project.name}/{slug}"
        url = shop.url_of(names_for(project.name, slug, shop.settings.domain))
        facts = facts_of(pull, row, deployments, name, url, None)
        return await self._seen_from_outside(facts)

    async def _seen_from_outside(self, facts: Facts) -> Facts:
        """Nothing is called live before its URL has answered through the edge, once."""
        live = facts.live
        if live is None or live.id in self._seen:
            return facts
        if await self._answers(facts.health_url):
            self._seen.add(live.id)
            return facts
        if facts.removal is None:
            raise Unavailable(f"{facts.health_url} does not answer through the edge yet.")
        return replace(facts, live=None)

    async def _answers(self, url: str) -> bool:
        settings, asked = self._shop.settings, httpx2.URL(url)
        extensions = {
            "sni_hostname": asked.host,
            "timeout": httpx2.Timeout(_ANSWER_WITHIN).as_dict(),
        }
        place = asked.copy_with(host=settings.edge_host, port=settings.edge_port)
        # Whether browsers trust its certificate is another question than whether it answers.
        async with httpx2.AsyncHTTPTransport(verify=False, trust_env=False) as http:
            request = httpx2.Request(
                "GET", place, headers={"host": asked.netloc.decode()}, extensions=extensions
            )
            try:
                answer = await http.handle_async_request(request)
                await answer.aclose()
            except httpx2.HTTPError:
                return False
        return answer.status_code < httpx2.codes.INTERNAL_SERVER_ERROR


def _digest(told: object) -> str:
    return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()[:32]
