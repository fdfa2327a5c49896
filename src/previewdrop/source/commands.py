"""The git commands that read and copy repositories: argv, input and environment, nothing run.

Settings travel in the environment (`GIT_CONFIG_COUNT`, git 2.31), so that an argv holds no secret.
A branch or commit reaches an argv only as `refs/…` or as hexadecimal digits, a URL only after `--`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.secret import Secret

PROTOCOLS = "http:https:ssh:git"
"""What git may speak. Folders are read without a transport, so `file` is not among them."""

SETTINGS: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.commitGraph", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("protocol.ext.allow", "never"),
    ("protocol.file.allow", "never"),
    ("fetch.unpackLimit", "1"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
)
"""Settings of every command. By `fetch.unpackLimit` what is fetched appears whole or not at all."""

SSH = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"

_PASSED_ON = frozenset(
    {
        "PATH", "TMPDIR", "SSH_AUTH_SOCK",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR",
    }
)  # fmt: skip

_FIELDS = "--format=%H%x00%an%x00%aI%x00%s%x00%b"


@dataclass(frozen=True, slots=True)
class Command:
    """One git command.

    `input` is its standard input. `header` is a URL prefix and the secret HTTP header that git
    sends to it. `objects` is the object folder of another repository that the command may read.
    """

    argv: tuple[str, ...]
    input: bytes = b""
    header: tuple[str, Secret] | None = None
    objects: Path | None = None


def environment(command: Command, inherited: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command: how to reach the network, and nothing else of ours.

    Neither the system's nor the user's git configuration is read.
    """
    variables = {name: value for name, value in inherited.items() if name in _PASSED_ON}
    variables |= {
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_SSH_COMMAND": SSH,
        "GIT_TERMINAL_PROMPT": "0",
    }
    settings = list(SETTINGS)
    if command.header:
        prefix, header = command.header
        settings.append((f"http.{prefix}.extraHeader", header.reveal()))
    variables["GIT_CONFIG_COUNT"] = str(len(settings))
    for index, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{index}"] = key
        variables[f"GIT_CONFIG_VALUE_{index}"] = value
    if command.objects:
        variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(str(command.objects))
    return variables


def authorization(credentials: Secret) -> Secret:
    """The HTTP header for `user:password` or for a bare token, as code hosts take them."""
    text = credentials.reveal()
    pair = text if ":" in text else f"x-access-token:{text}"
    return Secret(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")


def list_heads(mirror: Path, url: str) -> Command:
    """All branches of a remote repository."""
    return _git(mirror, "ls-remote", "--quiet", "--heads", "--", url)


def list_head(mirror: Path, url: str) -> Command:
    """The default branch of a remote repository."""
    return _git(mirror, "ls-remote", "--quiet", "--symref", "--", url, "HEAD")


def fetch(mirror: Path, url: str, ref: str) -> Command:
    """One ref or commit of a remote repository, without its history."""
    return _git(mirror, *_FETCH, "--depth=1", "--", url, ref)


def fetch_all(mirror: Path, url: str, *, shallow: bool) -> Command:
    """Every branch with its history, for servers that do not hand out single commits."""
    unshallow = ("--unshallow",) if shallow else ()
    refspec = "+refs/heads/*:refs/fetched/*"
    return _git(mirror, *_FETCH, "--prune", *unshallow, "--", url, refspec)


def pack(mirror: Path, objects: Path, sha: str, have: Iterable[str]) -> Command:
    """Copies one commit without its history from the object folder of a repository on this machine.

    Objects of the trees of `have` are left out. This reads the source's objects and nothing else
    of it: no transport runs there, so neither its configuration nor its hooks can run anything.
    """
    lines = [f"--shallow {sha}", f"{sha}^{{commit}}"]
    lines += ["--not", *(f"{other}^{{tree}}" for other in have)]
    argv = ("pack-objects", "--revs", "--quiet", "--window=0", "--compression=1")
    base = str(mirror / "objects" / "pack" / "pack")
    return _git(mirror, *argv, base, input=_lines(lines), objects=objects)


def show(mirror: Path, revision: str, objects: Path | None = None) -> Command:
    """Sha, author, date and title of a commit."""
    argv = ("log", "-1", "--no-show-signature", "--no-color", _FIELDS, f"{revision}^{{commit}}")
    return _git(mirror, *argv, "--", objects=objects)


def list_tree(mirror: Path, sha: str) -> Command:
    """Every file of a commit with mode, kind, object and size."""
    return _git(mirror, "ls-tree", "-r", "-l", "-z", "--full-tree", f"{sha}^{{commit}}")


def read_blobs(mirror: Path, blobs: Iterable[str]) -> Command:
    """The contents of blobs, one after the other, as they were committed: no filter runs."""
    return _git(mirror, "cat-file", "--batch", "--buffer", input=_lines(blobs))


def read_modules(mirror: Path, blob: str) -> Command:
    """The entries of a `.gitmodules` file."""
    return _git(mirror, "config", "--no-includes", f"--blob={blob}", "--list", "-z")


def read_setting(mirror: Path, file: Path, name: str) -> Command:
    """One setting of a configuration file, which is only parsed: nothing in it takes effect."""
    return _git(mirror, "config", "--no-includes", f"--file={file}", "--get", name)


def changes(mirror: Path, before: str, after: str) -> Command:
    """The paths in which two commits differ."""
    return _git(mirror, "diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after, "--")


def repack(mirror: Path) -> Command:
    """One pack of everything that is kept."""
    return _git(mirror, "repack", "-a", "-d", "-q", "--window=0")


def prune(mirror: Path) -> Command:
    """Drops loose objects and shallow marks that belong to nothing any more."""
    return _git(mirror, "prune", "--expire=now")


_FETCH = (
    "fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance",
    "--no-write-commit-graph",
)  # fmt: skip


def _git(mirror: Path, *argv: str, input: bytes = b"", objects: Path | None = None) -> Command:
    return Command(("git", f"--git-dir={mirror}", *argv), input, objects=objects)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _quoted(path: str) -> str:
    """A path as git reads it in a list of object folders: https://git-scm.com/docs/git ."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
