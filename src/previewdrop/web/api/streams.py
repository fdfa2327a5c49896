"""Server-sent events: changes of previews, logs as they grow, commands as they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from previewdrop.domain.errors import BadName, NotFound, PreviewDropError
from previewdrop.domain.preview import DeploymentState
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment, LogChunk
from previewdrop.web.api.depends import ChangesDep, ControlDep, NamedPreview, show
from previewdrop.web.api.schema import ExecRequest, LogEntry
from previewdrop.web.events import Change, gathered
from previewdrop.web.ports import Control
from previewdrop.web.problems import problem_of

router = APIRouter(prefix="/api/v1", tags=["events"])

Events = AsyncGenerator[ServerSentEvent]

_MOST_LINES = 200
"""Lines of a log that are sent at once to somebody who follows; a journal writes 25 times a second,
and nobody reads faster."""


async def _only(control: ControlDep, preview: str | None = None) -> PreviewRow | None:
    """The preview that `?preview=project/slug` names, if it is given."""
    if preview is None:
        return None
    project, slash, slug = preview.partition("/")
    if not slash:
        raise BadName(f"{preview!r} is not the name of a preview.", "Write it as project/preview.")
    return await control.store.previews.named(project, slug)


@router.get("/events", response_class=EventSourceResponse)
async def follow_events(
    control: ControlDep,
    changes: ChangesDep,
    only: Annotated[PreviewRow | None, Depends(_only)],
) -> Events:
    """`preview`: a preview as it is, all at first, then each that changed. `log`: a new line.

    Of a log that grows faster than anybody reads the newest lines are sent, and one that says so.
    Where changes were missed, all are sent again.
    """
    with changes.follow() as queue:
        view = _View(control, only.preview.id if only else None)
        async for event in view.whole():
            yield event
        async for batch in gathered(queue):
            events = view.whole() if None in batch else view.changed(_distinct(batch))
            async for event in events:
                yield event
            if view.gone:
                return


@router.get("/previews/{project}/{preview}/logs/stream", response_class=EventSourceResponse)
async def follow_logs(
    row: NamedPreview, control: ControlDep, changes: ChangesDep, build: bool = False
) -> Events:
    """`log`: each line, old ones first. `end` when a build log is complete or the app is gone."""
    if not build:
        async with aclosing(control.operations.logs(row, follow=True)) as lines:
            async for source, line in lines:
                yield _event("log", LogEntry(source=source, line=line).model_dump(mode="json"))
    elif row.latest is not None:
        async for event in _build_log(row.latest, control, changes):
            yield event
    yield _event("end", {})


@router.get("/previews/{project}/{preview}/logs")
async def read_logs(
    row: NamedPreview, control: ControlDep, build: bool = False, deployment: int | None = None
) -> list[LogEntry]:
    """The runtime log of what is live, or the log of a deployment: the newest or the given one."""
    if not build and deployment is None:
        async with aclosing(control.operations.logs(row, follow=False)) as lines:
            return [LogEntry(source=source, line=line) async for source, line in lines]
    found = await _deployment(row, control, deployment)
    if found is None:
        return []
    chunks = await control.store.deployments.log(found.id)
    return [entry for chunk in chunks for entry in _entries(chunk)]


@router.post("/previews/{project}/{preview}/exec", response_class=EventSourceResponse)
async def execute(row: NamedPreview, body: ExecRequest, control: ControlDep) -> Events:
    """Runs a command beside the app: `line` for each line, then `exit`, or `error`."""
    try:
        async with aclosing(control.operations.run(row, body.command, body.timeout)) as output:
            async for one in output:
                if isinstance(one, int):
                    yield _event("exit", {"code": one})
                else:
                    yield _event("line", {"line": one})
    except PreviewDropError as error:
        yield _event("error", problem_of(error).model_dump())


class _View:
    """What one follower has been sent: of every preview, or of the one numbered `only`.

    `gone` is set when there is nothing left of that one to follow.
    """

    def __init__(self, control: Control, only: int | None) -> None:
        self._control = control
        self._previews = control.store.previews
        self._logs = _Logs(control)
        self._only = only
        self._sent: set[int] = set()
        self._begun = False
        self.gone = False

    async def whole(self) -> Events:
        """Every preview as it is, also one that was removed since, and the lines that are new.

        At first that is none of a deployment that has ended.
        """
        there = [self._only] if self._only is not None else await self._all()
        for number in dict.fromkeys([*there, *sorted(self._sent)]):
            if row := await self._row(number):
                if row.latest and (self._begun or not DeploymentState(row.latest.state).ended):
                    async for event in self._logs.new(row.name, row.latest.id):
                        yield event
                elif row.latest:
                    await self._logs.skip(row.latest.id)
                yield await _preview(self._control, row)
        self._sent &= set(there)
        self._begun = True

    async def changed(self, changes: list[Change]) -> Events:
        """The previews that changed, and the lines that are new."""
        for change in changes:
            if self._only is not None and change.preview != self._only:
                continue
            if row := await self._row(change.preview):
                if change.deployment is not None:
                    async for event in self._logs.new(row.name, change.deployment):
                        yield event
                yield await _preview(self._control, row)

    async def _all(self) -> list[int]:
        return [row.preview.id for row in await self._previews.all()]

    async def _row(self, number: int) -> PreviewRow | None:
        """None if its project is gone meanwhile."""
        try:
            row = await self._previews.by_id(number)
        except NotFound:
            self.gone = number == self._only
            return None
        self._sent.add(number)
        return row


class _Logs:
    """The new lines of deployments' logs, each only once: a flood is cut to its newest lines."""

    def __init__(self, control: Control) -> None:
        self._deployments = control.store.deployments
        self._after: dict[int, int] = {}

    async def skip(self, deployment_id: int) -> None:
        """Counts the lines that are there as sent."""
        self._after[deployment_id] = await self._deployments.log_end(deployment_id)

    async def new(self, name: str, deployment_id: int) -> Events:
        chunks = await self._deployments.log(deployment_id, self._after.get(deployment_id, 0))
        if not chunks:
            return
        self._after[deployment_id] = chunks[-1].id
        where = {"preview": name, "deployment": deployment_id}
        for entry in _newest([entry for chunk in chunks for entry in _entries(chunk)]):
            yield _event("log", {**where, **entry.model_dump(mode="json")})


