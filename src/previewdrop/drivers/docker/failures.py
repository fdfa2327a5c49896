"""What went wrong in a build of an image, said so that the repository's author can mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable
from previewdrop.drivers.docker import image_failures
from previewdrop.drivers.docker.progress import Failure

_WRAPPING = re.compile(
    r"^(?:failed to solve(?: with frontend [\w.]+)?|failed to create LLB definition"
    r"|failed to compute cache key|failed to load cache key|failed to load LLB"
    r"|failed to read downloaded context|failed to calculate checksum of ref \S+"
    r"|rpc error: code = \w+ desc =):? "
)
_TAG = re.compile(r"^\[[^\]]*\] ")
_OOM = re.compile(r"(?m)^Killed$|Killed signal terminated program")
_LONGEST_NAME = 120
_KILLED = 137
_NOT_FOUND = 127
_SYNTAX = "Mend that line; newer syntax works with `# syntax=docker/dockerfile:1` as line 1."
_NEWER = "Add `# syntax=docker/dockerfile:1` as the Dockerfile's first line, or mend that mount."
_LOG = "The build log has all that it printed."


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a failed build: the Engine's `error`, the step, and the Dockerfile's path.

    `killed` tells that the kernel killed a process of a step for memory.
    """

    error: str
    failure: Failure | None = None
    dockerfile: str = "Dockerfile"
    killed: bool = False

    @property
    def step(self) -> str:
        """The failed instruction as one short line, without its place in the Dockerfile."""
        name = _TAG.sub("", self.failure.name) if self.failure else "The build"
        return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

    @property
    def printed(self) -> tuple[str, ...]:
        return self.failure.tail if self.failure else ()


Explained = Callable[[re.Match[str], Told], PreviewDropError]


def explain(told: Told) -> PreviewDropError:
    """The error for a build that the Engine ended with one."""
    error = told.error.strip()
    while stripped := _WRAPPING.sub("", error):
        if stripped == error:
            break
        error = stripped
    for pattern, explained in _CASES:
        if match := pattern.search(error):
            return explained(match, told)
    if image := image_failures.image_of(told.failure.name if told.failure else "", error):
        return image_failures.explain(image, error)
    if image_failures.passes(error):
        return Unavailable(f"{told.step} did not reach its server: {error}.", "It is tried again.")
    return StageFailed(f"{told.step} failed: {error.rstrip('.')}.", _LOG)


def _disk(_: re.Match[str], told: Told) -> PreviewDropError:
    return StageFailed(
        "The disk of the Docker Engine is full.",
        "Free space on the server (`docker system df`, `docker builder prune`), then redeploy.",
    )


def _ran(match: re.Match[str], told: Told) -> PreviewDropError:
    code = int(match["code"])
    message, hint = _why_it_ended(told, code, match["more"] or "")
    return StageFailed(message, hint, exit_code=code)


def _why_it_ended(told: Told, code: int, more: str) -> tuple[str, str]:
    printed = "\n".join(told.printed)
    if "exec format error" in printed:
        return (
            f"{told.step} is a program for another processor than this server's.",
            "Use a base image that exists for the server's platform, without --platform.",
        )
    if match := re.search(r'runc run failed: .*exec: "([^"]+)": .*(?:not found|no such)', printed):
        return (
            f"{told.step} needs {match[1]}, which the image does not have.",
            'An image without a shell (scratch, distroless) runs `RUN ["program"]` only: do it '
            "in an earlier stage and COPY --from that.",
        )
    if told.killed or code == _KILLED or "cannot allocate memory" in more or _OOM.search(printed):
        return (
            f"{told.step} was killed for memory.",
            "Install wheels instead of compiling, do less at once, or let the server's "
            "administrator raise the limit of builds.",
        )
    if "No space left on device" in printed:
        return f"{told.step} found the disk full.", "Free space on the server, then redeploy."
    if code == _NOT_FOUND and (said := re.search(r"(?m)^.*not found.*$", printed)):
        return (
            f"{told.step} calls what is not there: {said[0]}.",
            "Install it in an earlier step, or use a base image that has it.",
        )
    return f"{told.step} ended with exit code {code}.", _LOG


