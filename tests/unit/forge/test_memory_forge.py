"""The in-memory code host: how it misbehaves, and the webhooks that it signs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from previewdrop.domain.errors import BadInput, Unavailable
from previewdrop.forge.base import Refused
from previewdrop.forge.events import BranchDeleted, Pull, Repository
from previewdrop.forge.memory import MemoryForge
from previewdrop.misbehaviour import Misbehaviour

SHOP = Repository(7, "acme/shop", "/srv/shop.git")
PULL = Pull(
    number=42,
    title="Add orders",
    open=True,
    merged=False,
    draft=False,
    labels=frozenset(),
    author="octocat",
    bot=False,
    base="main",
    branch="feature/orders",
    head="a" * 40,
    fork=False,
    seen=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def forge() -> MemoryForge:
    forge = MemoryForge()
    forge.add(SHOP, PULL)
    return forge


async def test_it_fails_as_often_as_it_is_told(forge: MemoryForge):
    forge.misbehave(Misbehaviour.UNAVAILABLE, call="pull", times=1)
    with pytest.raises(Unavailable):
        await forge.pull(SHOP, 42)
    assert await forge.pull(SHOP, 42) == PULL
    assert forge.calls == ["pull", "pull"]


async def test_it_says_how_long_to_wait(forge: MemoryForge):
    forge.misbehave(Misbehaviour.LIMITED, call="login")
    with pytest.raises(Unavailable) as limited:
        await forge.login(SHOP)
    assert limited.value.seconds == 60


async def test_it_refuses(forge: MemoryForge):
    forge.misbehave(Misbehaviour.REFUSED, call="comment")
    with pytest.raises(Refused, match="Forbidden"):
        await forge.comment(SHOP, 42, "<!-- x -->", "hello", None)
    assert not forge.comments


async def test_it_loses_an_answer(forge: MemoryForge):
    forge.misbehave(Misbehaviour.HALFWAY, call="comment", times=1)
    with pytest.raises(Unavailable, match="was lost"):
        await forge.comment(SHOP, 42, "<!-- x -->", "hello", None)
    [there] = forge.comments
    assert (await forge.comment(SHOP, 42, "<!-- x -->", "hello", None)).id == there


async def test_it_hangs_until_it_may_go_on(forge: MemoryForge):
    forge.misbehave(Misbehaviour.SLOW, call="pull")
    hanging = asyncio.create_task(forge.pull(SHOP, 42))
    await forge.reached("pull")
    assert not hanging.done()
    forge.behave()
    assert await hanging == PULL


async def test_its_webhooks_come_back_as_they_were_told(forge: MemoryForge):
    event = BranchDeleted(SHOP, "feature/orders")
    headers, body = forge.deliver(event, kind="delete")
    assert forge.verified(headers, body)
    assert not forge.verified(headers, body + b"x")
    assert not forge.verified({}, body)
    delivery = forge.parsed(headers, body)
    assert delivery.events == (event,)
    assert delivery.kind == "delete"
    assert forge.parsed(headers, body) == delivery
    for nonsense in (b"", b"\xff", b"memory-99"):
        with pytest.raises(BadInput):
            forge.parsed(headers, nonsense)


async def test_a_reaction_to_nothing_is_refused(forge: MemoryForge):
    with pytest.raises(Refused):
        await forge.react(SHOP, 5, "eyes")
