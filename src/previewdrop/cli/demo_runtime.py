"""Which runtime the demo shows, and what it claims of that one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from previewdrop.cli.demo_checklist import Checklist
from previewdrop.cli.demo_live import Cast
from previewdrop.cli.views import Preview
from previewdrop.domain.errors import Conflict
from previewdrop.domain.spec import DOCKER, PROCESS

NOUNS = {PROCESS: "process", DOCKER: "container"}
"""What a preview gets of its own in each."""
_PLURALS = {PROCESS: "processes", DOCKER: "containers"}

Held = dict[str, list[str]]
"""Names of what there is, by what it is: `{"containers": ["previewdrop-3f9a5b7c9d-7-web"]}`."""


class Runtime(Protocol):
    """The runtime that a server puts previews in. Every method may raise PreviewDropError."""

    reused_claim: str
    """Of a push that changes no dependency."""
    gone_claim: str
    """Of previews that were removed."""
    ended_claim: str
    """Of a server that was stopped."""
    reasons: Mapping[str, str]
    """Why something of previews is kept when they are removed, for each kind of `kept`."""
    tries: Sequence[tuple[str, str]]
    """Commands that show more of it, each with what it shows."""

    def installed(self, previews: Sequence[Preview]) -> str | None:
        """One sentence on how often the dependencies of these live previews were installed."""
        ...

    def prove_apart(self, checks: Checklist, cast: Cast) -> None:
        """What is claimed of live previews here and nowhere else."""
        ...

    def reused(self, before: Preview, after: Preview) -> str:
        """What a push has used again; Unproven if it installed the dependencies anew."""
        ...

    def held(self, previews: Sequence[Preview]) -> Held:
        """What runs for these previews, and what an earlier call has found that still does."""
        ...

    def kept(self) -> Held:
        """What they use and leave behind on purpose."""
        ...

    def running(self) -> list[str]:
        """What runs for the installation beside the server's own processes."""
        ...

    def lasting(self, url: str) -> str:
        """A data service's URL for the time when the preview that it is of is gone."""
        ...


def chosen(asked: str | None, server: str | None, engine_answers: Callable[[], bool]) -> str:
    """The runtime to show. `server` is the setting of the server that runs, None if none does.

    A new server is started as asked, for processes if nothing is: they need no images. Conflict
    when the one that runs does not put previews where they are asked for.
    """
    if server is None:
        return asked or PROCESS
    takes = server
    if server not in NOUNS:  # auto: the example has a Dockerfile
        takes = DOCKER if engine_answers() else PROCESS
    if asked in (None, takes):
        return takes
    raise Conflict(
        f"The server that runs puts previews in {_PLURALS[takes]}, and the demo is asked for "
        f"{_PLURALS[str(asked)]}.",
        "Stop it with `previewdrop shutdown` and try again, or leave out --runtime.",
    )
