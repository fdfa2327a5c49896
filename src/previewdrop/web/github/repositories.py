"""The repositories that the connections to GitHub see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from previewdrop.domain.errors import BadInput, NotFound, PreviewDropError
from previewdrop.forge.base import Forge
from previewdrop.forge.events import Repository
from previewdrop.forge.github.access import Installation
from previewdrop.forge.github.github import GitHub
from previewdrop.store.forges import StoredForge
from previewdrop.web.github.connections import KIND, installation_link
from previewdrop.web.ports import Hosts

_PATIENCE = 15.0
"""Seconds. Somebody waits for the page, and one GitHub that is slow must not hide the others."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A repository, and the connection that sees it."""

    stored: StoredForge
    forge: Forge
    repository: Repository


@dataclass(frozen=True, slots=True)
class Installed:
    """An installation, and the App's connection."""

    stored: StoredForge
    installation: Installation


async def reached(hosts: Hosts) -> tuple[Sequence[Reached], Sequence[str]]:
    """Every repository once, by name, and a sentence for each connection that did not tell.

    An App comes before a token that sees the same, and of two Apps the newer one.
    """
    connections = sorted(await connected(hosts), key=lambda each: rank(each[0]))
    told = await asyncio.gather(*(_told_by(*each) for each in connections))
    found: dict[str, Reached] = {}
    for each in (one for there, _ in told for one in there):
        found.setdefault(_key(each.repository.url), each)
    there = sorted(found.values(), key=lambda each: each.repository.name.lower())
    return there, [silent for _, silent in told if silent]


async def installed(hosts: Hosts) -> tuple[Sequence[Installed], Sequence[str]]:
    """Where the Apps are installed, and a sentence for each App that did not tell."""
    told = await asyncio.gather(*(_installed(*each) for each in await connected(hosts)))
    there = [one for found, _ in told for one in found]
    return there, [silent for _, silent in told if silent]


def rank(stored: StoredForge) -> tuple[bool, int]:
    """The lower, the better: an App may do less than a token, and is told more."""
    return stored.app is None, -stored.id


async def known(hosts: Hosts) -> dict[int, StoredForge]:
    """The connections to GitHub by their ids."""
    return {stored.id: stored for stored, _ in await connected(hosts)}


async def connected(hosts: Hosts) -> list[tuple[StoredForge, Forge]]:
    """The connections to GitHub."""
    return [each for each in await hosts() if each[0].kind == KIND]


async def _told_by(stored: StoredForge, forge: Forge) -> tuple[list[Reached], str | None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            told = await forge.repositories()
    except (PreviewDropError, TimeoutError) as error:
        return [], _silent(stored, error)
    return [Reached(stored, forge, one) for one in told], None


async def _installed(stored: StoredForge, forge: Forge) -> tuple[list[Installed], str | None]:
    if not isinstance(forge, GitHub):
        return [], None
    try:
        async with asyncio.timeout(_PATIENCE):
            told = await forge.installations()
    except (PreviewDropError, TimeoutError) as error:
        return [], _silent(stored, error)
    return [Installed(stored, one) for one in told], None


def _silent(stored: StoredForge, error: PreviewDropError | TimeoutError) -> str:
    said = error.message if isinstance(error, PreviewDropError) else "It does not answer."
    return f"{stored.slug or 'The token'} at {stored.url}: {said}"


async def find(hosts: Hosts, wanted: str) -> Reached:
    """The repository `owner/name`, or of a URL. NotFound with what to do; BadInput for several."""
    if not await connected(hosts):
        raise NotFound("No GitHub is connected.", "Run `previewdrop github connect`.")
    there, silent = await reached(hosts)
    same = [
        each
        for each in there
        if each.repository.name.lower() == wanted.lower() or same_place(each.repository.url, wanted)
    ]
    if len(same) > 1:
        urls = ", ".join(each.repository.url for each in same)
        raise BadInput(f"There is a {wanted} at several hosts.", f"Give its URL: {urls}.")
    if same:
        return same[0]
    links = [link for each, _ in await connected(hosts) if (link := installation_link(each))]
    hint = f"Choose it for the App at {links[0]}." if links else "Can the token's owner push there?"
    raise NotFound(f"No connection sees a repository {wanted}.", " ".join([*silent, hint]))


def same_place(one: str, other: str) -> bool:
    """Whether two addresses are those of the same repository."""
    return _key(one) == _key(other)


def _key(url: str) -> str:
    return url.lower().rstrip("/").removesuffix(".git")
