"""A preview of pull request 42 at every point of its life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewdrop.domain.database import Change, Fate
from previewdrop.domain.preview import DeploymentState, Failure, StageName, StageState
from previewdrop.report.facts import Attempt, Database, Facts, StageFacts

OLD = "a1b2c3d" + "0" * 33
NEW = "b0b1b2b" + "0" * 33


@pytest.fixture
def live() -> Facts:
    """It is live at its only commit."""
    url = "https://pr-42.preview.myapp.com"
    attempt = Attempt(
        id=1,
        commit=OLD,
        state=DeploymentState.READY,
        title="Add contact e-mail",
        seconds=2.9,
        stages=(
            StageFacts(StageName.CHECKOUT, StageState.DONE, 0.1),
            StageFacts(StageName.BUILD, StageState.DONE, 0.4, cached=True),
            StageFacts(StageName.DATABASE, StageState.DONE, 0.1),
            StageFacts(StageName.RELEASE, StageState.SKIPPED),
            StageFacts(StageName.START, StageState.DONE, 0.7),
            StageFacts(StageName.POST_DEPLOY, StageState.DONE, 1.5),
        ),
    )
    return Facts(
        name="shop/pr-42",
        ref="feature/new-auth",
        head=OLD,
        url=url,
        docs_url=f"{url}/docs",
        health_url=f"{url}/health",
        desired=OLD,
        live=attempt,
        newest=attempt,
        database=Database("shop_pr_42", Change(Fate.KEPT, 1)),
    )


@pytest.fixture
def first(live: Facts) -> Facts:
    """It has only just been asked for."""
    return replace(live, live=None, newest=None, database=None)


@pytest.fixture
def building() -> Attempt:
    """A newer commit on its way."""
    return Attempt(
        id=2,
        commit=NEW,
        state=DeploymentState.BUILDING,
        title="Rename users.email",
        stages=(
            StageFacts(StageName.CHECKOUT, StageState.DONE, 0.1),
            StageFacts(StageName.BUILD, StageState.RUNNING),
            StageFacts(StageName.DATABASE, StageState.RUNNING),
        ),
    )


@pytest.fixture
def failed() -> Attempt:
    """A newer commit that did not make it."""
    return Attempt(
        id=2,
        commit=NEW,
        state=DeploymentState.FAILED,
        title="Rename users.email (#41)",
        seconds=2.3,
        failure=Failure(
            stage="post-deploy",
            message="`bash bin/preview-entrypoint.sh` ended with 127 after 2.3 s",
            hint="The image has no curl. Install curl in the Dockerfile.",
            exit_code=127,
            log_tail=(
                "→ Verifying health endpoint…",
                "bin/preview-entrypoint.sh: line 12: curl: command not found",
            ),
        ),
    )
