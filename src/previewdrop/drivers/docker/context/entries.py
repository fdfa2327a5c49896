"""What is in a build context, one entry a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "folder", "link"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the context, relative to its root. `mode` is 0o644, 0o755 or, of links, 0o777.

    `content` is the SHA-256 of a file (32 bytes), or where a link points to. `size` is in bytes.
    """

    path: str
    kind: Kind
    mode: int
    size: int = 0
    content: bytes = b""
