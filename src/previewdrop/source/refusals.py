"""What git's error texts mean: the user's input is refused, or it passes by itself."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from previewdrop.domain.errors import BadSource, NoAccess, PreviewDropError, Unavailable

_AUTHENTICATION = re.compile(
    r"Authentication failed|could not read (Username|Password)|terminal prompts disabled"
    r"|Permission denied \(|returned error: 40[13]|HTTP Basic: Access denied"
    r"|Invalid username or (password|token)"
)
_UNKNOWN_HOST_KEY = re.compile(r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED")
_NO_REPOSITORY = re.compile(
    r"(?i)repository '?[^\n]*'? ?not found|returned error: (404|410)|repository not exported"
    r"|does not appear to be a git repository|not valid: is this a git repository"
    r"|project .* could not be found|no such repository"
)
_FORBIDDEN = re.compile(r"transport '[^']*' not allowed|protocol .* is not supported")
_TOO_LARGE = re.compile(r"File too large|File size limit exceeded|signal 25")
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|Out of diskspace")
_UNKNOWN_REF = re.compile(r"(?i)couldn't find remote ref|no such ref|invalid refspec")
_NO_SINGLE_COMMITS = re.compile(
    r"(?i)unadvertised object|does not support shallow|dumb http transport"
)
_UNKNOWN_COMMIT = re.compile(r"not our ref")
"""Said by servers that hand out any commit they have: https://git-scm.com/docs/protocol-v2"""


def is_unknown_ref(errors: str) -> bool:
    """Whether the remote repository has no such branch."""
    return bool(_UNKNOWN_REF.search(errors))


def is_unknown_commit(errors: str) -> bool:
    """Whether the remote repository has no such commit."""
    return bool(_UNKNOWN_COMMIT.search(errors))


def is_no_single_commit(errors: str) -> bool:
    """Whether the server cannot hand out a commit without its history, or not just that one."""
    return bool(_NO_SINGLE_COMMITS.search(errors))


def refusal(errors: str, where: str) -> PreviewDropError:
    """The error for a git command that failed on the repository `where`."""
    if _AUTHENTICATION.search(errors):
        return NoAccess(
            f"{where} refused the login.", "Check the project's token or the server's ssh key."
        )
    if _UNKNOWN_HOST_KEY.search(errors):
        return BadSource(
            f"The ssh host key of {where} is not known or has changed.",
            "Add it to the server user's ~/.ssh/known_hosts, for example with ssh-keyscan.",
        )
    if _NO_REPOSITORY.search(errors):
        return NoAccess(
            f"There is no repository at {where}, or it may not be read.",
            "Check the address; a private repository needs a token.",
        )
    if _FORBIDDEN.search(errors):
        return BadSource(f"{where} asks for a transport that is not allowed.")
    if _TOO_LARGE.search(errors):
        return BadSource(
            f"{where} sends more than a commit may hold.", "Raise PREVIEWDROP_SOURCE_BYTES."
        )
    if _DISK_FULL.search(errors):
        return disk_full(where)
    return Unavailable(f"{where} could not be read: {_last_line(errors)}")


def disk_full(where: str | Path) -> Unavailable:
    """The error for a disk without room."""
    return Unavailable(
        f"The disk is full: {where} could not be stored.", "Free some space on the server's disk."
    )


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _last_line(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:"))] or lines
    text = telling[0] if telling else "git gave no reason"
    return text.removeprefix("fatal: ").removeprefix("error: ")[:300].rstrip(".") + "."
