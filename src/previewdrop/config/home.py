"""The data folder: what lies where under `PREVIEWDROP_HOME`."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.errors import ServerError

_LONGEST_SOCKET_PATH = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero."""


def default_home() -> Path:
    """`$PREVIEWDROP_HOME`, or `previewdrop` in the user's data folder."""
    if home := os.environ.get("PREVIEWDROP_HOME"):
        return Path(home).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().absolute() / "previewdrop"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under the data folder. Only the owner may enter it."""

    path: Path

    def create(self) -> Home:
        """Makes the folder, closed to everybody else."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        return self

    @property
    def installation(self) -> str:
        """A short name of this data folder, carried by everything that is made for it."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:10]

    @property
    def lock(self) -> Path:
        return self.path / "serve.lock"

    @property
    def server_file(self) -> Path:
        """JSON about the running server: `url`, `pid`, `edge_port`, `edge_http_port`."""
        return self.path / "server.json"

    @property
    def token_file(self) -> Path:
        return self.path / "token"

    @property
    def key_file(self) -> Path:
        return self.path / "secret.key"

    @property
    def ca_file(self) -> Path:
        return self.path / "ca.pem"

    @property
    def firewall(self) -> Path:
        """The rules of previews in containers, as nft reads them."""
        return self.path / "firewall.nft"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def caddy(self) -> Path:
        return self.path / "caddy"

    @property
    def mirrors(self) -> Path:
        return self.path / "mirrors"

    @property
    def checkouts(self) -> Path:
        """Exported commits, one folder a deployment."""
        return self.path / "checkouts"

    @property
    def environments(self) -> Path:
        return self.path / "environments"

    @property
    def package_cache(self) -> Path:
        return self.path / "cache" / "uv"

    @property
    def builds(self) -> Path:
        """One folder a running build, beyond the build's own reach."""
        return self.path / "builds"

    @property
    def runs(self) -> Path:
        """One folder a running deployment: logs, private HOME and TMPDIR."""
        return self.path / "runs"

    def socket(self, name: str) -> Path:
        """A path for a Unix socket: in the data folder, or where it is short enough to bind.

        ServerError if somebody else may enter the folder: anybody can make one in /tmp before us.
        """
        path = self.path / "sockets" / name
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            path = Path(tempfile.gettempdir()) / f"previewdrop-{self.installation}" / name
        with suppress(FileExistsError):  # a link to nowhere; what is there is looked at below
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.is_private(path.parent):
            raise ServerError(
                f"The folder {path.parent} for sockets is not ours alone.",
                "Remove it, or set PREVIEWDROP_HOME to a shorter path, which needs no such folder.",
            )
        return path

    def is_private(self, folder: Path) -> bool:
        """Whether it is a folder, no link, that only we or the data folder's owner may enter."""
        try:
            seen = folder.lstat()
            owners = {os.geteuid(), self.path.stat().st_uid}
        except OSError:
            return False
        closed = stat.S_IMODE(seen.st_mode) & 0o077 == 0
        return stat.S_ISDIR(seen.st_mode) and closed and seen.st_uid in owners
