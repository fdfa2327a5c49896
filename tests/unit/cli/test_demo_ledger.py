"""The lists of what there is before a removal and after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from previewdrop.cli import demo_data
from previewdrop.cli.demo_in_processes import InProcesses
from previewdrop.cli.demo_ledger import Ledger, lines, look
from previewdrop.cli.demo_live import Engineer
from previewdrop.cli.demo_visit import Visitor
from previewdrop.config.home import Home

Make = Callable[..., Any]


def test_what_there_is_of_these_previews_and_no_others(
    make_preview: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    for place in ("runs/7", "runs/8", "checkouts/7"):
        (tmp_path / place).mkdir(parents=True)
    for host in ("feature-new-auth.shop.localhost", "other.shop.localhost"):
        (home.caddy / "routes" / host).mkdir(parents=True)

    def opens(url: str) -> bool:
        return "gone" not in url

    monkeypatch.setattr(demo_data, "may_log_in", opens)
    monkeypatch.setattr(demo_data, "redis_knows", opens)
    nobody = cast("Visitor", None)
    urls = ("postgresql://u:p@h/d", "redis://shop_fna:p@h/1")
    there = Engineer("Ali", make_preview(), nobody, *urls)
    gone = Engineer("Ben", make_preview(), nobody, "postgresql://gone", "redis://gone")
    assert look(home, InProcesses(), [there, gone], ["7"]) == {
        "processes": [],
        "databases and roles": ["shop_feature_new_auth"],
        "cache users": ["shop_fna"],
        "routes": ["feature-new-auth.shop.localhost"],
        "folders": ["runs/7", "checkouts/7"],
    }


def test_in_an_empty_data_folder_there_is_nothing(tmp_path: Path) -> None:
    assert not any(look(Home(tmp_path), InProcesses(), [], []).values())


def test_both_lists_side_by_side() -> None:
    before = {"containers": ["a", "b"], "images": ["shop:1"]}
    after = {"containers": [], "images": ["shop:1"]}
    shown = [line.plain for line in lines(Ledger(before, after, {"images": "kept for later"}))]
    assert shown == [
        "",
        "WHAT        LIVE  REMOVED",
        "containers  2     0",
        "images      1     1        kept for later",
    ]


def test_one_list_alone_says_nothing() -> None:
    assert lines(Ledger({"containers": ["a"]})) == []
