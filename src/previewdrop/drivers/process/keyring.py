"""The session keyring of the kernel, which a process inherits as it does descriptors."""

from __future__ import annotations

import ctypes
import os
import sys

_KEYCTL = {"aarch64": 219, "ppc64le": 271, "riscv64": 219, "s390x": 280, "x86_64": 250}
_JOIN_SESSION_KEYRING = 1


def leave() -> None:
    """Gives this thread, and what it starts from now on, a session keyring with nothing in it.

    Keys of whoever started the server stay behind, such as Kerberos tickets: who has the keyring
    can read them, whatever its user. Where the system refuses (in many containers) it refuses the
    process too; a user who may have no more keyrings shares the one of what was started before.
    https://man7.org/linux/man-pages/man3/keyctl_join_session_keyring.3.html
    """
    number = _KEYCTL.get(os.uname().machine)
    if sys.platform == "linux" and number and sys.maxsize > 2**32:
        ctypes.CDLL(None).syscall(number, _JOIN_SESSION_KEYRING, None)
