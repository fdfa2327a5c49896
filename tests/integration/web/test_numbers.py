"""Numbers that no column holds are refused, not tried."""

from __future__ import annotations

import httpx2

from previewdrop.store.previews import PreviewRow

TOO_LARGE = 2**31


async def test_of_a_pull_request(api: httpx2.AsyncClient, main: PreviewRow) -> None:
    wanted = {"branch": "main", "number": TOO_LARGE}
    answer = await api.post("/projects/shop/previews", json=wanted)
    assert answer.status_code == 422, answer.text
    assert "number" in answer.json()["detail"]
    answer = await api.post("/projects/shop/previews", json=wanted | {"number": TOO_LARGE - 1})
    assert answer.is_success, answer.text


async def test_of_a_connection(api: httpx2.AsyncClient, main: PreviewRow) -> None:
    for number, status in ((TOO_LARGE - 1, 404), (TOO_LARGE, 422)):
        answer = await api.delete(f"/github/connections/{number}")
        assert answer.status_code == status, answer.text
