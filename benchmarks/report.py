"""The results as a table and as a picture."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

MIB = 1024 * 1024


def table(results: dict[str, Any]) -> str:
    """Markdown: each claim with its limit."""
    push, ten = results["push_to_live"], results["ten_at_once"]
    told = results["comments"]
    start, command = results["server_start"], results["command_line"]
    hooks = results["webhooks"]
    rows = [
        _versus("push to live, warm", push["warm"]),
        _versus("push to live, cold", push["cold"]),
        ("ten first deployments at once", f"{ten['ten']:.1f} s", f"one: {ten['one']:.1f} s",
         f"{ten['ratio']:.2f} ×", "≤ 4 ×"),
        ("environments built for the ten", str(ten["environments_built"]), "", "", "1"),
        ("`previewdrop --help`", f"{command['--help']:.2f} s", "", "", "≤ 0.3 s"),
        ("server start, later", f"{start['later']:.2f} s", f"first: {start['first']:.2f} s", "",
         "≤ 3 s"),
        ("webhook to comment", f"{told['webhook_to_comment']:.2f} s",
         f"push to live: {told['push_to_live']:.2f} s", f"{told['beyond']:+.2f} s", "≤ +1 s"),
        ("control plane's memory, idle", _mib(start["idle_bytes"]), "", "", "≤ 150 MiB"),
        ("webhooks, 100 a second, p99", f"{hooks['p99'] * 1000:.0f} ms", f"lost: {hooks['lost']}",
         "met" if hooks["met"] else "NOT met", f"≤ {hooks['limit'] * 1000:.0f} ms, none lost"),
        ("memory of a preview", _mib(ten["preview_bytes"]), "", "", ""),
    ]  # fmt: skip
    lines = ["| what | PreviewDrop | beside it | ratio | limit |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *_stages(push)]) + "\n"


def picture(results: dict[str, Any], file: Path) -> None:
    """Bars: ours in stages beside the bare steps, warm; cold and ten at once as totals."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    push = results["push_to_live"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1))
    for place, parts in enumerate((push["steps"], push["stages"])):
        offset = 0.0
        for number, (name, seconds) in enumerate(parts.items()):
            left.barh(place, seconds, left=offset, color=f"C{number % 10}", edgecolor="white")
            if seconds > 0.15:
                left.text(offset + seconds / 2, place, name, ha="center", va="center", fontsize=8)
            offset += seconds
    left.set_yticks([0, 1], ["bare tools", "PreviewDrop"])
    left.set_xlabel("seconds, warm push to live (medians; parallel stages drawn one after another)")
    left.set_title("Where the time goes")
    names = ["warm", "cold"]
    for shift, who, colour in ((-0.2, "bare", "#9aa5b1"), (0.2, "previewdrop", "#2f6fde")):
        heights = [push[name][who] for name in names]
        right.bar([place + shift for place in range(2)], heights, 0.4, label=who, color=colour)
    right.set_xticks(range(2), names)
    right.set_ylabel("seconds")
    right.set_title("Push to live")
    right.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=150)


def _versus(what: str, result: dict[str, Any]) -> tuple[str, ...]:
    ours, bare = f"{result['previewdrop']:.2f} s", f"bare: {result['bare']:.2f} s"
    return what, ours, bare, f"{result['ratio']:.2f} ×", "≤ 1.3 ×"


def _stages(push: dict[str, Any]) -> list[str]:
    """Stage by stage, warm; the rest is what no stage accounts for."""
    lines = ["| stage (warm, median) | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.3f} |" for name, seconds in push["stages"].items()]
    lines += ["", "| bare step (warm, median) | seconds |", "|---|---|"]
    return lines + [f"| {name} | {seconds:.3f} |" for name, seconds in push["steps"].items()]


def _mib(size: float | None) -> str:
    return "" if size is None else f"{size / MIB:.0f} MiB"
