"""The repositories that the connections to GitHub see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from previewdrop.domain.errors import BadInput, NotFound, PreviewDropError
from previewdrop.forge.base import Forge
from previewdrop.forge.events import Repository
from previewdrop.store.forges import StoredForge
from previewdrop.web.github.connections import KIND, installation_link
from previewdrop.web.ports import Hosts


@dataclass(frozen=True, slots=True)
class Reached:
    """A repository, and the connection that sees it."""

    stored: StoredForge
    forge: Forge
    repository: Repository


async def reached(hosts: Hosts) -> tuple[Sequence[Reached], Sequence[str]]:
    """Every repository once, by name, and a sentence for each connection that did not tell.

    An App comes before a token that sees the same: it may do less, and is told more.
    """
    found: dict[str, Reached] = {}
    silent: list[str] = []
    connections = [each for each in await hosts() if each[0].kind == KIND]
    for stored, forge in sorted(connections, key=lambda each: each[0].app is None):
        try:
            repositories = await forge.repositories()
        except PreviewDropError as error:
            silent.append(f"{stored.slug or 'The token'} at {stored.url}: {error.message}")
            continue
        for one in repositories:
            found.setdefault(_key(one.url), Reached(stored, forge, one))
    return sorted(found.values(), key=lambda each: each.repository.name.lower()), silent


async def find(hosts: Hosts, wanted: str) -> Reached:
    """The repository `owner/name`, or of a URL. NotFound with what to do; BadInput for several."""
    if not await hosts():
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
    stored = [stored for stored, _ in await hosts()]
    links = [link for each in stored if (link := installation_link(each))]
    hint = f"Choose it for the App at {links[0]}." if links else "Can the token's owner push there?"
    raise NotFound(f"No connection sees a repository {wanted}.", " ".join([*silent, hint]))


def same_place(one: str, other: str) -> bool:
    """Whether two addresses are those of the same repository."""
    return _key(one) == _key(other)


def _key(url: str) -> str:
    return url.lower().rstrip("/").removesuffix(".git")
