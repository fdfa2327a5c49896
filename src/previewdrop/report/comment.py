"""The one comment on a pull request: where its preview is, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator

from previewdrop.domain.commands import OURS
from previewdrop.domain.preview import DeploymentState, Failure
from previewdrop.domain.reasons import Reason, Why
from previewdrop.report import wording
from previewdrop.report.facts import Attempt, Facts, Removal
from previewdrop.report.markdown import address, block, code, folded, listed, prose, table

_TITLE, _SENTENCE, _NOTE = 100, 600, 200
_NOTES = 8
_TAIL_LINES, _TAIL_LINE = 40, 300
"""All together stay under GitHub's 65,536 characters, however much of it has to be escaped."""


def mark(name: str) -> str:
    """How the comment of the preview `project/pr-42` begins, unseen, so that it is found again."""
    return f"{OURS}{name} -->"


def opens(facts: Facts) -> bool:
    """Whether there is enough to tell for a comment to be made; one that is there is kept true.

    A pull request that gets no preview by the rules is left in peace.
    """
    if facts.removal is not None:
        return False
    return facts.desired is not None or facts.live is not None or facts.unapproved


def comment(facts: Facts) -> str:
    """What follows the mark, as Markdown. Links are ours only; all text of others stays text."""
    return "\n\n".join(_blocks(facts)) + "\n"


def _blocks(facts: Facts) -> Iterator[str]:
    if facts.removal is not None:
        yield _removed(facts.removal)
        return
    if facts.live is not None:
        yield "\n".join(
            (
                f"🚀 Preview deployed: {address(facts.url)}",
                f"📚 API docs: {address(facts.docs_url)}",
                f"🔍 Health check: {address(facts.health_url)}",
            )
        )
    yield from _changing(facts)
    if facts.live is not None:
        yield table([*_rows(facts, facts.live)])
    if notes := [note for note in _notes(facts) if note]:
        yield listed(notes, _NOTES)


def _changing(facts: Facts) -> Iterator[str]:
    """What is not live: refused, waiting, under way or failed."""
    if facts.skipped is not None:
        yield _skipped(facts.skipped, alone=facts.live is None)
    if facts.down:
        yield f"⚠️ {prose(facts.waiting or '', _SENTENCE)}"
    if facts.upcoming is not None and facts.waiting is not None:
        yield _said(f"⏸️ Waiting to preview {_commit(facts.upcoming)}", facts.waiting)
    elif facts.beside is not None and facts.beside.state is DeploymentState.FAILED:
        yield from _failed(facts, facts.beside)
    elif facts.beside is not None:
        yield _under_way(facts, facts.beside)
    elif facts.upcoming is not None:
        yield "\n".join((f"⏳ Queued: {_commit(facts.upcoming)}", *_promise(facts)))
    elif facts.live is None and facts.skipped is None:
        yield "⏳ No preview yet."


def _removed(removal: Removal) -> str:
    if not removal.done:
        return _said("🧹 Preview is being removed.", *_texts(removal.reason))
    gone = "Its URL, its processes, its database and its cache are gone."
    return _said(f"🧹 Preview removed. {gone}", *_texts(removal.reason))


def _skipped(reason: Reason, *, alone: bool) -> str:
    if reason.why is Why.UNAPPROVED:
        return _said("🔒 Approval needed.", *_texts(reason))
    return _said("⏭️ No preview." if alone else "⏭️ Newer commit left out.", *_texts(reason))


def _under_way(facts: Facts, attempt: Attempt) -> str:
    lines = [f"⏳ {attempt.state.capitalize()}: {_commit(attempt.commit, attempt.title)}"]
    past, now = wording.done(attempt), wording.running(attempt)
    steps = [f"Done: {past}."] if past else []
    steps += [f"Now: {now}."] if now else []
    return "\n".join((*lines, *([" ".join(steps)] if steps else []), *_promise(facts)))


def _failed(facts: Facts, attempt: Attempt) -> Iterator[str]:
    failure = attempt.failure or Failure("", "The deployment failed.")
    what = "Preview failed" if facts.live is None else "Newer commit failed"
    if facts.live is not None and facts.live.commit == attempt.commit:
        what = "New deployment failed"
    yield f"❌ {what}: {_commit(attempt.commit, attempt.title)}"
    if said := _said("", wording.failed(failure), failure.hint or ""):
        yield said
    if tail := failure.log_tail[-_TAIL_LINES:]:
        yield folded("The end of the log", block(tail, _TAIL_LINE))
    log = f"[Full log]({address(facts.details_url)}). " if facts.details_url else ""
    yield f"{log}Write `/preview redeploy` to try again, `/preview logs` for more of the log."


def _promise(facts: Facts) -> Iterator[str]:
    """What one has until then."""
    if facts.live is None:
        yield f"It will be at {code(facts.url, 200)}"
    else:
        yield f"{_commit(facts.live.commit)} stays live until then."


def _rows(facts: Facts, live: Attempt) -> Iterator[tuple[str, str]]:
    alone = facts.beside is None and facts.upcoming is None and facts.skipped is None
    yield ("commit" if alone else "live commit"), _commit(live.commit, live.title, cell=True)
    if took := wording.took(live):
        yield "ready in", took
    if facts.database is not None:
        name, change = code(facts.database.name, 63, cell=True), facts.database.change
        yield "database", f"{name}, {wording.became(change)}" if change else name


def _notes(facts: Facts) -> list[str]:
    attempts = [attempt for attempt in (facts.beside, facts.live) if attempt is not None]
    notes = dict.fromkeys(note for attempt in attempts for note in attempt.notes)
    asleep = ["💤 Asleep; the next request wakes it."] if facts.sleeping else []
    return [
        *asleep,
        *(f"⚠️ {prose(each, _NOTE)}" for each in facts.warnings),
        *(prose(each, _NOTE) for each in notes),
    ]


def _commit(commit: str, title: str | None = None, *, cell: bool = False) -> str:
    words = (code(wording.short(commit), 7), prose(title or "", _TITLE, cell=cell))
    return " ".join(word for word in words if word)


def _said(headline: str, *sentences: str) -> str:
    lines = (headline, *(prose(sentence, _SENTENCE) for sentence in sentences))
    return "\n".join(line for line in lines if line)


def _texts(reason: Reason | None) -> list[str]:
    if reason is None:
        return []
    return [reason.message, *([reason.hint] if reason.hint else [])]
