"""Why a pull request has no preview of its newest commit, as people read it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Why a pull request's head is not previewed."""

    CLOSED = "closed"
    FORK = "fork"
    FORBIDDEN = "forbidden"
    STOPPED = "stopped"
    EXPIRED = "expired"
    BASE = "base"
    DRAFT = "draft"
    BOT = "bot"
    LABEL = "label"
    ON_DEMAND = "on-demand"
    UNAPPROVED = "unapproved"
    SKIPPED = "skipped"
    UNWATCHED = "unwatched"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not, as a sentence for people, and what they can do; names stand in backticks."""

    why: Why
    message: str
    hint: str | None = None


_ASK = "Write `/preview` to deploy it all the same."

FORK = Reason(Why.FORK, "This pull request comes from a fork, and forks get no previews here.")
DRAFT = Reason(
    Why.DRAFT, "This pull request is a draft.", "Mark it as ready for review, or write `/preview`."
)
BOT = Reason(Why.BOT, "A bot opened this pull request.", _ASK)
ON_DEMAND = Reason(Why.ON_DEMAND, "Previews are made on demand here.", _ASK)
STOPPED = Reason(Why.STOPPED, "Somebody wrote `/preview stop`.", "Write `/preview` to start again.")

EXPIRED = Reason(
    Why.EXPIRED,
    "Nobody pushed to it or asked for its pages for a long time.",
    "Push, or write `/preview`, to start again.",
)

FORGOTTEN = Reason(Why.FORGOTTEN, "Its project was removed from PreviewDrop.")


def closed(*, merged: bool) -> Reason:
    return Reason(Why.CLOSED, f"This pull request was {'merged' if merged else 'closed'}.")


def forbidden(labels: Collection[str]) -> Reason:
    message = f"This pull request has the label {_named(labels)}."
    return Reason(Why.FORBIDDEN, message, "Take the label away to get a preview.")


def base(branch: str) -> Reason:
    message = f"This pull request leads to {_named([branch])}, which is not watched."
    return Reason(Why.BASE, message, _ASK)


def unlabelled(labels: Collection[str]) -> Reason:
    message = f"This pull request has no label that asks for a preview: {_named(labels)}."
    return Reason(Why.LABEL, message, "Add one, or write `/preview`.")


def unapproved(head: str, labels: Collection[str] = (), on: Collection[str] = ()) -> Reason:
    """The hint names the whole commit: two with the same beginning are quickly made.

    `labels` approve the commit too, when they are set after it was asked about; those that are
    `on` already were not.
    """
    label = f", or set the label {_named(labels)}" if labels else ""
    if on:
        label = f", or take the label {_named(on)} off and set it again"
    return Reason(
        Why.UNAPPROVED,
        f"`{head[:7]}` is code from a fork. It runs only after somebody with write access to this "
        "repository has read and approved it.",
        f"To approve it, write `/preview approve {head}`{label}.",
    )


def skipped(head: str) -> Reason:
    return Reason(Why.SKIPPED, f"The message of `{head[:7]}` says `[skip preview]`.", _ASK)


def unwatched(head: str) -> Reason:
    return Reason(Why.UNWATCHED, f"`{head[:7]}` changes no file that `watch` names.", _ASK)


def _named(names: Collection[str]) -> str:
    return ", ".join(f"`{name.replace('`', '')}`" for name in sorted(names))
