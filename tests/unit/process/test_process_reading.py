"""Nothing leads a reader astray or holds it up: FIFOs, links, folders, floods."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from previewdrop.drivers.process import child, task
from previewdrop.drivers.process.reading import NotPlain, names_in, read_beneath, read_plain


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_plain(tmp_path / "file", 5) == b"12345"
    with pytest.raises(NotPlain, match="larger than"):
        read_plain(tmp_path / "file", 4)


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(NotPlain, match="not a regular file"):
            read_plain(path, 10)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "in" / "last").symlink_to("file")
    assert read_beneath(tmp_path, PurePath("in/file"), 9) == b"x"
    with pytest.raises(NotADirectoryError):
        read_beneath(tmp_path, PurePath("link/file"), 9)
    with pytest.raises(NotPlain):
        read_beneath(tmp_path, PurePath("in/last"), 9)
    assert sorted(names_in(tmp_path, "in")) == ["file", "last"]
    assert names_in(tmp_path, "link") == names_in(tmp_path, "none") == []


def test_a_status_that_was_replaced_says_nothing(tmp_path: Path) -> None:
    status = tmp_path / "status"
    assert task.read_status(status) == {}
    status.write_text('{"child-pid": 7, "x": "y"}\n["no"]\n{"exit-code": 3}\n{"half')
    assert task.read_status(status) == {"child-pid": 7, "exit-code": 3}
    status.rename(tmp_path / "elsewhere")
    status.symlink_to("elsewhere")
    assert task.read_status(status) == {}
    status.unlink()
    os.mkfifo(status)
    assert task.read_status(status) == {}
    assert child.read_record(status) is None
