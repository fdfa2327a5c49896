"""The ACL commands of preview caches, built and not run: docs/decisions/0004-cache-walls.md."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from previewdrop.domain.spec import CacheSpec

Argv = tuple[str, ...]

_MARK = "previewdrop"

ALLOWED: Sequence[str] = (
    "+@all",
    "-@admin",
    "-@dangerous",
    # Dangerous on a shared number, at home on one's own.
    "+flushdb",
    "+keys",
    "+sort",
    "+sort_ro",
    "+info",
    # What the whole server shares, so that one preview could disturb or hear another.
    "-function",
    "-script|flush",
    "-script|kill",
    "-client|tracking",  # tells of changed keys in every number
    "-pubsub|channels",
    "-pubsub|shardchannels",
    "-memory|purge",
)


def mark(installation: str, user: str) -> str:
    """A channel pattern that says whose the user is: ACL users carry no comments.

    It has the user's name inside, so that it opens no channel between previews.
    """
    return f"{_MARK}.{installation}:{user}:*"


def set_user(spec: CacheSpec, installation: str) -> Argv:
    """Makes the user exactly so, whatever it was before; the password goes as its hash.

    `db=` needs Valkey 9.1. Channels are server-wide, so a user has only its own: `<user>:*`.
    """
    digest = hashlib.sha256(spec.password.reveal().encode()).hexdigest()
    channels = ("resetchannels", f"&{spec.user}:*", f"&{mark(installation, spec.user)}")
    rules = ("reset", "on", f"#{digest}", "~*", *channels, f"db={spec.number}", *ALLOWED)
    return ("ACL", "SETUSER", spec.user, *rules)


def get_user(user: str) -> Argv:
    return ("ACL", "GETUSER", user)


def delete_user(user: str) -> Argv:
    """Closes the user's connections too."""
    return ("ACL", "DELUSER", user)


def empty(number: int) -> Argv:
    """Empties a number. In a script, because a failed SELECT must not empty another number."""
    script = "redis.call('SELECT', ARGV[1]) return redis.call('FLUSHDB', 'ASYNC')"
    return ("EVAL", script, "0", str(number))


SAVE: Argv = ("ACL", "SAVE")
LIST: Argv = ("ACL", "LIST")
NUMBERS: Argv = ("CONFIG", "GET", "databases")


@dataclass(frozen=True, slots=True)
class User:
    """A user as the server describes it. `number` is None if it may use several."""

    name: str
    installation: str | None
    number: int | None


def parse_user(line: str) -> User:
    """One line of ACL LIST: `user shop_pr_1 on #… ~* resetchannels &… db=3 +@all …`."""
    _, name, *rules = line.split()
    installation = number = None
    for rule in rules:
        if rule.startswith(f"&{_MARK}.") and rule.endswith(f":{name}:*"):
            installation = rule.removeprefix(f"&{_MARK}.").removesuffix(f":{name}:*")
        elif rule.startswith("db=") and rule[3:].isdecimal():
            number = int(rule[3:])
    return User(name, installation, number)


def parse_get_user(name: str, answer: Sequence[object]) -> User:
    """The answer to ACL GETUSER: fields and values in turn, in the words of ACL rules."""
    fields = dict(zip(answer[::2], answer[1::2], strict=False))
    return parse_user(f"user {name} {fields.get('channels', '')} {fields.get('databases', '')}")
