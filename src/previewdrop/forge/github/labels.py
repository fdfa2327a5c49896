"""Who set a label, which a pull request itself does not tell."""

from __future__ import annotations

from collections.abc import Collection

from previewdrop.forge.base import Labelled
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, results
from previewdrop.forge.github.answers import read_list
from previewdrop.forge.github.paging import Send, pages
from previewdrop.forge.github.payloads import NOBODY


async def labelled(
    send: Send, repository: Repository, number: int, labels: Collection[str]
) -> Labelled | None:
    """The newest of these labels that was not taken away again, whatever its case."""
    wanted = {label.casefold() for label in labels}
    there: dict[str, Labelled] = {}
    async for page in pages(send, lambda page: calls.issue_events(repository, number, page)):
        for told in read_list(results.IssueEvent, page):
            name = told.label.name.casefold() if told.label else ""
            if name not in wanted:
                continue
            if told.event == "labeled":
                there[name] = Labelled((told.actor or NOBODY).login, told.created_at)
            elif told.event == "unlabeled":
                there.pop(name, None)
    return max(there.values(), key=lambda each: each.at, default=None)
