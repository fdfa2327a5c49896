"""Looking into running previews and asking for work, on behalf of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import cast

from previewdrop.config.project import ProjectConfig
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.secret import Redactor, Secret
from previewdrop.domain.spec import Process
from previewdrop.drivers.base import Handle
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.holdings import passwords
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.revive import detected_of, run_of
from previewdrop.source.checkout import Commit
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Project

RESOLVE_WITHIN = 30.0


class LiveOperations:
    """What the API may do with previews. `services` says how each service runs."""

    def __init__(
        self,
        shop: Workshop,
        jobs: Jobs,
        services: Callable[[], dict[str, str]],
        stop: Callable[[bool], None],
    ) -> None:
        self._shop = shop
        self._jobs = jobs
        self._services = services
        self._stop = stop

    async def resolve(self, project: Project, branch: str, commit: str | None) -> str:
        """The full SHA of a branch's newest commit, or of `commit`."""
        source, checkouts = project.source, self._shop.checkouts

        async def look(login: Secret | None) -> Commit:
            if commit is None:
                return await checkouts.resolve(
                    source, branch, timeout=RESOLVE_WITHIN, credentials=login
                )
            return await checkouts.commit(source, commit, timeout=RESOLVE_WITHIN, credentials=login)

        return (await self._shop.hosts.with_login(project, look)).sha

    async def concerned(self, row: PreviewRow, commit: str) -> bool:
        """Whether a push of `commit` should deploy: not if it touches nothing that is watched."""
        if row.preview.live is None or not row.preview.present:
            return True
        live = await self._shop.store.deployments.get(row.preview.live)
        config = ProjectConfig.model_validate(live.made["config"])
        if not config.watch or commit == live.commit:
            return True
        source, checkouts = row.project.source, self._shop.checkouts

        async def fetch(login: Secret | None) -> None:
            for sha in (live.commit, commit):
                await checkouts.fetch(source, commit=sha, timeout=RESOLVE_WITHIN, credentials=login)

        await self._shop.hosts.with_login(row.project, fetch)
        return config.concerned_by(await checkouts.changes(source, live.commit, commit))

    async def changed(self, preview_id: int) -> None:
        """Something is wanted of a preview: work on it, and abort what is wanted no more."""
        await self._jobs.supersede(preview_id)

    def url(self, row: PreviewRow) -> str:
        return self._shop.url(row)

    async def logs(self, row: PreviewRow, *, follow: bool) -> AsyncGenerator[tuple[str, str]]:
        """(process, line) of what the live deployment's processes print, redacted."""
        redact = Redactor(await self._secrets(row))
        source = self._shop.drivers.runtime.logs(await self._handle(row), follow=follow)
        async for process, line in source:
            yield process, redact(line)

    async def run(
        self, row: PreviewRow, command: list[str], timeout: float
    ) -> AsyncGenerator[str | int]:
        """Lines that a command beside the app prints, then its exit code."""
        await self._handle(row)
        deployment = await self._shop.store.deployments.get(row.preview.live or 0)
        run = await run_of(self._shop, row, deployment)
        output: asyncio.Queue[str | None] = asyncio.Queue()
        task = asyncio.ensure_future(
            self._shop.drivers.runtime.run(
                run, Process("exec", tuple(command)), output.put_nowait, timeout
            )
        )
        task.add_done_callback(lambda _: output.put_nowait(None))
        try:
            while (line := await output.get()) is not None:
                yield line
            yield await _exit_code(task, timeout)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def connection(self, row: PreviewRow) -> tuple[Secret | None, Secret | None]:
        """The URLs of the preview's database and cache, in the form that psql and others take.

        With addresses that are right on the server, where a preview may know its own names.
        """
        hosts = cast("Mapping[str, str]", (await self._handle(row)).get("hosts", {}))
        deployment = await self._shop.store.deployments.get(row.preview.live or 0)
        told = (await run_of(self._shop, row, deployment)).environment
        return (
            _url("postgresql", "DATABASE", "NAME", told, hosts),
            _url("redis", "REDIS", "DB", told, hosts),
        )

    async def services(self) -> dict[str, str]:
        return self._services()

    def shut_down(self, *, keep_previews: bool) -> None:
        self._stop(keep_previews)

    async def _handle(self, row: PreviewRow) -> Handle:
        if row.preview.live is not None and row.preview.present:
            deployment = await self._shop.store.deployments.get(row.preview.live)
            if deployment.handle is not None:
                return deployment.handle
        raise StageFailed(
            f"{row.name} does not run.", f"See why: `previewdrop logs {row.name} --build`."
        )

    async def _secrets(self, row: PreviewRow) -> list[Secret]:
        """What the app was given, even if it has been changed since."""
        deployment = await self._shop.store.deployments.get(row.preview.live or 0)
        recipe = detected_of(self._shop, row, deployment).recipe
        return [*passwords(self._shop, row), *recipe.secrets]


async def _exit_code(task: asyncio.Future[int], timeout: float) -> int:
    try:
        return await task
    except TimeoutError:
        raise StageFailed(f"The command was stopped after {timeout:g} s.") from None


def _url(
    scheme: str, kind: str, last: str, told: Mapping[str, str], hosts: Mapping[str, str]
) -> Secret | None:
    """A URL made of the PREVIEW_… variables: their values hold nothing that needs quoting."""
    parts = [told.get(f"PREVIEW_{kind}_{p}") for p in ("USER", "PASSWORD", "HOST", "PORT", last)]
    if None in parts:
        return None
    user, password, host, port, name = (str(part) for part in parts)
    return Secret(f"{scheme}://{user}:{password}@{hosts.get(host, host)}:{port}/{name}")
