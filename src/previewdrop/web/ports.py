"""What the API needs of the rest of the server, given to it when it is put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Forge
from previewdrop.store.forges import StoredForge
from previewdrop.store.previews import PreviewRow
from previewdrop.store.store import Store
from previewdrop.store.tables import Project


class Isolation(Protocol):
    """How previews are kept apart at this moment: whether they are, and a sentence on it."""

    @property
    def isolated(self) -> bool: ...

    @property
    def isolation(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How this server runs."""

    runtime: str
    walls: Isolation
    url: str
    edge_url: str


class Operations(Protocol):
    """Looking into running previews, and asking for work."""

    async def resolve(self, project: Project, branch: str, commit: str | None) -> str:
        """The full SHA of a branch's newest commit, or of `commit`; BadSource if there is none."""
        ...

    async def concerned(self, row: PreviewRow, commit: str) -> bool:
        """Whether a push of `commit` should deploy: not if it touches nothing that is watched."""
        ...

    async def changed(self, preview_id: int) -> None:
        """Something is wanted of a preview: work on it, and abort what is wanted no more."""
        ...

    def url(self, row: PreviewRow) -> str: ...

    def logs(self, row: PreviewRow, *, follow: bool) -> AsyncGenerator[tuple[str, str]]:
        """(process, line) of what the live deployment's processes print."""
        ...

    def run(self, row: PreviewRow, command: list[str], timeout: float) -> AsyncGenerator[str | int]:
        """Lines that a command beside the app prints, then its exit code."""
        ...

    async def connection(self, row: PreviewRow) -> tuple[Secret | None, Secret | None]:
        """The URLs of the preview's database and cache, as its app gets them."""
        ...

    async def services(self) -> dict[str, str]: ...

    def shut_down(self, *, keep_previews: bool) -> None: ...


Hear = Callable[[str, Mapping[str, str], bytes], Awaitable[bool | None]]
"""Takes a webhook of a kind of host; None if none has signed it, False if it is not new."""


async def deaf(kind: str, headers: Mapping[str, str], body: bytes) -> bool | None:
    """Where no code host is connected."""
    return None


Hosts = Callable[[], Awaitable[Sequence[tuple[StoredForge, Forge]]]]
"""The connected code hosts, each with its client.

Whoever connects one asks, so that webhooks of it are known from then on.
"""


async def alone() -> Sequence[tuple[StoredForge, Forge]]:
    """Where no code host is connected."""
    return ()


def settled() -> None:
    """Where nothing has to be compared again."""


@dataclass(frozen=True, slots=True)
class Control:
    """Everything the API works with. `resync` has pull requests compared with previews, soon."""

    store: Store
    settings: Settings
    facts: ServerFacts
    operations: Operations
    token: Secret
    hear: Hear = deaf
    hosts: Hosts = alone
    resync: Callable[[], None] = settled
