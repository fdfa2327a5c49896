"""What routes of GitHub's part take from the app."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from previewdrop.web.github.attempts import Attempts
from previewdrop.web.github.bodies import Bodies
from previewdrop.web.pages.forms import Notices


def _bodies(request: Request) -> Bodies:
    return request.app.state.bodies


def _attempts(request: Request) -> Attempts:
    return request.app.state.attempts


def _notices(request: Request) -> Notices:
    return request.app.state.notices


BodiesDep = Annotated[Bodies, Depends(_bodies)]
AttemptsDep = Annotated[Attempts, Depends(_attempts)]
NoticesDep = Annotated[Notices, Depends(_notices)]
