"""Whoever sends webhooks to /webhooks/github, and what GitHub publishes of them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI

from github_standin.description import read
from previewdrop.bootstrap.github import code_hosts_of
from previewdrop.config.home import Home
from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import Drivers
from previewdrop.forge.base import Forge
from previewdrop.forge.github.signature import signature
from previewdrop.pipeline.choice import RuntimeChoice
from previewdrop.pipeline.code_hosts import CodeHosts
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Hosts
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.source.checkout import Checkouts
from previewdrop.store.forges import StoredForge
from previewdrop.store.store import Store
from previewdrop.store.tables import Project
from previewdrop.web.app import create_app
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control

NOWHERE = "http://127.0.0.1:9"
"""A GitHub that signs webhooks and answers nothing."""

SECRET = Secret("what GitHub and we know")
MIB = 1024 * 1024
READ = (
    "pull_request",
    "push",
    "delete",
    "issue_comment",
    "installation",
    "installation_repositories",
    "repository",
    "ping",
)

Examples = list[dict[str, Any]]


@asynccontextmanager
async def hearing(control: Control, home: Home, changes: Changes) -> AsyncGenerator[FastAPI]:
    """A server that hears what hosts tell, and does nothing of what they ask for."""
    make = code_hosts_of(control.settings)
    made: list[Forge] = []

    def making(stored: StoredForge) -> Forge:
        made.append(make(stored))
        return made[-1]

    shop = Workshop(
        home,
        control.settings,
        control.store,
        cast("Drivers", None),
        Checkouts(home.mirrors, home.checkouts, MIB),
        cast("httpx2.AsyncBaseTransport", None),
        cast("RuntimeChoice", None),
        Hosts(control.store, making),
    )
    code_hosts = CodeHosts(shop, cast("LiveOperations", control.operations))
    app = create_app(replace(control, hear=code_hosts.hear), changes)
    app.state.code_hosts = code_hosts
    yield app
    await code_hosts.close()
    for each in made:
        await each.aclose()


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    """Whoever sends webhooks; it has no token of ours."""
    transport: Any = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://here")


@pytest.fixture
async def server(control: Control, home: Home, changes: Changes) -> AsyncGenerator[FastAPI]:
    """It knows one GitHub."""
    credentials = {"token": Secret("ghp_x"), "webhook": SECRET}
    await control.store.forges.add("github", NOWHERE, credentials)
    async with hearing(control, home, changes) as server:
        yield server


@pytest.fixture
async def github(server: FastAPI) -> AsyncGenerator[httpx2.AsyncClient]:
    async with client_of(server) as client:
        yield client


def examples(event: str, action: str | None = None) -> Examples:
    """All that GitHub publishes of an event, or of one action of it."""
    found: Examples = next(each["examples"] for each in read("webhooks") if each["name"] == event)
    return [each for each in found if action in (None, each.get("action"))]


def example(event: str, action: str | None = None) -> dict[str, Any]:
    """The first of them, to be changed."""
    return json.loads(json.dumps(examples(event, action)[0]))


def headers(
    event: str, body: bytes, delivery: str = "d-1", secret: Secret = SECRET
) -> dict[str, str]:
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": signature(secret, body),
        "Content-Type": "application/json",
    }


async def send(
    github: httpx2.AsyncClient,
    event: str,
    payload: object,
    delivery: str = "d-1",
    secret: Secret = SECRET,
) -> httpx2.Response:
    body = json.dumps(payload).encode()
    told = headers(event, body, delivery, secret)
    return await github.post("/webhooks/github", content=body, headers=told)


async def project_of(
    store: Store, payload: dict[str, Any], forge_id: int | None = None, name: str = "hello"
) -> Project:
    """The repository of a payload as a project of ours, of the first connection unless told."""
    project = await store.projects.add(name, f"{NOWHERE}/{name}.git", {})
    repository, installation = payload["repository"], payload.get("installation", {}).get("id")
    if forge_id is None:
        forge_id = (await store.forges.all())[0].id
    await store.forges.link(
        project.id, forge_id, repository["id"], repository["full_name"], installation
    )
    return await store.projects.named(name)
