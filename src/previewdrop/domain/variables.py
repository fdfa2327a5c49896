"""Variables that people set for previews, and those that PreviewDrop sets itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from previewdrop.domain.errors import BadName
from previewdrop.domain.globs import by_specificity
from previewdrop.domain.template import Reference, is_name, pieces
from previewdrop.domain.urls import CacheAccess, DatabaseAccess

RESERVED = frozenset(
    {
        "PORT",
        "PREVIEW_URL",
        "PREVIEW_NAME",
        "PREVIEW_NUMBER",
        "PREVIEW_BRANCH",
        "PREVIEW_COMMIT",
        "PREVIEW_PROJECT",
    }
)
"""Names that nobody but PreviewDrop may set. `NAME=${NAME}` is accepted: it changes nothing."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Variables that people set on the server. `name` is how messages call the layer.

    `secrets` are the names whose values are secret; these are not searched for references.
    """

    name: str
    values: Mapping[str, str] = field(repr=False)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OwnVariables:
    """What PreviewDrop itself tells a preview.

    `name` is `project/slug`. `number` is None for a branch's preview, whose PREVIEW_NUMBER is
    empty. `database` is None under `isolation = "none"` and `cache` when the cache is disabled:
    their variables are left as people set them. `pool_size` becomes DB_POOL_SIZE.
    """

    port: int
    url: str
    name: str
    number: int | None
    branch: str
    commit: str
    project: str
    database: DatabaseAccess | None = None
    cache: CacheAccess | None = None
    pool_size: int = 5

    def fixed(self) -> dict[str, str]:
        """All variables but DATABASE_URL and REDIS_URL, which depend on the template's."""
        found = {
            "PORT": str(self.port),
            "PREVIEW_URL": self.url,
            "PREVIEW_NAME": self.name,
            "PREVIEW_NUMBER": "" if self.number is None else str(self.number),
            "PREVIEW_BRANCH": self.branch,
            "PREVIEW_COMMIT": self.commit,
            "PREVIEW_PROJECT": self.project,
            "ENVIRONMENT": "preview",
        }
        if database := self.database:
            found |= {
                "PREVIEW_DATABASE_HOST": database.host,
                "PREVIEW_DATABASE_PORT": str(database.port),
                "PREVIEW_DATABASE_NAME": database.name,
                "PREVIEW_DATABASE_USER": database.user,
                "PREVIEW_DATABASE_PASSWORD": database.password.reveal(),
                "DB_POOL_SIZE": str(self.pool_size),
            }
        if cache := self.cache:
            found |= {
                "PREVIEW_REDIS_HOST": cache.host,
                "PREVIEW_REDIS_PORT": str(cache.port),
                "PREVIEW_REDIS_DB": str(cache.number),
                "PREVIEW_REDIS_USER": cache.user,
                "PREVIEW_REDIS_PASSWORD": cache.password.reveal(),
            }
        return found


def branch_layers(overrides: Mapping[str, Layer], branch: str) -> tuple[Layer, ...]:
    """The layers whose glob pattern (the key) fits the branch, from low to high.

    Of two patterns that fit the more specific one wins; see `globs.by_specificity`.
    """
    return tuple(overrides[pattern] for pattern in by_specificity(overrides, branch))


def pool_size_for(connections: int) -> int:
    """DB_POOL_SIZE under a limit of `connections`: three are left for overflow and for psql."""
    return max(1, connections - 3)


def check_variable(name: str, value: str) -> None:
    """BadName if people cannot set a variable of this name to this value; see RESERVED."""
    if not is_name(name):
        raise BadName(
            f"{name!r} cannot name a variable.",
            "Use letters, digits and underscores; do not begin with a digit.",
        )
    if name in RESERVED and not refers_to_itself(name, value):
        raise reserved(name, name)
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadName(f"{name} holds a character that no environment variable can hold.")


def refers_to_itself(name: str, value: str) -> bool:
    """Whether the value is `${NAME}` or `${NAME:-default}`, which leaves PreviewDrop's value."""
    parts = pieces(value, name) if value.startswith("${") else ()
    return len(parts) == 1 and isinstance(parts[0], Reference) and parts[0].name == name


def reserved(name: str, where: str) -> BadName:
    hint = "Remove the line."
    if name == "PORT":
        hint = "Remove it; a fixed port is set by `port = …` in previewdrop.toml."
    elif where == name:
        hint = "Leave it out."
    return BadName(f"{where}: {name} is set by PreviewDrop and cannot be set here.", hint)
