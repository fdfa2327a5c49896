"""What the demo claims of previews that run as processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from previewdrop.cli import demo_display, demo_processes
from previewdrop.cli.demo_checklist import Checklist, expect
from previewdrop.cli.demo_live import ALI, Cast
from previewdrop.cli.demo_processes import Process
from previewdrop.cli.demo_runtime import Held
from previewdrop.cli.views import Preview, Stage


class InProcesses:
    """The process runtime: previews share environments of installed dependencies."""

    reused_claim = "The push built no environment anew"
    gone_claim = "No process of theirs runs"
    ended_claim = "It leaves no process behind"

    reasons: Mapping[str, str]
    tries: Sequence[tuple[str, str]]

    def __init__(self) -> None:
        self.reasons, self.tries = {}, ()
        self._seen: set[Process] = set()

    def installed(self, previews: Sequence[Preview]) -> str | None:
        return demo_display.environment_note(previews)

    def prove_apart(self, checks: Checklist, cast: Cast) -> None:
        checks.prove("One environment serves all four", lambda: _one_environment(cast))

    def reused(self, before: Preview, after: Preview) -> str:
        expect(build_cached(after), "The build stage built it.")
        expect(environment(after) == environment(before), f"It is {environment(after)} now.")
        return f"{environment(after)} reused"

    def held(self, previews: Sequence[Preview]) -> Held:
        started = (demo_processes.with_variable(f"PREVIEW_URL={each['url']}") for each in previews)
        found = demo_processes.running(self._seen).union(*started)
        self._seen |= found
        return {"processes": sorted(str(process.pid) for process in found)}

    def kept(self) -> Held:
        return {}

    def running(self) -> list[str]:
        return []

    def lasting(self, url: str) -> str:
        return url


def _one_environment(cast: Cast) -> str:
    names = {each.who: environment(each.preview) for each in cast.values()}
    expect(len({*names.values()}) == 1, f"There are several: {names}.")
    built = [each.who for each in cast.values() if not build_cached(each.preview)]
    expect(len(built) <= 1, f"It was built {len(built)} times: for {', '.join(built)}.")
    return f"{names[ALI]}, built {'once' if built else 'before'}"


def environment(preview: Preview) -> str:
    """`environment 3f9a`, as the build stage names it."""
    build = _build(preview)
    return " ".join(((build["note"] if build else None) or "").split()[:2])


def build_cached(preview: Preview) -> bool:
    """Whether the build stage found everything made already."""
    build = _build(preview)
    return bool(build and build["cached"])


def _build(preview: Preview) -> Stage | None:
    deployment = preview["deployment"]
    stages = deployment["stages"] if deployment else []
    return next((stage for stage in stages if stage["name"] == "build"), None)
