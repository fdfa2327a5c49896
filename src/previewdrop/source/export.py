"""Writes a checkout to disk: whole or not at all, and exactly as it was committed.

Contents are written as git stores them. No filter, end-of-line conversion or export attribute is
applied, so nothing that the repository says can run here or change what is deployed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from previewdrop.domain.errors import BadSource, Unavailable
from previewdrop.source import commands
from previewdrop.source.git import in_thread, read
from previewdrop.source.parts import Parts, read_blob_size
from previewdrop.source.refusals import disk_full, is_disk_full
from previewdrop.source.tree import Entry, shown

_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_LONGEST = 1024
_CHUNK = 1024 * 1024
_SPARE = 16 * 1024 * 1024
_NAMED = 3
_PART = ".part"
_STAMP = ".export.json"


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: number of files and links, their bytes, and what the user should know."""

    files: int
    bytes: int
    warnings: tuple[str, ...] = ()


def finished_export(target: Path, key: str) -> Export | None:
    """What a former export of the same content wrote to `target`, if it is still there."""
    try:
        stamp = json.loads(_stamp(target).read_text())
    except (OSError, ValueError):
        return None
    if stamp.get("key") != key or not target.is_dir():
        return None
    return Export(stamp["files"], stamp["bytes"], tuple(stamp["warnings"]))


async def write_export(parts: Parts, target: Path, key: str) -> Export:
    """Writes all files to a folder beside `target`, then puts it in the place of `target`.

    Unavailable if the disk is full. If it fails or is cancelled nothing is left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < parts.bytes + _SPARE:
        raise disk_full(target)
    folder = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
    try:
        pointers = await _write_files(parts, target, folder)
        warnings = (*parts.warnings, *_about_pointers(pointers))
        export = Export(parts.files, parts.bytes, warnings)
        part = _stamp(target).with_suffix(_PART)
        part.write_text(json.dumps({"key": key, **asdict(export)}))
        part.replace(_stamp(target))
        folder.rename(target)
        return export
    except EOFError as error:
        raise Unavailable("git ended before it had written all files.") from error
    except OSError as error:
        raise _translated(error, target) from error
    finally:
        if folder.exists():
            await in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))


async def remove_export(target: Path) -> None:
    """Removes an exported folder with all that belongs to it; does nothing if there is none."""
    await in_thread(lambda: _clear(target))


def exports_in(folder: Path) -> set[str]:
    """The names of all exports in a folder, those included that were never finished."""
    names: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        for entry in folder.iterdir():
            name = entry.name
            if name.startswith(".") and name.endswith(_STAMP):
                name = name[1:].removesuffix(_STAMP)
            elif name.startswith(".") and name.endswith(_PART):
                name = name[1:].removesuffix(_PART).rpartition(".")[0].removesuffix(".export")
            names.add(name)
    return names


async def _write_files(parts: Parts, target: Path, folder: Path) -> list[bytes]:
    def prepare() -> None:
        _clear(target)
        _make_folders(parts, folder)

    await in_thread(prepare)
    pointers: list[bytes] = []
    for mirror, entries in parts.trees:
        if entries:

            def consume(output: BinaryIO, entries: list[Entry] = entries) -> list[bytes]:
                return [e.path for e in entries if _write_file(output, e, os.fsencode(folder))]

            blobs = (entry.sha for entry in entries)
            pointers += await read(commands.read_blobs(mirror, blobs), consume)
    if parts.links:
        await in_thread(lambda: _make_links(parts, folder))
    return pointers


def _make_folders(parts: Parts, folder: Path) -> None:
    top = os.fsencode(folder)
    needed = {b"", *parts.folders}
    paths = [entry.path for _, entries in parts.trees for entry in entries]
    for path in (*paths, *parts.links, *parts.folders):
        parent = os.path.dirname(path)  # noqa: PTH120 - bytes, as the names are
        while parent not in needed:
            needed.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120 - bytes
    for path in sorted(needed):
        os.mkdir(os.path.join(top, path), 0o755)  # noqa: PTH102, PTH118 - bytes
        os.chmod(os.path.join(top, path), 0o755)  # noqa: PTH101, PTH118, S103 - bytes; no secrets


def _write_file(output: BinaryIO, entry: Entry, top: bytes) -> bool:
    """Writes one file; True if it is a Git LFS pointer."""
    left = read_blob_size(output, entry)
    mode = 0o755 if entry.is_executable else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(os.path.join(top, entry.path), flags, mode)  # noqa: PTH118 - bytes
    try:
        os.fchmod(file, mode)
        pointer = False
        for chunk in _chunks(output, left):
            pointer = left < _LFS_LONGEST and chunk.startswith(_LFS)
            written = 0
            while written < len(chunk):
                written += os.write(file, chunk[written:] if written else chunk)
    finally:
        os.close(file)
    if output.read(1) != b"\n":
        raise EOFError
    return pointer


def _chunks(output: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        chunk = output.read(min(left, _CHUNK))
        if not chunk:
            raise EOFError
        left -= len(chunk)
        yield chunk


def _make_links(parts: Parts, folder: Path) -> None:
    """Links come last, so that no file can be written through one."""
    top = os.fsencode(folder)
    for path, target in parts.links.items():
        os.symlink(target, os.path.join(top, path))  # noqa: PTH118, PTH211 - bytes


def _about_pointers(paths: list[bytes]) -> tuple[str, ...]:
    if not paths:
        return ()
    named = ", ".join(shown(path) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return (
        f"Git LFS content is missing: {named}{more} hold only a pointer, because PreviewDrop does "
        "not download from LFS. Commit these files without LFS, or fetch them in the "
        "post-deploy command.",
    )


def _translated(error: OSError, target: Path) -> BadSource | Unavailable:
    if is_disk_full(error):
        return disk_full(target)
    name = error.filename if isinstance(error.filename, bytes) else str(error.filename).encode()
    place = shown(name.rpartition(_PART.encode() + b"/")[2])
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return BadSource(
            f"{place} is in the commit twice, or differs from another file only in case."
        )
    return BadSource(f"{place} cannot be stored on this disk: {error.strerror}.")


def _stamp(target: Path) -> Path:
    return target.with_name(f".{target.name}{_STAMP}")


def _clear(target: Path) -> None:
    _stamp(target).unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        for entry in target.parent.iterdir():
            if entry.name.startswith(f".{target.name}.") and entry.name.endswith(_PART):
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
