"""Dependencies that a file lists by name, without includes or workspaces."""

from __future__ import annotations

from dataclasses import dataclass

from previewdrop.domain.app import Dependencies


@dataclass(frozen=True, slots=True)
class Listed:
    """`names` are normalised; `where` is the file that lists them."""

    where: str
    names: frozenset[str]
    dependencies: Dependencies
    warnings: tuple[str, ...] = ()
