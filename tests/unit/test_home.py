"""The data folder: where its sockets are, and who may enter there."""

import os
import tempfile
from pathlib import Path

import pytest

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError

LONG = "a-folder-with-a-long-name-" * 4


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder whose path is too long for a socket."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return Home(tmp_path / LONG / "home").create()


def elsewhere(home: Home) -> Path:
    return Path(tempfile.gettempdir()) / f"previewdrop-{home.installation}"


def test_sockets_are_in_the_data_folder(tmp_path: Path):
    home = Home(tmp_path / "home").create()
    assert home.socket("api.sock") == home.path / "sockets" / "api.sock"
    assert (home.path / "sockets").stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_is_replaced_by_a_short_one(deep: Home):
    path = deep.socket("api.sock")
    assert path == elsewhere(deep) / "api.sock"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert deep.socket("api.sock") == path


def test_a_folder_that_others_may_enter_is_refused(deep: Home):
    elsewhere(deep).mkdir()
    elsewhere(deep).chmod(0o750)
    with pytest.raises(ServerError, match="not ours alone"):
        deep.socket("api.sock")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused(deep: Home, tmp_path: Path, there: bool):
    if there:
        (tmp_path / "theirs").mkdir(mode=0o700)
    elsewhere(deep).symlink_to(tmp_path / "theirs")
    with pytest.raises(ServerError, match="not ours alone"):
        deep.socket("api.sock")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(deep: Home):
    elsewhere(deep).mkdir(mode=0o700)
    os.chown(elsewhere(deep), 12345, 12345)
    with pytest.raises(ServerError, match="not ours alone"):
        deep.socket("api.sock")
