"""Why a RUN of a Dockerfile failed, from its exit code and what it printed."""

from __future__ import annotations

import re

from previewdrop.domain.errors import StageFailed

_KILLED = 137
_NOT_FOUND = 127
_OOM = re.compile(r"(?m)^Killed$|Killed signal terminated program")
_NO_PROGRAM = re.compile(r'runc run failed: .*exec: "([^"]+)": .*(?:not found|no such)')
_ERROR = re.compile(r"(?mi)^\W*(?:[\w.]*error|fatal|e): (?P<why>.+)$")
_LONGEST = 200
_LOG = "The build log has all that it printed."


def ended(step: str, printed: str, code: int, killed: bool) -> StageFailed:
    """The error for a step that ended with `code`, or was never started as runc tells.

    `printed` are its last lines, `killed` tells that the kernel ended one of its processes.
    """
    message, hint = _sentence(step, printed, code, killed)
    return StageFailed(message, hint, exit_code=code)


def not_begun(step: str, why: str) -> StageFailed:
    """The error for a step that BuildKit could not begin."""
    hint = _LOG
    if "unable to find" in why:
        hint = "Create that user and group before USER names them, with `RUN useradd …`."
    return StageFailed(f"{step} cannot run: {why}.", hint)


def _sentence(step: str, printed: str, code: int, killed: bool) -> tuple[str, str]:
    if "exec format error" in printed:
        return (
            f"{step} is a program for another processor than this server's.",
            "Use a base image that exists for the server's platform, without --platform.",
        )
    if match := _NO_PROGRAM.search(printed):
        return (
            f"{step} needs {match[1]}, which the image does not have.",
            'An image without a shell (scratch, distroless) runs `RUN ["program"]` only: do it in '
            "an earlier stage and COPY --from that.",
        )
    if killed or code == _KILLED or _OOM.search(printed):
        return (
            f"{step} was killed for memory.",
            "Install wheels instead of compiling, do less at once, or let the server's "
            "administrator raise the limit of builds.",
        )
    if "No space left on device" in printed:
        return f"{step} found the disk full.", "Free space on the server, then redeploy."
    if code == _NOT_FOUND and (said := re.search(r"(?m)^.*not found.*$", printed)):
        return (
            f"{step} calls what is not there: {said[0]}.",
            "Install it in an earlier step, or use a base image that has it.",
        )
    why = [match["why"].rstrip(".") for match in _ERROR.finditer(printed)]
    said = f": {why[-1][:_LONGEST]}" if why else ""
    return f"{step} ended with exit code {code}{said}.", _LOG
