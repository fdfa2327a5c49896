"""What several connections to one GitHub are told, each by its own hook or all by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI
from pydantic import SecretStr

from previewdrop.domain.secret import Secret
from previewdrop.store.store import Store
from previewdrop.web.ports import Control

from .hooks import NOWHERE, client_of, example, project_of, send, server

__all__ = ["server"]

OF_THE_APP = Secret("what an App and we know")
BY_HAND = Secret("what whoever made a webhook by hand and we know")


@pytest.fixture(scope="module")
def key() -> Secret:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return Secret(pem.decode())


@pytest.fixture
async def app(store: Store, key: Secret, server: FastAPI) -> int:
    """An App beside the token that the server knows; its connection's id."""
    credentials = {"key": key, "webhook": OF_THE_APP}
    return (await store.forges.add("github", NOWHERE, credentials, slug="app", app=5)).id


@pytest.fixture
def control(control: Control) -> Control:
    settings = control.settings.model_copy(
        update={"github_url": NOWHERE, "github_webhook_secret": SecretStr(BY_HAND.reveal())}
    )
    return replace(control, settings=settings)


@pytest.fixture
async def github(server: FastAPI, app: int) -> AsyncGenerator[httpx2.AsyncClient]:
    async with client_of(server) as client:
        yield client


@pytest.mark.parametrize("event", ["pull_request", "issue_comment"])
async def test_an_id_that_one_connection_took_is_new_to_another(
    github: httpx2.AsyncClient, store: Store, app: int, event: str
) -> None:
    payload = example(event, "opened" if event == "pull_request" else "created")
    if event == "issue_comment":
        payload["issue"]["pull_request"] = {}
        payload["comment"]["body"] = "/preview"
    project = await project_of(store, payload, app)
    assert (await send(github, event, payload)).json() == {"new": True}
    for new in (True, False):
        answer = await send(github, event, payload, secret=OF_THE_APP)
        assert answer.json() == {"new": new}
    assert len(await store.asks.waiting()) == (event == "issue_comment")
    assert len(await store.pulls.open(project.id)) == (event == "pull_request")


@pytest.mark.parametrize("linked", [0, 1])
async def test_what_is_signed_with_the_secret_of_the_settings_is_told_to_every_connection(
    github: httpx2.AsyncClient, store: Store, app: int, linked: int
) -> None:
    payload = example("pull_request", "opened")
    forge_id = [each.id for each in await store.forges.all()][linked]
    project = await project_of(store, payload, forge_id)
    for new in (True, False):
        answer = await send(github, "pull_request", payload, secret=BY_HAND)
        assert answer.json() == {"new": new}
    assert len(await store.pulls.open(project.id)) == 1


async def test_a_call_that_one_connection_took_is_finished_when_it_is_repeated(
    github: httpx2.AsyncClient, store: Store, app: int
) -> None:
    payload = example("pull_request", "opened")
    project = await project_of(store, payload, app)
    first = next(each.id for each in await store.forges.all() if each.id != app)
    await store.pulls.delivered(first, "d-1")
    assert (await send(github, "pull_request", payload, secret=BY_HAND)).json() == {"new": True}
    assert len(await store.pulls.open(project.id)) == 1
