"""A command's output as bounded lines of plain text."""

from __future__ import annotations

import re

from previewdrop.domain.spec import MIB
from previewdrop.drivers.base import LogLine

LONGEST_LINE = 8192
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def plain(raw: bytes) -> str:
    """One line without colours, cursor movements and control characters.

    Of a line that was overwritten (a progress bar) the last version is kept.
    """
    text = raw.decode("utf-8", "replace").rstrip("\r")
    text = text.rpartition("\r")[2]
    return _CONTROL.sub("", _ESCAPES.sub("", text))


class Lines:
    """Cuts a stream into lines of 8 KiB at most and stops after `limit` bytes, saying so once."""

    def __init__(self, log: LogLine, limit: int) -> None:
        self._log = log
        self._limit = limit
        self._left = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        if self._left <= 0:
            return
        accepted = data[: self._left]
        self._left -= len(accepted)
        self._rest += accepted
        while (end := self._end()) is not None:
            length, skip = end
            self._log(plain(bytes(self._rest[:length])))
            del self._rest[: length + skip]
        if self._left <= 0:
            self.close()
            self._log(f"… output beyond {_size(self._limit)} dropped")

    def close(self) -> None:
        """Hands over a last line that had no end."""
        if self._rest:
            self._log(plain(bytes(self._rest)))
            self._rest.clear()

    def _end(self) -> tuple[int, int] | None:
        newline = self._rest.find(b"\n", 0, LONGEST_LINE + 1)
        if newline >= 0:
            return newline, 1
        return (LONGEST_LINE, 0) if len(self._rest) > LONGEST_LINE else None


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count} bytes"
