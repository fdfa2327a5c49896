"""health: the app answers 200 before anybody is sent to it."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import httpx2

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.hints import Context, hint
from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import RunSpec
from previewdrop.drivers.base import Handle, ObservedProcess, ProcessState
from previewdrop.pipeline.deploying import Deploying, Detected, Workshop
from previewdrop.pipeline.journal import TAIL_LINES, Stage
from previewdrop.pipeline.patience import patiently

_EAGER = 0.02
_CALM = 0.25
_EAGER_FOR = 5.0
_ANSWER_WITHIN = 10.0
_NOTHING = "nothing listens"


class Unhealthy:
    """What the last check saw: an HTTP status, or why there was none."""

    status: int | None = None
    reason: str = _NOTHING


async def health(work: Deploying, found: Detected, run: RunSpec, handle: Handle) -> None:
    """Returns at the first 200; StageFailed when the app ended or the time is up."""
    async with work.journal.stage(StageName.HEALTH) as stage:
        await wait_until_healthy(work.shop, found.config.health, run, handle, stage)
        for each in (await work.shop.drivers.runtime.observe(handle)).processes:
            if each.state is not ProcessState.RUNNING:
                ended = f"was {each.reason}" if each.reason else f"ended with {each.exit_code}"
                work.journal.note(f"The process {each.name} does not run: it {ended}.")


async def wait_until_healthy(
    shop: Workshop, path: str, run: RunSpec, handle: Handle, stage: Stage
) -> None:
    """Asks `path` until it answers 200, and no longer than the app lives by itself."""
    seen, ended = Unhealthy(), None
    try:
        async with asyncio.timeout(shop.settings.health_timeout):
            while (ended := await _end(shop, path, run, handle, seen)) is not None and ended.lost:
                stage.log("What ran the app ended, and is back. The app is started again.")
                await patiently(lambda: shop.drivers.runtime.ensure(run), stage.log)
    except TimeoutError:
        ended = None
    else:
        if ended is None:
            stage.note = f"{path} answered 200"
            return
    await _copy_app_log(shop, handle, stage)
    raise await _failure(shop, path, run, handle, stage, seen, ended)


async def _end(
    shop: Workshop, path: str, run: RunSpec, handle: Handle, seen: Unhealthy
) -> ObservedProcess | None:
    """How the app ended before it was healthy; None once it is."""
    polling = asyncio.create_task(_poll(shop, path, run, handle, seen))
    ending = asyncio.create_task(shop.drivers.runtime.wait(handle))
    try:
        done, _ = await asyncio.wait({polling, ending}, return_when=asyncio.FIRST_COMPLETED)
        if polling in done:
            polling.result()
            return None
        return ending.result()
    finally:
        for task in (polling, ending):
            task.cancel()
        await asyncio.gather(polling, ending, return_exceptions=True)


async def _poll(shop: Workshop, path: str, run: RunSpec, handle: Handle, seen: Unhealthy) -> None:
    base = _base_url(str(handle["upstream"]))
    headers = {"host": run.names.host, "x-forwarded-proto": "https"}
    began = time.monotonic()
    while True:
        try:
            seen.status = await _status(shop.http, base + path, headers)
            seen.reason = f"HTTP {seen.status}"
            if seen.status == HTTPStatus.OK:
                if await _is_its_own(shop, run, handle):
                    return
                seen.status, seen.reason = None, f"another process answers on port {run.port}"
        except httpx2.TimeoutException:
            seen.status, seen.reason = None, f"no answer within {_ANSWER_WITHIN:g} s"
        except httpx2.ConnectError:
            seen.status, seen.reason = None, _NOTHING
        except httpx2.HTTPError as error:
            seen.status, seen.reason = None, f"{type(error).__name__}: {error}"
        eager = time.monotonic() - began < _EAGER_FOR and seen.status is None
        await asyncio.sleep(_EAGER if eager else _CALM)


async def _status(http: httpx2.AsyncBaseTransport, url: str, headers: dict[str, str]) -> int:
    """The status alone: the body is never read, no redirect followed and no cookie kept."""
    limits = {"timeout": httpx2.Timeout(_ANSWER_WITHIN).as_dict()}
    answer = await http.handle_async_request(
        httpx2.Request("GET", url, headers=headers, extensions=limits)
    )
    await answer.aclose()
    return answer.status_code


async def _is_its_own(shop: Workshop, run: RunSpec, handle: Handle) -> bool:
    """Whether the app itself listens there: on a shared loopback others could have been faster."""
    if "image" in run.artifact:
        return True  # the address is its container's alone
    listening = await shop.drivers.runtime.listening(handle)
    return any(address.endswith(f":{run.port}") for address in listening.addresses)


async def _failure(
    shop: Workshop,
    path: str,
    run: RunSpec,
    handle: Handle,
    stage: Stage,
    seen: Unhealthy,
    ended: ObservedProcess | None,
) -> StageFailed:
    tail = tuple(stage.tail)
    listening = await shop.drivers.runtime.listening(handle)
    context = Context(
        port=run.port,
        memory=run.limits.memory,
        listening=listening.addresses,
        health=path,
        image="image" in run.artifact,
    )
    if ended is not None:
        how = (f"was {ended.reason}," if ended.reason else None) or (
            f"ended with exit code {ended.exit_code}"
            if ended.exit_code is not None
            else "ended by itself"
        )
        message = f"health failed: the app {how} before {path} answered 200"
    else:
        limit = shop.settings.health_timeout
        reason = seen.reason
        if reason == _NOTHING and listening.addresses:
            reason = f"the app listens on {', '.join(listening.addresses)}"
        message = f"health failed: {path} did not answer 200 within {limit:g} s ({reason})"
    code = ended.exit_code if ended else None
    return StageFailed(
        message,
        hint("health", exit_code=code, status=seen.status, lines=tail, context=context),
        log_tail=tail,
        exit_code=code,
        status=seen.status,
    )


async def _copy_app_log(shop: Workshop, handle: Handle, stage: Stage) -> None:
    """The app's last words, kept with the deployment: its own log goes when it is removed."""
    lines = [line async for _, line in shop.drivers.runtime.logs(handle)]
    for line in lines[-10 * TAIL_LINES :]:
        stage.log(line)


def _base_url(upstream: str) -> str:
    return f"http://{upstream}"
