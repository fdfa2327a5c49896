"""What routes of GitHub's part take from the app."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from previewdrop.web.github.attempts import Attempts
from previewdrop.web.pages.forms import Notices


def _attempts(request: Request) -> Attempts:
    return request.app.state.attempts


def _notices(request: Request) -> Notices:
    return request.app.state.notices


AttemptsDep = Annotated[Attempts, Depends(_attempts)]
NoticesDep = Annotated[Notices, Depends(_notices)]
