"""The operations of the REST API that the stand-in knows, one file a noun."""

from github_standin.api import (
    apps,
    comments,
    commits,
    deployments,
    hooks,
    pulls,
    repositories,
    users,
)
from github_standin.api.table import OPERATIONS, Known

__all__ = [
    "OPERATIONS",
    "Known",
    "apps",
    "comments",
    "commits",
    "deployments",
    "hooks",
    "pulls",
    "repositories",
    "users",
]
