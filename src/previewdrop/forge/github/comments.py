"""The one comment of ours on a pull request, changed in place."""

from __future__ import annotations

from http import HTTPStatus

from previewdrop.forge.base import Refused, Written
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, results
from previewdrop.forge.github.access import Access
from previewdrop.forge.github.answers import read, read_list
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.paging import Send, pages


async def upsert(
    send: Send,
    access: Access,
    repository: Repository,
    number: int,
    mark: str,
    text: str,
    known: int | None,
) -> Written:
    """The comment that begins with `mark` and says `text`.

    It is found by its id, else by the mark among the comments of our own login: somebody else may
    quote the mark. Only then a new one is written, so an answer that got lost makes no second one.
    """
    body = f"{mark}\n{text}"
    if known is not None:
        changed = await _changed(send, calls.change_comment(repository, known, body))
        if changed is not None:
            return changed
    there = await _find(send, access, repository, number, mark)
    if there is not None:
        return await _written(send, calls.change_comment(repository, there, body))
    return await _written(send, calls.write_comment(repository, number, body))


async def _changed(send: Send, call: Call) -> Written | None:
    try:
        return await _written(send, call)
    except Refused as refused:
        # Forbidden: it is of an App that was connected before this one.
        if refused.missing or refused.answer == HTTPStatus.FORBIDDEN:
            return None
        raise


async def _written(send: Send, call: Call) -> Written:
    return read(results.CommentPayload, (await send(call)).value).written


async def _find(
    send: Send, access: Access, repository: Repository, number: int, mark: str
) -> int | None:
    author = (await access.author()).lower()
    async for page in pages(send, lambda page: calls.comments(repository, number, page)):
        for comment in read_list(results.CommentPayload, page):
            ours = comment.author.lower() == author
            if ours and (comment.body or "").startswith(mark):
                return comment.id
    return None
