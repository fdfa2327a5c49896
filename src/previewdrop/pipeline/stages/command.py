"""A command of the user's beside the app: its output in the log, its exit code the verdict."""

from __future__ import annotations

import time

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.hints import Context, hint
from previewdrop.domain.spec import Process, RunSpec
from previewdrop.pipeline.deploying import Deploying
from previewdrop.pipeline.journal import Stage


async def run_command(
    work: Deploying, run: RunSpec, stage: Stage, command: str, timeout: float
) -> None:
    """Runs a release or post-deploy command; StageFailed unless it ends with 0 in time."""
    name = stage.name.value
    began = time.perf_counter()
    try:
        code = await work.shop.drivers.runtime.run(run, Process(name, command), stage.log, timeout)
    except TimeoutError:
        raise StageFailed(
            f"{name} failed: `{command}` was stopped after {timeout:g} s.",
            "It did not end by itself. Does it wait for input, or serve requests? "
            f"PREVIEWDROP_{name.replace('-', '_').upper()}_TIMEOUT sets the limit.",
            log_tail=tuple(stage.tail),
        ) from None
    if code != 0:
        seconds = time.perf_counter() - began
        context = Context(port=run.port, memory=run.limits.memory, image="image" in run.artifact)
        raise StageFailed(
            f"{name} failed: `{command}` ended with {code} after {seconds:.1f} s",
            hint(name, exit_code=code, status=None, lines=tuple(stage.tail), context=context),
            log_tail=tuple(stage.tail),
            exit_code=code,
        )
