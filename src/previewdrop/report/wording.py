"""How deployments are put into words, for every place that tells of them."""

from __future__ import annotations

from collections.abc import Iterable

from previewdrop.domain.database import Change, Fate
from previewdrop.domain.preview import Failure, StageState
from previewdrop.report.facts import Attempt, StageFacts

_WORTH_MENTIONING = 0.1
"""The part of the whole time that a stage must have taken."""

_SHORTEST = 0.05
_MINUTE = 60

_FATES = {
    Fate.CREATED: "new",
    Fate.KEPT: "kept from the last push",
    Fate.RECREATED: "recreated",
}


def short(commit: str) -> str:
    return commit[:7]


def failed(failure: Failure) -> str:
    """What broke, as one sentence that begins with the stage."""
    if not failure.stage or failure.message.startswith(f"{failure.stage} "):
        return failure.message
    return f"{failure.stage} failed: {failure.message}"


def duration(seconds: float) -> str:
    """`2.9 s`, or `2 min 5 s`."""
    return f"{seconds:.1f} s" if round(seconds, 1) < _MINUTE else _minutes(seconds)


def took(attempt: Attempt) -> str:
    """`2.9 s: build 0.4 (cached), start 0.7, post-deploy 1.5`, with what took a tenth or more."""
    if attempt.seconds is None:
        return ""
    least = max(attempt.seconds * _WORTH_MENTIONING, _SHORTEST)
    stages = [_timed(each) for each in attempt.stages if (each.seconds or 0) >= least]
    return ": ".join((duration(attempt.seconds), *([", ".join(stages)] if stages else [])))


def running(attempt: Attempt) -> str:
    """The stages that run now: `build, database`; nothing if none does."""
    return _names(attempt.stages, StageState.RUNNING)


def done(attempt: Attempt) -> str:
    """The stages that are done, with their times."""
    return ", ".join(_timed(each) for each in attempt.stages if each.state is StageState.DONE)


def became(change: Change) -> str:
    """What became of a database: `kept from the last push, 1 migration applied`."""
    words = [_FATES[change.fate]]
    if (count := change.migrations) is not None:
        words.append(f"{count or 'no'} migration{'' if count == 1 else 's'} applied")
    return ", ".join(words)


def _names(stages: Iterable[StageFacts], state: StageState) -> str:
    return ", ".join(each.name for each in stages if each.state is state)


def _timed(stage: StageFacts) -> str:
    seconds = stage.seconds or 0
    time = f"{seconds:.1f}" if round(seconds, 1) < _MINUTE else _minutes(seconds)
    return f"{stage.name} {time}{' (cached)' if stage.cached else ''}"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"
