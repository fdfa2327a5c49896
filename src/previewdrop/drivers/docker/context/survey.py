"""The build context: what of a commit's folder is sent to Docker, and the digest of it."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.docker.context import folder as folders
from previewdrop.drivers.docker.context import ignore as ignoring
from previewdrop.drivers.docker.context.entries import Entry
from previewdrop.drivers.docker.context.tar import packed
from previewdrop.drivers.docker.context.walk import Walk

_LARGEST_DOCKERFILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """What is sent. `digest` (hexadecimal) changes with every name, mode, kind and content in it.

    `bytes` counts the contents alone, and `files` no folders. `dockerfile` is where the Dockerfile
    is in the tar. `notes` are sentences about what was left out though no pattern says so.
    """

    digest: str
    bytes: int
    files: int
    dockerfile: str
    notes: tuple[str, ...]
    top: Path = field(repr=False)
    parts: tuple[str, ...] = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)
    extra: Mapping[str, bytes] = field(repr=False)

    def pack(self) -> Iterator[bytes]:
        """The tar, in pieces of 1 MiB at the most; the same bytes whenever the digest is the same.

        Blocks while it reads. StageFailed when a file is not any more what was surveyed: what was
        yielded until then is no whole tar, and the upload has to be broken off.
        """
        return packed(self.top, self.parts, self.entries, self.extra)


def survey(
    folder: Path,
    dockerfile: str,
    limit: int,
    extra: Mapping[str, bytes] | None = None,
    *,
    top: Path | None = None,
    ignore: str = "",
) -> Context:
    """Walks and reads `folder`, the context's root. Blocks; a gigabyte takes about a second.

    `dockerfile` is relative to it and may lie outside (`../docker/api.Dockerfile`), though not
    outside of `top`, the commit's own folder; it is then sent under a name of its own. `limit` is
    the most bytes of contents. `extra` are files by plain names, which are sent whatever patterns
    say and in place of those of the same names; `dockerfile` may be one of them. `ignore` is
    the text of a .dockerignore for a root that has none. Links are sent as links and never
    followed.

    StageFailed: no such folder or Dockerfile, too large, a bad pattern, or it changes meanwhile.
    """
    top = top or folder
    parts = folder.relative_to(top).parts
    added = dict(extra or {})
    if any(name in ("", ".", "..") or "/" in name for name in added):
        raise ValueError("Extra files have plain names.")
    dockerfile = posixpath.normpath(dockerfile)
    _check_folder(top, parts)
    named = ignoring.NAME if dockerfile in added else dockerfile + ignoring.NAME
    if dockerfile not in added:
        place = folders.unlinked(top, _beneath(parts, dockerfile))
        if place[: len(parts)] == parts:
            dockerfile = "/".join(place[len(parts) :])
        else:
            content = folders.small(top, place, _LARGEST_DOCKERFILE)
            if content is None:
                raise _no_dockerfile("/".join(place))
            dockerfile = f".dockerfile.{hashlib.sha256(content).hexdigest()[:16]}"
            added[dockerfile] = content
    walk = Walk(top, parts, _ignore(top, parts, named, dockerfile, ignore), limit)
    walk.add(added)
    walk.run()
    if (found := walk.entries.get(dockerfile)) is None or found.kind != "file":
        raise _no_dockerfile(posixpath.join(*parts, dockerfile))
    entries = tuple(sorted(walk.entries.values(), key=lambda entry: entry.path.split("/")))
    return Context(
        digest=_digest(entries),
        bytes=walk.bytes,
        files=sum(entry.kind != "folder" for entry in entries),
        dockerfile=dockerfile,
        notes=walk.notes,
        top=top,
        parts=parts,
        entries=entries,
        extra=added,
    )


def _check_folder(top: Path, parts: tuple[str, ...]) -> None:
    try:
        with folders.entered(top, *parts):
            pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StageFailed(
            f"{'/'.join(parts) or 'The checkout'} is not a folder, so nothing can be built in it.",
            "A build's folder has to be in the repository, and no link.",
        ) from error


def _ignore(
    top: Path, parts: tuple[str, ...], named: str, dockerfile: str, otherwise: str
) -> ignoring.Ignore:
    """The file that is `named` after the Dockerfile goes before the root's, as with BuildKit.

    Of what they exclude only the Dockerfile is sent all the same: the Engine reads it from the tar.
    """
    always = (dockerfile,)
    for place in (_beneath(parts, named), (*parts, ignoring.NAME)):
        content = folders.small(top, place, ignoring.LARGEST)
        if content is not None:
            text = content.decode("utf-8", "surrogateescape")
            return ignoring.Ignore.parse(text, "/".join(place), always)
    return ignoring.Ignore.parse(otherwise, ignoring.NAME, always)


def _beneath(parts: tuple[str, ...], path: str) -> tuple[str, ...]:
    """Where `path`, as seen from `parts`, is in the commit."""
    joined = posixpath.normpath(posixpath.join(*parts, path))
    if posixpath.isabs(path) or joined.split("/")[0] in ("", ".", ".."):
        raise StageFailed(f"The Dockerfile {path} is outside of the repository.")
    return tuple(joined.split("/"))


def _no_dockerfile(path: str) -> StageFailed:
    return StageFailed(
        f"There is no Dockerfile {path} in the commit.",
        "Name the one to build in previewdrop.toml.",
    )


def _digest(entries: tuple[Entry, ...]) -> str:
    digest = hashlib.sha256(b"context 1\n")
    for entry in entries:
        head = f"{entry.kind} {entry.mode:o} {entry.size} {len(entry.content)}\n"
        digest.update(head.encode() + os.fsencode(entry.path) + b"\0" + entry.content)
    return digest.hexdigest()
