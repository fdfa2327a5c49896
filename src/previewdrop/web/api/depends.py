"""What routes take from the app: its control, and the preview that a path names."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from previewdrop.domain.errors import NotFound
from previewdrop.store.previews import PreviewRow
from previewdrop.web.api.schema import PreviewView
from previewdrop.web.api.views import preview_view
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control
from previewdrop.web.session import Sessions, Tickets


def _control(request: Request) -> Control:
    return request.app.state.control


def _changes(request: Request) -> Changes:
    return request.app.state.changes


def _tickets(request: Request) -> Tickets:
    return request.app.state.tickets


def _sessions(request: Request) -> Sessions:
    return request.app.state.sessions


ControlDep = Annotated[Control, Depends(_control)]
ChangesDep = Annotated[Changes, Depends(_changes)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
TicketsDep = Annotated[Tickets, Depends(_tickets)]


async def _named(project: str, preview: str, control: ControlDep) -> PreviewRow:
    return await control.store.previews.named(project, preview)


NamedPreview = Annotated[PreviewRow, Depends(_named)]


async def show(control: Control, row: PreviewRow) -> PreviewView:
    """A preview as the API shows it, with what the live deployment says."""
    live_commit, health = None, "/health"
    if row.preview.live is not None:
        same = row.latest is not None and row.latest.id == row.preview.live
        # It may have been removed since the row was read.
        with suppress(NotFound):
            live = row.latest if same else await control.store.deployments.get(row.preview.live)
            if live is not None:
                live_commit = live.commit
                health = live.made.get("config", {}).get("health", health)
    warnings = [] if control.facts.walls.isolated else [control.facts.walls.isolation]
    expire_after = timedelta(days=control.settings.expire_days)
    url = control.operations.url(row)
    return preview_view(row, url, health, live_commit, expire_after, warnings)


async def show_again(control: Control, preview_id: int) -> PreviewView:
    return await show(control, await control.store.previews.by_id(preview_id))
