"""Numbers of Redis databases: every one is leased before one is refused."""

from __future__ import annotations

import pytest

from previewdrop.domain.errors import Conflict
from previewdrop.store.previews import PreviewRow
from previewdrop.store.store import Store


async def test_every_number_is_leased_before_one_is_refused(store: Store, main: PreviewRow) -> None:
    others = [await store.previews.want("shop", branch, "a" * 40) for branch in ("b", "c", "d")]
    previews = [main.preview.id, *(other.id for other in others)]
    leased = [await store.previews.lease_number(one, 3) for one in previews[:3]]
    assert leased == [1, 2, 3]
    assert await store.previews.lease_number(previews[0], 3) == 1
    with pytest.raises(Conflict, match="All 3 Redis databases"):
        await store.previews.lease_number(previews[3], 3)
