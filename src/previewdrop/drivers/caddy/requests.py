"""When each host was last asked for, read from Caddy's access log as it grows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1024 * 1024
_MOST_HOSTS = 4096
"""Anybody can ask for any host, so that what is remembered has to end somewhere."""


class RequestTimes:
    """Reads only what is new since the last look; the log may be rotated in between."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._inode = 0
        self._offset = 0
        self._times: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """Seconds since the epoch, by host; of very many hosts those asked for last."""
        try:
            with self._log.open("rb") as log:
                size, inode = log.seek(0, os.SEEK_END), os.fstat(log.fileno()).st_ino
                if inode != self._inode or size < self._offset:
                    self._inode, self._offset = inode, 0
                log.seek(self._offset)
                while chunk := log.read(_CHUNK):
                    whole = chunk[: chunk.rfind(b"\n") + 1]
                    if not whole:
                        break
                    self._offset += len(whole)
                    log.seek(self._offset)
                    self._times.update(times_in(whole.splitlines()))
        except FileNotFoundError:
            return {}
        if len(self._times) > _MOST_HOSTS:
            newest = sorted(self._times, key=self._times.__getitem__)[-_MOST_HOSTS // 2 :]
            self._times = {host: self._times[host] for host in newest}
        return dict(self._times)


def times_in(lines: Iterable[bytes]) -> dict[str, float]:
    """The last time for each host among lines of the log; lines of another kind are passed over."""
    times: dict[str, float] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            host = str(entry["request"]["host"]).partition(":")[0].lower()
            times[host] = float(entry["ts"])
        except (ValueError, KeyError, TypeError):
            continue
    return times
