"""The one place that makes names: slugs, hosts, databases, roles, folders and labels."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from previewdrop.domain.errors import BadName

IDENTIFIER_BYTES = 63
"""PostgreSQL's NAMEDATALEN - 1: https://www.postgresql.org/docs/current/limits.html"""

SLUG_LENGTH = 40
PROJECT_LENGTH = 32
_DIGEST_LENGTH = 11
"""44 bits. Eleven hexadecimal digits look like no date, time stamp or abbreviated commit."""

_RESERVED_SLUG = re.compile(rf"pr-\d+|(?:.*-)?[0-9a-f]{{{_DIGEST_LENGTH}}}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """Every name of one preview. All of them are made here and nowhere else.

    `full` is `project/slug`; `identifier` names the database, its role and the cache user;
    `folder` is relative to the installation's folder of previews.
    """

    full: str
    host: str
    identifier: str
    folder: str


def names_for(project: str, slug: str, domain: str) -> Names:
    """The names of the preview `slug` of `project`, whose host lies under `domain`.

    `domain` may contain `{project}`. The identifier is unique over all pairs of project and slug
    and at most 63 bytes long.
    """
    return Names(
        full=f"{project}/{slug}",
        host=f"{slug}.{domain.replace('{project}', project)}",
        identifier=identifier(project, slug),
        folder=f"{project}/{slug}",
    )


def identifier(project: str, slug: str) -> str:
    """A PostgreSQL identifier and cache user for a preview: `shop_pr_42`.

    A project with a hyphen is followed by two underscores, so that `a-b` + `c` and `a` + `b-c`
    differ; neither part ever contains two hyphens in a row. A leading digit and PostgreSQL's
    reserved `pg_` get `p__` in front. What is too long is cut and gets `__` and a digest, so far
    behind that no name in full has two underscores there.
    """
    joint = "__" if "-" in project else "_"
    plain = f"{project}{joint}{slug}".replace("-", "_")
    if not plain[0].isalpha() or plain.startswith("pg_"):
        plain = f"p__{plain}"
    if len(plain) <= IDENTIFIER_BYTES:
        return plain
    return f"{plain[: IDENTIFIER_BYTES - _DIGEST_LENGTH - 2]}__{_digest(f'{project}/{slug}')}"


def project_database(project: str) -> str:
    """The database that previews of a project share under `isolation = "schema"`."""
    plain = f"shared__{project}".replace("-", "_")
    return plain[:IDENTIFIER_BYTES]


def slug_for_number(number: int) -> str:
    """The slug of a pull request's preview: `pr-42`."""
    if number < 1:
        raise BadName(f"{number} is not the number of a pull request.")
    return f"pr-{number}"


def slugs_for_branch(branch: str) -> tuple[str, str]:
    """Two slugs for a branch: the one people expect, and one that no other branch can have.

    The second is taken when another branch holds the first already. Branches that look like a
    pull request's slug (`pr-42`) or like a second slug, and those that a host name cannot hold at
    all, get the second in both places.
    """
    if not branch:
        raise BadName("A branch name cannot be empty.")
    plain = _hyphenated(branch)
    room = SLUG_LENGTH - _DIGEST_LENGTH - 1
    unique = f"{plain[:room].strip('-') or 'branch'}-{_digest(branch)}"
    if not plain or len(plain) > SLUG_LENGTH or _RESERVED_SLUG.fullmatch(plain):
        return unique, unique
    return plain, unique


def project_name(text: str) -> str:
    """A project's name made from a repository's: lower case, digits and single hyphens."""
    name = _hyphenated(text.removesuffix(".git"))[:PROJECT_LENGTH].strip("-")
    if not name:
        raise BadName(
            f"No project name can be made from {text!r}.", "Name the project with --project."
        )
    return name


def check_project_name(name: str) -> str:
    """The name itself, if it can be a project's; BadName otherwise."""
    if len(name) > PROJECT_LENGTH or not _SLUG.fullmatch(name):
        raise BadName(
            f"{name!r} cannot be a project's name.",
            f"Use lower-case letters, digits and single hyphens, {PROJECT_LENGTH} at most.",
        )
    return name


def _hyphenated(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _digest(text: str) -> str:
    """Git allows any bytes in a branch's name; what is not UTF-8 arrives as lone surrogates."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
