"""What the machine holds for the demo's previews, listed before their removal and after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from rich.text import Text

from previewdrop.cli import demo_data, tables
from previewdrop.cli.demo_live import Engineer
from previewdrop.cli.demo_runtime import Held, Runtime
from previewdrop.config.home import Home


@dataclass(slots=True)
class Ledger:
    """Two lists, empty until somebody has looked; `reasons` says why some of it stays."""

    before: Held = field(default_factory=dict[str, list[str]])
    after: Held = field(default_factory=dict[str, list[str]])
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    def as_json(self) -> dict[str, Held]:
        return {"before": self.before, "after": self.after}


def look(home: Home, runtime: Runtime, people: Sequence[Engineer], owned: Collection[str]) -> Held:
    """What there is of these people's previews; `owned` are the numbers of their deployments.

    A database and its role, and a cache's user, count as long as they let somebody in.
    """
    hosts = {urlsplit(each.preview["url"]).hostname for each in people}
    return {
        **runtime.held([each.preview for each in people]),
        "databases and roles": [
            each.database for each in people if demo_data.may_log_in(each.database_url)
        ],
        "cache users": [
            str(urlsplit(each.redis_url).username)
            for each in people
            if demo_data.redis_knows(each.redis_url)
        ],
        "routes": [name for name in _names(home.caddy / "routes") if name in hosts],
        "folders": [
            f"{folder.name}/{name}"
            for folder in (home.runs, home.checkouts)
            for name in _names(folder)
            if name in owned
        ],
        **runtime.kept(),
    }


def lines(ledger: Ledger) -> list[Text]:
    """How many there are of each; nothing unless both lists are there."""
    if not ledger.before or not ledger.after:
        return []
    rows = [
        (
            what,
            str(len(names)),
            str(len(ledger.after.get(what, ()))),
            ledger.reasons.get(what, ""),
        )
        for what, names in ledger.before.items()
    ]
    return [Text(), *tables.columns(("WHAT", "LIVE", "REMOVED", ""), rows)]


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []
