"""Names of branches and commits: which can exist, and which ones are near."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from previewdrop.domain.errors import BadSource, NoCommit

HEADS = "refs/heads/"
SHA = re.compile(r"[0-9a-f]{40}")

_PREFIX = re.compile(r"[0-9a-f]{4,40}")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|/$|\.$|^[/.]")
"""What a ref's name cannot hold: https://git-scm.com/docs/git-check-ref-format"""

_SHOWN = 3
_LONGEST = 1000


def full_ref(branch: str) -> str:
    """`refs/heads/BRANCH`; a name that begins with `refs/` is taken as it is. BadSource if no
    repository can have such a branch."""
    name = branch.removeprefix("refs/")
    ref = branch if name != branch else HEADS + branch
    broken = not name or _FORBIDDEN.search(name) or len(branch) > _LONGEST
    if broken or branch.startswith("-") or branch == "@" or not _encodable(branch):
        raise BadSource(f"{_shown(branch)} cannot be the name of a branch.")
    return ref


def check_sha(text: str) -> str:
    """A commit's sha or a prefix of 4 digits or more, in lower case; BadSource otherwise."""
    sha = text.strip().lower()
    if not _PREFIX.fullmatch(sha):
        raise BadSource(
            f"{_shown(text)} is not the sha of a commit.", "Give 4 to 40 hexadecimal digits."
        )
    return sha


def unknown_branch(ref: str, known: Collection[str], where: str) -> BadSource:
    """The error for a ref that is not among the branches of a repository."""
    name = ref.removeprefix(HEADS)
    if not known:
        return empty_repository(where)
    near = difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(map(_shown, near))}?"
    else:
        some = sorted(known)[:_SHOWN]
        more = f" and {len(known) - len(some)} more" if len(known) > len(some) else ""
        hint = f"Its branches are {', '.join(map(_shown, some))}{more}."
    return BadSource(f"{where} has no branch {_shown(name)}.", hint)


def unknown_commit(sha: str, where: str) -> NoCommit:
    """The error for a commit that a repository has not got."""
    return NoCommit(
        f"{where} has no commit {sha}.", "Was it pushed? A force push may have removed it."
    )


def empty_repository(where: str) -> BadSource:
    """The error for a repository without a single branch."""
    return BadSource(f"{where} has no commits yet.", "Commit and push something first.")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return ascii(text) if not text.isprintable() else f"‘{text[:120]}’"
