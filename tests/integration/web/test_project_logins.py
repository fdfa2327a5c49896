"""A repository's user name and password: kept encrypted, given to git alone, never shown."""

from __future__ import annotations

import httpx2
from sqlalchemy import text

from previewdrop.domain.secret import Secret
from previewdrop.store.database import StateDatabase
from previewdrop.store.store import Store

URL = "https://bob:hunter2secret@example.com/team/shop.git"
SHOWN = "https://example.com/team/shop.git"


async def test_a_login_is_never_shown(api: httpx2.AsyncClient) -> None:
    added = await api.post("/projects", json={"source": URL})
    again = await api.post("/projects", json={"source": URL})
    answers = [
        added,
        again,
        await api.get("/projects"),
        await api.get("/projects/shop"),
        await api.patch("/projects/shop", json={"settings": {"health": "/healthz"}}),
        await api.post("/projects", json={"source": f"nowhere{URL}"}),
    ]
    assert (added.status_code, added.json()["source"]) == (201, SHOWN)
    assert again.status_code == 409
    assert [one.url for one in answers if "hunter2secret" in one.text] == []


async def test_a_login_is_kept_encrypted(
    api: httpx2.AsyncClient, store: Store, state: StateDatabase
) -> None:
    await api.post("/projects", json={"source": URL, "name": "shop"})
    async with state.transaction() as session:
        row = (await session.execute(text("SELECT projects::text FROM projects"))).scalar_one()
    assert SHOWN in row
    assert "hunter2secret" not in row
    assert b"hunter2secret".hex() not in row
    assert store.projects.login(await store.projects.named("shop")) == Secret("bob:hunter2secret")


async def test_a_new_address_brings_its_own_login(api: httpx2.AsyncClient, store: Store) -> None:
    await api.post("/projects", json={"source": URL})
    await api.patch("/projects/shop", json={"settings": {}})
    assert store.projects.login(await store.projects.named("shop")) is not None
    await api.patch("/projects/shop", json={"source": "https://eve:other@example.com/moved"})
    moved = await store.projects.named("shop")
    assert (moved.source, store.projects.login(moved)) == (
        "https://example.com/moved",
        Secret("eve:other"),
    )
    await api.patch("/projects/shop", json={"source": "https://example.com/moved"})
    assert store.projects.login(await store.projects.named("shop")) is None


async def test_a_project_is_found_with_and_without_its_login(api: httpx2.AsyncClient) -> None:
    await api.post("/projects", json={"source": URL})
    for source in (URL, SHOWN, f"{SHOWN}/"):
        found = (await api.get("/projects", params={"source": source})).json()
        assert [one["name"] for one in found] == ["shop"]
