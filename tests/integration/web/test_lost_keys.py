"""A key file that was lost is noticed, also where no data lies beside it."""

from __future__ import annotations

import pytest

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.store.previews import PreviewRow
from previewdrop.store.secrets import SecretBox
from previewdrop.store.store import Store
from previewdrop.store.variables import StoredVariable


def with_a_new_key(store: Store, home: Home) -> Store:
    home.key_file.unlink()
    return Store(store.database, SecretBox.open(home.key_file, data_exists=False))


async def test_a_lost_key_does_no_harm_while_nothing_is_encrypted(
    store: Store, home: Home, main: PreviewRow
) -> None:
    await with_a_new_key(store, home).check_keys()


@pytest.mark.parametrize("kept", ["variable", "login", "recipe"])
async def test_what_no_key_reads_stops_the_start(
    store: Store, home: Home, main: PreviewRow, kept: str
) -> None:
    if kept == "variable":
        await store.variables.put(main.project.id, [StoredVariable("A", Secret("1"), True)])
    elif kept == "login":
        await store.projects.change("shop", {}, "https://example.com/shop", Secret("bob:pw"))
    else:
        made = await store.deployments.begin(main.preview.id, "a" * 40, 1, None, 5)
        assert made is not None
        await store.deployments.made(made.id, {}, store.box.encrypt(Secret("recipe")))
    await store.check_keys()
    with pytest.raises(ServerError, match="cannot be decrypted") as caught:
        await with_a_new_key(store, home).check_keys()
    assert "PREVIEWDROP_STATE_URL" in (caught.value.hint or "")
