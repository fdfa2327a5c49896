"""The docker runtime's results as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.report import MIB

_LIMIT = "≤ 1.3 ×"


def table(results: dict[str, Any]) -> str:
    """Markdown: each claim with its limit, then where a warm push spends its time."""
    push, compose = results["docker_push_to_live"], results["docker_compose"]
    ten, load = results["docker_ten_at_once"], results["docker_requests"]
    rows = [
        _versus("push to live, warm", push["warm"], "script", _LIMIT),
        _versus("push to live, cold", push["cold"], "script", ""),
        *([_versus("push to live, warm", compose, "compose", "")] if compose else []),
        ("ten first deployments at once, cold", f"{ten['ten']:.1f} s", f"one: {ten['one']:.1f} s",
         f"{ten['ratio']:.2f} ×", ""),
        ("steps run by the builds of the ten", " ".join(map(str, sorted(ten["steps_run"]))), "", "",
         ""),
        ("memory of a preview", _mib(ten["preview_bytes"]), "", "", ""),
        ("memory of PostgreSQL and Valkey, for all ten", _mib(ten["services_bytes"]), "", "", ""),
        ("teardown of one preview", f"{ten['teardown_one']:.2f} s", "", "", "≤ 10 s"),
        ("teardown of nine at once", f"{ten['teardown_others']:.2f} s", "", "", "≤ 10 s"),
        ("left on the Engine after it", str(len(ten["left"])), "", "", "0"),
    ]  # fmt: skip
    lines = [
        "## Docker",
        "",
        "Warm: a push that changes code alone. Cold: no layer but the base image is there, and no "
        "package in any cache. Script: `bare_docker.sh` (`docker build`, `docker run`, `docker "
        "exec`); compose: "
        f"{'Debian’s docker-compose 1.29' if compose else 'not on this machine'}.",
        "",
        "| what | PreviewDrop | beside it | ratio | limit |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *_requests(load),
        "",
        *_steps("stage (warm, median)", push["stages"]),
        "",
        *_steps("script's step (warm, median)", push["steps"]),
        f"| stopping the container of before, not counted | {push['bare_stop']:.3f} |",
    ]
    if compose:
        lines += ["", *_steps("compose's step (warm, median)", compose["steps"])]
    return "\n".join(lines) + "\n"


def _versus(what: str, result: dict[str, Any], who: str, limit: str) -> tuple[str, ...]:
    ours, theirs = f"{result['previewdrop']:.2f} s", f"{who}: {result['bare']:.2f} s"
    return what, ours, theirs, f"{result['ratio']:.2f} ×", limit


def _requests(load: dict[str, Any]) -> list[str]:
    if not load:
        return ["Requests are not measured: wrk is not on this machine."]
    lines = [
        "| requests (wrk) | a second, edge | a second, container | p50, edge | p50, container | "
        "p99, edge | p99, container | failed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for what, ways in load.items():
        edge, direct = ways["edge"], ways["direct"]
        cells = [
            what,
            *(f"{way['rate']:.0f}" for way in (edge, direct)),
            *(f"{way[name] * 1000:.1f} ms" for name in ("p50", "p99") for way in (edge, direct)),
            f"{edge['failed'] + direct['failed']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _steps(title: str, seconds: dict[str, float]) -> list[str]:
    lines = [f"| {title} | seconds |", "|---|---|"]
    return lines + [f"| {name} | {value:.3f} |" for name, value in seconds.items()]


def _mib(size: float) -> str:
    return f"{size / MIB:.0f} MiB"