def _cannot_run(match: re.Match[str], told: Told) -> PreviewDropError:
    if "unable to find" in match["why"]:
        return StageFailed(
            f"{told.step} cannot run: {match['why']}.",
            "Create that user and group before USER names them, with `RUN useradd …`.",
        )
    return StageFailed(f"{told.step} cannot run: {match['why']}.", _LOG)


def _line(match: re.Match[str], told: Told) -> PreviewDropError:
    where = f"{told.dockerfile}, line {match['line']}"
    if unknown := re.match(r"unknown instruction: (\S+)(.*)", match["why"]):
        return StageFailed(f"{where}: there is no instruction {unknown[1]}{unknown[2]}.", _SYNTAX)
    return StageFailed(f"{where}: {match['why']}.", _SYNTAX)


def _always(message: str, hint: str) -> Explained:
    """The same for every match; `{name}` stands for a group of the pattern, `{file}`, `{step}`."""

    def explained(match: re.Match[str], told: Told) -> PreviewDropError:
        known = {"file": told.dockerfile, "step": told.step, **match.groupdict()}
        return StageFailed(message.format(**known), hint.format(**known))

    return explained


def _session(_: re.Match[str], told: Told) -> PreviewDropError:
    return Unavailable("The connection broke over which a build asks for secrets and logins.")


_CASES: tuple[tuple[re.Pattern[str], Explained], ...] = tuple(
    (re.compile(pattern, re.DOTALL), explained)
    for pattern, explained in (
        (r"no space left on device", _disk),
        (
            r"no active session|client connection is closing|connection closed$|server preface",
            _session,
        ),
        (
            r"(?:executor failed running \[.*\]|process \".*\" did not complete successfully): "
            r"exit code: (?P<code>\d+)(?P<more>.*)",
            _ran,
        ),
        (
            r"(?:executor failed running \[.*\]|process \".*\" did not complete successfully): "
            r"(?P<why>.*?)(?:: invalid argument)?$",
            _cannot_run,
        ),
        (r"dockerfile parse error (?:on )?line (?P<line>\d+): (?P<why>.*)", _line),
        (
            r"^failed to read dockerfile: open \S*: no such file or directory",
            _always(
                "The repository has no file {file} to build from.",
                "Add it, or name the right one as build.dockerfile in previewdrop.toml.",
            ),
        ),
        (
            r"target stage \"?(?P<name>[^\"]+?)\"? could not be found",
            _always(
                "{file} has no stage {name}.",
                "Name a stage of it (`FROM … AS {name}`), or change build.target in "
                "previewdrop.toml.",
            ),
        ),
        (
            r"file with no instructions|no build stage in current context|file is empty",
            _always("{file} has no FROM to begin with.", "Begin it with `FROM image`."),
        ),
        (
            r"base name \((?P<name>.*?)\) should not be blank",
            _always(
                "{file} builds from {name}, which is empty.",
                "Give that ARG a default, or a value in build.args of previewdrop.toml.",
            ),
        ),
        (r"unsupported mount type|unexpected key '", _always("{file}: {step} fails.", _NEWER)),
        (
            r"\"/?(?P<name>[^\"]+)\"(?: not found)?: not found",
            _always(
                "{step} needs {name}, which is not there.",
                "Commit it, write its path relative to the build's folder, or take it out of "
                ".dockerignore.",
            ),
        ),
        (
            r"failed to walk .*?/(?:merged|buildkit-mount\d+)/(?P<name>\S+): lstat",
            _always(
                "{step} needs /{name}, which the stage it copies from does not have.",
                "Look where that stage puts it.",
            ),
        ),
        (
            r"secret (?P<name>\S+?):? not found",
            _always(
                "{step} asks for the secret {name}, which this project does not have.",
                "Set a variable of that name for builds, or leave out required=true.",
            ),
        ),
        (
            r"no SSH key",
            _always(
                "{step} asks for an SSH key, which builds here do not get.",
                "Use a secret with a token (`RUN --mount=type=secret`) instead.",
            ),
        ),
        (
            r"(?P<name>network\.host|security\.insecure) is not allowed",
            _always(
                "{file} asks for {name}, which builds here do not get.",
                "Leave out that option of RUN.",
            ),
        ),
    )
)
