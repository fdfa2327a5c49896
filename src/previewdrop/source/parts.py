"""What a checkout consists of: the tree of the commit and those of its submodules."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from previewdrop.domain.errors import BadInput, BadSource
from previewdrop.source import commands
from previewdrop.source.address import Address, join_address, parse_address
from previewdrop.source.git import TooMuchOutput, read, run
from previewdrop.source.local import find_repository
from previewdrop.source.mirror import Mirror
from previewdrop.source.refusals import refusal
from previewdrop.source.tree import (
    Entry,
    check_bounds,
    check_links,
    missing_object,
    parse_tree,
    shown,
    too_many_files,
)

MOST_LEVELS = 5
"""How deep submodules may lie in submodules."""

_BYTES_PER_ENTRY = 512
_MODULE = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url)", re.DOTALL)
_MODULES_FILE = b".gitmodules"

Obtain = Callable[[Address, str], Awaitable[Mirror]]
"""Fetches a commit and returns the mirror that holds it; BadSource or Unavailable if it cannot."""


@dataclass(frozen=True, slots=True)
class Module:
    """A submodule as `.gitmodules` describes it."""

    name: str
    path: bytes
    url: str


@dataclass(slots=True)
class Parts:
    """The files of one commit and its submodules, still in their mirrors.

    `trees` are (mirror, its regular files); `links` maps each symbolic link to its target;
    `folders` are submodules without content.
    """

    file_limit: int
    byte_limit: int
    trees: list[tuple[Path, list[Entry]]] = field(default_factory=list[tuple[Path, list[Entry]]])
    links: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    folders: list[bytes] = field(default_factory=list[bytes])
    warnings: list[str] = field(default_factory=list[str])
    bytes: int = 0

    @property
    def files(self) -> int:
        return len(self.links) + sum(len(entries) for _, entries in self.trees)


async def gather(
    address: Address, mirror: Mirror, sha: str, obtain: Obtain, *, files: int, size: int
) -> Parts:
    """Lists a commit that is in its mirror, with its submodules, which are fetched where needed.

    Everything is checked here (names, links, number and size of all files together), and nothing
    is written. BadSource names what is wrong.
    """
    parts = Parts(files, size)
    await _add(parts, address, mirror, sha, b"", (), obtain)
    check_links(parts.links)
    return parts


async def _add(
    parts: Parts,
    address: Address,
    mirror: Mirror,
    sha: str,
    prefix: bytes,
    above: tuple[str, ...],
    obtain: Obtain,
) -> None:
    entries = await _tree(parts, address, mirror, sha, prefix)
    links = [entry for entry in entries if entry.is_link]
    modules = [entry for entry in entries if entry.is_submodule]
    room = parts.byte_limit - parts.bytes
    parts.bytes += check_bounds(entries, parts.file_limit - parts.files, room)
    regular = [entry for entry in entries if not entry.is_link and not entry.is_submodule]
    parts.trees.append((mirror.path, regular))
    if links:
        parts.links |= await _targets(mirror, links)
    if modules:
        described = await _modules(mirror, entries, prefix)
        for entry in modules:
            if module := described.get(entry.path):
                chain = (*above, address.text)
                await _add_module(parts, address, mirror, entry, module, chain, obtain)
            else:
                parts.folders.append(entry.path)
                parts.warnings.append(
                    f"{shown(entry.path)} is a submodule without an entry in .gitmodules; "
                    "its folder is empty."
                )


async def _add_module(
    parts: Parts,
    address: Address,
    mirror: Mirror,
    entry: Entry,
    module: Module,
    above: tuple[str, ...],
    obtain: Obtain,
) -> None:
    try:
        if len(above) > MOST_LEVELS:
            raise BadSource(f"It lies more than {MOST_LEVELS} submodules deep.")
        places = await _places(address, mirror, module)
        for last, place in enumerate(places, start=1 - len(places)):
            if place.text in above:
                raise BadSource("It contains itself.")
            try:
                found = await obtain(place, entry.sha)
            except BadSource:
                if last < 0:
                    continue
                raise
            path = entry.path + b"/"
            await _add(parts, place, found, entry.sha, path, above, obtain)
            return
    except BadInput as error:
        raise BadSource(
            f"The submodule {shown(entry.path)} cannot be used: {error.message}",
            error.hint or "Correct its url in .gitmodules, or remove the submodule.",
        ) from error


async def _places(address: Address, mirror: Mirror, module: Module) -> list[Address]:
    """Where a submodule's commits may be, best first: a repository on this machine that has it
    checked out already holds them itself."""
    if address.folder is None:
        return [join_address(address, module.url, ours=False)]
    repository = find_repository(address.folder)
    own = repository.common / "modules" / module.name
    places = [Address(str(own), folder=own)] if (own / "objects").is_dir() else []
    base = Address(str(_top(repository.common)), folder=_top(repository.common))
    if module.url.startswith("."):
        config = repository.common / "config"
        answer = await run(commands.read_setting(mirror.path, config, "remote.origin.url"))
        origin = answer.output.decode(errors="replace").strip()
        if origin and not origin.startswith("."):
            base = parse_address(origin)
    try:
        places.append(join_address(base, module.url, ours=True))
    except BadSource:
        if not places:
            raise
    return places


def _top(common: Path) -> Path:
    return common.parent if common.name == ".git" else common


async def _tree(
    parts: Parts, address: Address, mirror: Mirror, sha: str, prefix: bytes
) -> list[Entry]:
    limit = parts.file_limit * _BYTES_PER_ENTRY
    try:
        finished = await run(commands.list_tree(mirror.path, sha), limit=limit)
    except TooMuchOutput as error:
        raise too_many_files(parts.file_limit) from error
    if finished.code:
        if "Not a valid object name" in finished.errors or "not a tree" in finished.errors:
            raise missing_object(f"commit {sha}")
        raise refusal(finished.errors, address.text)
    return parse_tree(finished.output, prefix)


async def _targets(mirror: Mirror, links: list[Entry]) -> dict[bytes, bytes]:
    for link in links:
        if link.size > 2 * 4096:
            raise BadSource(f"The symbolic link {shown(link.path)} has no usable target.")

    def consume(output: BinaryIO) -> dict[bytes, bytes]:
        return {link.path: read_blob(output, link) for link in links}

    return await read(commands.read_blobs(mirror.path, (link.sha for link in links)), consume)


async def _modules(mirror: Mirror, entries: list[Entry], prefix: bytes) -> dict[bytes, Module]:
    file = next((e for e in entries if e.path == prefix + _MODULES_FILE and not e.is_link), None)
    if file is None:
        return {}
    finished = await run(commands.read_modules(mirror.path, file.sha))
    if finished.code:
        raise BadSource("The file .gitmodules cannot be read.", "Correct it, or remove it.")
    return {
        prefix + module.path: Module(module.name, prefix + module.path, module.url)
        for module in parse_modules(finished.output)
    }


def parse_modules(listing: bytes) -> list[Module]:
    """The submodules that `git config --list -z` shows of a `.gitmodules` file; BadSource for a
    name that leads elsewhere."""
    found: dict[str, dict[str, str]] = {}
    for item in listing.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = item.partition("\n")
        if match := _MODULE.fullmatch(key):
            found.setdefault(match["name"], {})[match["key"]] = value
    modules: list[Module] = []
    for name, values in found.items():
        if ".." in name.split("/") or name.startswith("/"):
            raise BadSource(f"The submodule name {name!a} cannot be used.")
        if "path" in values and "url" in values:
            path = values["path"].rstrip("/").encode("utf-8", "surrogateescape")
            modules.append(Module(name, path, values["url"]))
    return modules


def read_blob(output: BinaryIO, entry: Entry) -> bytes:
    """The next whole blob of `git cat-file --batch`, which must be that of the entry."""
    size = read_blob_size(output, entry)
    content = output.read(size)
    if len(content) != size or output.read(1) != b"\n":
        raise EOFError
    return content


def read_blob_size(output: BinaryIO, entry: Entry) -> int:
    """Reads the line before a blob and returns the blob's size, the one that was checked.

    EOFError if git ended early, BadSource if the repository lacks the object.
    """
    header = output.readline()
    if not header.endswith(b"\n"):
        raise EOFError
    if header != f"{entry.sha} blob {entry.size}\n".encode():
        raise missing_object(shown(entry.path))
    return entry.size
