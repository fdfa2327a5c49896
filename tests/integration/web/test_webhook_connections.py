"""What several connections to one GitHub are told, each by its own hook or all by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI

from previewdrop.domain.secret import Secret
from previewdrop.store.store import Store

from .hooks import NOWHERE, client_of, example, project_of, send, server

__all__ = ["server"]

OF_THE_APP = Secret("what an App and we know")


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
