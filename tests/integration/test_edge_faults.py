"""What Caddy has not done counts as not done."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.spec import Route
from previewdrop.drivers.caddy import driver
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.services.caddy import CaddyService

HOST = "main.faults.localhost"
ROUTE = Route(HOST, "127.0.0.1:20000")


@pytest_asyncio.fixture
async def edge(caddy_service: CaddyService) -> AsyncGenerator[CaddyEdge]:
    made = CaddyEdge(caddy_service.admin, "faults", caddy_service.https, None, caddy_service.routes)
    yield made
    await made.sweep([])
    await made.aclose()


async def test_a_certificate_that_did_not_come_in_time_is_waited_for_again(
    edge: CaddyEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(host: str) -> bool:
        return False

    with monkeypatch.context() as broken:
        broken.setattr(driver, "_CERTIFICATE_TIMEOUT", 0.1)
        broken.setattr(edge, "_shakes_hands", refused)
        for _ in range(2):
            with pytest.raises(Unavailable, match="no certificate"):
                await edge.ensure(ROUTE)
            assert await edge.observe(HOST) is None
    await edge.ensure(ROUTE)
    assert await edge.observe(HOST) == ROUTE
    with monkeypatch.context() as unasked:
        unasked.setattr(edge, "_shakes_hands", None)
        await edge.ensure(ROUTE)


async def test_a_route_that_cannot_be_deleted_is_told(
    edge: CaddyEdge, caddy_service: CaddyService
) -> None:
    await edge.remove(HOST)
    odd = caddy_service.routes.files / HOST
    odd.touch()
    with pytest.raises(StageFailed, match=f"route of {HOST} cannot be deleted"):
        await edge.remove(HOST)
    odd.unlink()
