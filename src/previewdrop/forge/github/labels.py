"""Who set a label, which a pull request itself does not tell."""

from __future__ import annotations

from collections.abc import Collection

from previewdrop.forge.base import Labelled
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, results
from previewdrop.forge.github.answers import read, read_list
from previewdrop.forge.github.paging import Send, pages
from previewdrop.forge.github.payloads import NOBODY

_UNSET = "unlabeled"
_CHANGES = frozenset({"labeled", _UNSET})


async def labelled(
    send: Send, repository: Repository, number: int, labels: Collection[str]
) -> Labelled | None:
    """The newest of these labels that was not taken away again, whatever its case."""
    wanted = {label.casefold() for label in labels}
    there: dict[str, Labelled] = {}
    async for page in pages(send, lambda page: calls.issue_events(repository, number, page)):
        for kind, event in zip(read_list(results.IssueEvent, page), page, strict=True):
            if kind.event not in _CHANGES:
                continue
            told = read(results.LabelEvent, event)
            name, actor = told.label.name.casefold(), told.actor or NOBODY
            if told.event == _UNSET:
                there.pop(name, None)
            elif name in wanted:
                there[name] = Labelled(actor.login, actor.bot, told.created_at)
    return max(there.values(), key=lambda each: each.at, default=None)
