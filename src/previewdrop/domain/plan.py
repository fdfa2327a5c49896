"""The heart: from what is wanted and what is there to the next step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Desired:
    """What a preview should be.

    `generation` counts what was asked for: a push, a redeploy and a changed variable raise it. It
    is answered by a deployment of the same generation that is ready or failed.
    """

    present: bool
    commit: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class Live:
    """The deployment that serves, as it was observed."""

    deployment: int
    running: bool
    routed: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there of a preview.

    `answered` is the newest generation that a deployment brought to ready or failed. `unfinished`
    are deployments that nobody works on any more: their worker died. `leftovers` is True while
    anything at all exists that a removal has to take away. `room` is False when the project has
    reached its number of live previews and this preview holds no place yet.
    """

    answered: int = 0
    live: Live | None = None
    unfinished: tuple[int, ...] = ()
    leftovers: bool = False
    room: bool = True


@dataclass(frozen=True, slots=True)
class Abandon:
    """Clear away what deployments left that were interrupted."""

    deployments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Deploy:
    """Bring a commit live."""

    commit: str
    generation: int


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the live deployment's processes again: they ended by themselves."""

    deployment: int


@dataclass(frozen=True, slots=True)
class Reroute:
    """Send the preview's host to the live deployment again: the edge forgot it."""

    deployment: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before another preview of the project is removed."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Take away everything of the preview."""


@dataclass(frozen=True, slots=True)
class Done:
    """Wanted and observed agree."""


Step = Abandon | Deploy | Restart | Reroute | Wait | Remove | Done


def plan(desired: Desired, observed: Observed) -> Step:
    """The next step towards the desired state.

    What serves must be reachable before anything else: an attempt that was interrupted after its
    route was switched left the URL at a process that is about to be cleared away. What was
    interrupted is cleared before the next attempt, so that no two ever overlap. A failed
    generation is answered: it is not tried again before something new is asked for, and the
    deployment that serves goes on.
    """
    live = observed.live
    if desired.present and live and live.running and not live.routed:
        return Reroute(live.deployment)
    if observed.unfinished:
        return Abandon(observed.unfinished)
    if not desired.present:
        return Remove() if observed.leftovers else Done()
    if desired.commit is not None and observed.answered < desired.generation:
        if not observed.room:
            return Wait()
        return Deploy(desired.commit, desired.generation)
    if live and not live.running:
        return Restart(live.deployment)
    return Done()
