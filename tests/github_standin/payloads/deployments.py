"""Deployments and their statuses as GitHub shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin.clock import iso
from github_standin.payloads.accounts import account
from github_standin.payloads.apps import app
from github_standin.payloads.real import Json, node_id

if TYPE_CHECKING:
    from github_standin.deployments import Deployment, DeploymentStatus


def deployment(deployment: Deployment) -> Json:
    repository = deployment.repository
    url = f"{repository.api}/deployments/{deployment.id}"
    return {
        "url": url,
        "id": deployment.id,
        "node_id": node_id("Deployment", deployment.id),
        "sha": deployment.sha,
        "ref": deployment.ref,
        "task": deployment.task,
        "payload": deployment.payload,
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": deployment.description,
        "creator": account(deployment.by),
        "created_at": iso(deployment.created_at),
        "updated_at": iso(deployment.updated_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": repository.api,
        "transient_environment": deployment.transient,
        "production_environment": deployment.production,
        "performed_via_github_app": None if deployment.app is None else app(deployment.app),
    }


def deployment_status(deployment: Deployment, status: DeploymentStatus) -> Json:
    repository = deployment.repository
    url = f"{repository.api}/deployments/{deployment.id}"
    return {
        "url": f"{url}/statuses/{status.id}",
        "id": status.id,
        "node_id": node_id("DeploymentStatus", status.id),
        "state": status.state,
        "creator": account(status.by),
        "description": status.description,
        "environment": status.environment,
        "target_url": status.log_url,
        "created_at": iso(status.created_at),
        "updated_at": iso(status.created_at),
        "deployment_url": url,
        "repository_url": repository.api,
        "environment_url": status.environment_url,
        "log_url": status.log_url,
        "performed_via_github_app": None if deployment.app is None else app(deployment.app),
    }