async def _build_log(deployment: Deployment, control: Control, changes: ChangesDep) -> Events:
    with changes.follow() as queue:
        after = 0
        while True:
            state = await _state(deployment.id, control)
            for chunk in await control.store.deployments.log(deployment.id, after):
                after = chunk.id
                for entry in _entries(chunk):
                    yield _event("log", entry.model_dump(mode="json"))
            if DeploymentState(state).ended:
                return
            await _until(queue, deployment.preview_id)


async def _state(deployment_id: int, control: Control) -> str:
    """How far it has come; one that went with its preview has ended."""
    try:
        return (await control.store.deployments.get(deployment_id)).state
    except NotFound:
        return DeploymentState.CANCELLED


async def _until(queue: asyncio.Queue[Change | None], preview_id: int) -> None:
    """Returns at the next change of the preview, or when changes may have been missed."""
    while True:
        change = await queue.get()
        if change is None or change.preview == preview_id:
            return


async def _deployment(row: PreviewRow, control: Control, number: int | None) -> Deployment | None:
    if number is None:
        return row.latest
    for one in await control.store.deployments.of(row.preview.id):
        if one.id == number:
            return one
    raise NotFound(
        f"{row.name} has no deployment {number}.", f"See `previewdrop status {row.name}`."
    )


async def _preview(control: Control, row: PreviewRow) -> ServerSentEvent:
    return _event("preview", (await show(control, row)).model_dump(mode="json", by_alias=True))


def _distinct(batch: list[Change | None]) -> list[Change]:
    return list(dict.fromkeys(change for change in batch if change is not None))


def _newest(entries: list[LogEntry]) -> list[LogEntry]:
    """The last lines; the one before says how many were left out."""
    left_out = len(entries) - _MOST_LINES
    if left_out <= 0:
        return entries
    kept = entries[left_out:]
    said = f"… {left_out:,} lines; all are in the build log"
    return [kept[0].model_copy(update={"line": said}), *kept]


def _entries(chunk: LogChunk) -> list[LogEntry]:
    return [LogEntry(source=source, line=line, at=chunk.at) for source, line in chunk.lines]


def _event(name: str, data: object) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data)
