"""What a sandboxed process may see and who it is, as arguments of bubblewrap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from previewdrop.domain.spec import MIB

HOME = "/home/app"
TEMPORARY = "/tmp"  # noqa: S108 - the sandbox's own
STATUS_FD = 3
ARGUMENTS_FD = 4


class Mode(StrEnum):
    """How a process is walled off.

    ACCOUNT: by root, in its own mount and PID namespaces, as an account of its own.
    NAMESPACE: by an ordinary user, in a user namespace of its own besides.
    NONE: not at all.
    """

    ACCOUNT = "account"
    NAMESPACE = "namespace"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine's system every sandbox gets.

    `links` are (target, path) pairs such as ("usr/bin", "/bin"). `folders` and `settings` (folders
    in /etc, and certificates) are bound read-only where they are; `copied` are files in /etc that
    are copied, because each mount costs time at every start. `sealed` are paths in /proc that are
    made read-only and `hidden` files there that are replaced by nothing: the server's own user
    could write to them, which matters where the preview runs as root.
    """

    links: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ("/usr",)
    settings: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Walls:
    """One process's walls. All paths are absolute.

    `read` and `write` are bound at their own path; `home` and `temporary` become HOME and /tmp;
    `etc` is a folder that becomes /etc; `Sandbox.furnish` fills it.
    `account` is the user id under ACCOUNT, `shared` the size of /dev/shm in bytes.
    With `bound` the process dies with its starter.
    """

    folder: str
    home: str
    temporary: str
    etc: str
    environment: dict[str, str]
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    account: int = 1000
    shared: int = 64 * MIB
    bound: bool = False


def sandbox_arguments(mode: Mode, machine: Machine, walls: Walls) -> tuple[str, ...]:
    """The arguments for bubblewrap, without the command.

    They hold the environment too, so they are handed over by `--args`, never on a command line.
    https://github.com/containers/bubblewrap/blob/main/bwrap.xml
    """
    mounts = _Mounts((*machine.folders, "/etc"))
    return (
        *_identity(mode),
        *(("--die-with-parent",) if walls.bound else ()),
        *_system(mode, machine, walls, mounts),
        *_own(walls, mounts),
        "--remount-ro",
        "/",
        "--clearenv",
        *(part for item in sorted(walls.environment.items()) for part in ("--setenv", *item)),
        "--chdir",
        walls.folder,
    )


def sandboxed(
    mode: Mode, bwrap: str, setpriv: str, account: int, command: tuple[str, ...]
) -> tuple[str, ...]:
    """The argv that starts `command` in a sandbox.

    The arguments are read from descriptor 4, and the process id and exit code written to 3.
    """
    drop: tuple[str, ...] = ()
    if mode is Mode.ACCOUNT:
        drop = (
            setpriv,
            f"--reuid={account}",
            f"--regid={account}",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
            "--no-new-privs",
            "--",
        )
    descriptors = ("--json-status-fd", str(STATUS_FD), "--args", str(ARGUMENTS_FD))
    return (bwrap, *descriptors, "--", *drop, *command)


def _identity(mode: Mode) -> tuple[str, ...]:
    namespaces = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    if mode is Mode.ACCOUNT:
        needed = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
        who = ("--cap-drop", "ALL", *(p for c in needed for p in ("--cap-add", c)))
    else:
        who = ("--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns")
    return (*who, *namespaces, "--hostname", "preview", "--new-session")


class _Mounts:
    """Bind mounts with the folders above them, each made once.

    bubblewrap would copy the modes of the host's folders, and /root is closed to an account.
    """

    def __init__(self, covered: tuple[str, ...]) -> None:
        self._covered = tuple(PurePosixPath(path) for path in covered)
        self._made = {PurePosixPath("/"), PurePosixPath(TEMPORARY)}

    def folder(self, path: PurePosixPath) -> Iterator[str]:
        for each in (*reversed(path.parents), path):
            if each not in self._made and not self.covers(each):
                self._made.add(each)
                yield from ("--perms", "0755", "--dir", str(each))

    def cover(self, path: PurePosixPath) -> Iterator[str]:
        self._made.add(path)
        yield from ("--perms", "0755", "--tmpfs", str(path))

    def bind(self, option: str, source: str, path: str) -> Iterator[str]:
        yield from self.folder(PurePosixPath(path).parent)
        yield from (option, source, path)

    def covers(self, path: PurePosixPath) -> bool:
        return any(path.is_relative_to(folder) for folder in self._covered)


def _system(mode: Mode, machine: Machine, walls: Walls, mounts: _Mounts) -> Iterator[str]:
    for folder in machine.folders:
        yield from ("--ro-bind", folder, folder)
    for target, path in machine.links:
        yield from ("--symlink", target, path)
    yield from ("--ro-bind", walls.etc, "/etc")
    for path in machine.settings:
        yield from mounts.bind("--ro-bind", path, path)
    yield from ("--proc", "/proc")
    if mode is Mode.NAMESPACE:
        for path in machine.sealed:
            yield from ("--ro-bind", path, path)
        for path in machine.hidden:
            yield from ("--ro-bind", "/dev/null", path)
    shared = ("--perms", "1777", "--size", str(walls.shared), "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--dev", "/dev", *shared, "--remount-ro", "/dev")


def _own(walls: Walls, mounts: _Mounts) -> Iterator[str]:
    yield from ("--bind", walls.temporary, TEMPORARY)
    yield from mounts.folder(PurePosixPath("/var"))
    yield from ("--symlink", TEMPORARY, "/var/tmp")  # noqa: S108
    yield from mounts.bind("--bind", walls.home, HOME)
    covers = _covers(walls)
    for folder in covers:
        yield from mounts.cover(folder)
    for path in walls.read:
        if not mounts.covers(PurePosixPath(path)):
            yield from mounts.bind("--ro-bind", path, path)
    for path in walls.write:
        yield from mounts.bind("--bind", path, path)
    for folder in covers:
        yield from ("--remount-ro", str(folder))


def _covers(walls: Walls) -> tuple[PurePosixPath, ...]:
    """The first folder of each path that is bound below /tmp or HOME, which are the process's own.

    It could put a link in place of a folder there. bubblewrap follows links when it makes mount
    points for the next process, before there are walls: it would make them on the machine. What is
    a mount itself can be neither moved nor removed, so all below that first folder is on one.
    """
    found: dict[PurePosixPath, None] = {}
    for path in map(PurePosixPath, (*walls.read, *walls.write)):
        for own in map(PurePosixPath, (TEMPORARY, HOME)):
            if own in path.parent.parents:
                found[own / path.relative_to(own).parts[0]] = None
    return tuple(found)
