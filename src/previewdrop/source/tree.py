"""The files of a commit as git lists them, and the checks they pass before one is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from previewdrop.domain.errors import BadSource

LINK = "120000"
GITLINK = "160000"
_EXECUTABLE = "100755"

_INVISIBLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""What HFS+ ignores in a name: is_hfs_dotgit in git's utf8.c"""

_LONGEST_NAME = 255
_LONGEST_TARGET = 4096
_MOST_HOPS = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or submodule: `path` relative to the top of the checkout, `size` in bytes."""

    mode: str
    sha: str
    size: int
    path: bytes

    @property
    def is_link(self) -> bool:
        return self.mode == LINK

    @property
    def is_submodule(self) -> bool:
        return self.mode == GITLINK

    @property
    def is_executable(self) -> bool:
        return self.mode == _EXECUTABLE


def parse_tree(listing: bytes, prefix: bytes = b"") -> list[Entry]:
    """The entries of `git ls-tree -r -l -z`, all paths below `prefix`; BadSource for unsafe names
    and for objects that are missing."""
    entries: list[Entry] = []
    for record in listing.split(b"\0"):
        if not record:
            continue
        meta, _, path = record.partition(b"\t")
        mode, _, sha, size = meta.decode("ascii").split()
        check_name(path)
        if size == "BAD":
            raise missing_object(shown(path))
        entries.append(Entry(mode, sha, 0 if size == "-" else int(size), prefix + path))
    return entries


def check_name(path: bytes) -> None:
    """BadSource for a path that git itself would not check out, or that no disk can hold."""
    for name in path.split(b"/"):
        if name in (b"", b".", b"..") or b"\\" in name or len(name) > _LONGEST_NAME:
            raise BadSource(f"The file name {shown(path)} cannot be used.", "Rename the file.")
        if name[0] not in b".gG" and name[0] < 0x80:
            continue
        plain = _INVISIBLE.sub("", name.decode("utf-8", "replace")).partition(":")[0]
        if plain.rstrip(" .").lower() in (".git", "git~1"):
            raise BadSource(f"The file name {shown(path)} is one that git reserves for itself.")


def check_bounds(entries: Iterable[Entry], files: int, size: int) -> int:
    """The size of all files together in bytes; BadSource if they are too many or too large."""
    count, total = 0, 0
    largest: Entry | None = None
    for entry in entries:
        count += 1
        total += entry.size
        if largest is None or entry.size > largest.size:
            largest = entry
    if count > files:
        raise too_many_files(files)
    if total > size and largest:
        raise BadSource(
            f"The commit's files have {_mebibytes(total)}, more than the {_mebibytes(size)} that "
            f"are allowed; the largest is {shown(largest.path)} with {_mebibytes(largest.size)}.",
            "Raise PREVIEWDROP_SOURCE_BYTES, or keep large files out of the repository.",
        )
    return total


def check_links(links: Mapping[bytes, bytes]) -> None:
    """BadSource for a symbolic link (path to target) that leads out of the checkout.

    Links are followed through other links of the same checkout, as the kernel would.
    """
    for path, target in links.items():
        if len(target) > _LONGEST_TARGET or b"\0" in target or _leads_out(path, links):
            raise BadSource(
                f"The symbolic link {shown(path)} leads out of the repository, "
                f"to {shown(target[:200])}.",
                "Point it at a file of the repository by a relative path.",
            )


def too_many_files(limit: int) -> BadSource:
    """The error for a commit with more than `limit` files."""
    return BadSource(f"The commit has more than {limit} files.", "Keep generated files out of it.")


def missing_object(what: str) -> BadSource:
    """The error for content that the repository itself has not got."""
    return BadSource(
        f"The repository has not got all of its objects; {what} is missing.",
        "It may be a partial clone: run git fetch --refetch --no-filter there.",
    )


def shown(path: bytes) -> str:
    """A path for people, whatever bytes it holds."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else ascii(text)


def _leads_out(path: bytes, links: Mapping[bytes, bytes]) -> bool:
    place = path.split(b"/")[:-1]
    ahead = [links[path]]
    todo = _reversed_steps(ahead[0])
    if ahead[0].startswith(b"/"):
        return True
    hops = 1
    while todo:
        step = todo.pop()
        if step == b"..":
            if not place:
                return True
            place.pop()
            continue
        place.append(step)
        target = links.get(b"/".join(place))
        if target is not None:
            hops += 1
            if target.startswith(b"/") or hops > _MOST_HOPS:
                return target.startswith(b"/")
            place.pop()
            todo += _reversed_steps(target)
    return False


def _reversed_steps(target: bytes) -> list[bytes]:
    return [step for step in reversed(target.split(b"/")) if step not in (b"", b".")]


def _mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
