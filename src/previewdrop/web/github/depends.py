"""What routes of GitHub's part take from the app."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from previewdrop.web.github.attempts import Attempts


def _attempts(request: Request) -> Attempts:
    return request.app.state.attempts


AttemptsDep = Annotated[Attempts, Depends(_attempts)]
