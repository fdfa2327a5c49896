"""What GitHub says of each noun, as JSON: the same in answers and in webhooks."""

from github_standin.payloads.accounts import account, organization
from github_standin.payloads.apps import app, installation, named
from github_standin.payloads.comments import comment, issue, reaction
from github_standin.payloads.commits import (
    check_run,
    combined_status,
    commit,
    pushed_commit,
    status,
)
from github_standin.payloads.deployments import deployment, deployment_status
from github_standin.payloads.hooks import hook
from github_standin.payloads.pulls import label, labelling, pull, simple_pull
from github_standin.payloads.repositories import full_repository, repository, told_repository

__all__ = [
    "account",
    "app",
    "check_run",
    "combined_status",
    "comment",
    "commit",
    "deployment",
    "deployment_status",
    "full_repository",
    "hook",
    "installation",
    "issue",
    "label",
    "labelling",
    "named",
    "organization",
    "pull",
    "pushed_commit",
    "reaction",
    "repository",
    "simple_pull",
    "status",
    "told_repository",
]
