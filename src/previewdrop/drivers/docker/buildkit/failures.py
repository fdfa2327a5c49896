"""What went wrong in a build of an image, said so that the repository's author can mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable
from previewdrop.drivers.docker.buildkit import image_failures, run_failures
from previewdrop.drivers.docker.buildkit.progress import Failure

_WRAPPING = re.compile(
    r"^(?:failed to solve(?: with frontend [\w.]+)?|failed to create LLB definition"
    r"|failed to compute cache key|failed to load cache key|failed to load LLB"
    r"|failed to read downloaded context|failed to calculate checksum of ref \S+"
    r"|rpc error: code = \w+ desc =):? "
)
_INSIDE = re.compile(r"/\S*?/(?:overlay2/[^/\s]+/merged|buildkit-mount\d+)")
_TAG = re.compile(r"^\[[^\]]*\] ")
_LONGEST_NAME = 120
_SYNTAX = "Mend that line; newer syntax works with `# syntax=docker/dockerfile:1` as line 1."
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
    error = _plain(told.error)
    for pattern, explained in _CASES:
        if match := pattern.search(error):
            return explained(match, told)
    if image := image_failures.image_of(told.failure.name if told.failure else "", error):
        return image_failures.explain(image, error)
    if image_failures.passes(error):
        return Unavailable(f"{told.step} did not reach its server: {error}.", "It is tried again.")
    return StageFailed(f"{told.step} failed: {error.rstrip('.')}.", _LOG)


def _plain(error: str) -> str:
    """The error without what BuildKit wraps it in, and without the Engine's own folders."""
    error = _INSIDE.sub("", error.strip())
    while (stripped := _WRAPPING.sub("", error)) not in ("", error):
        error = stripped
    return error


def _disk(_: re.Match[str], told: Told) -> PreviewDropError:
    return StageFailed(
        "The disk of the Docker Engine is full.",
        "Free space on the server (`docker system df`, `docker builder prune`), then redeploy.",
    )


def _ran(match: re.Match[str], told: Told) -> PreviewDropError:
    killed = told.killed or "cannot allocate memory" in match["more"]
    return run_failures.ended(told.step, "\n".join(told.printed), int(match["code"]), killed)


def _cannot_run(match: re.Match[str], told: Told) -> PreviewDropError:
    if "no space left on device" in match["why"]:
        return _disk(match, told)
    return run_failures.not_begun(told.step, match["why"])


def _line(match: re.Match[str], told: Told) -> PreviewDropError:
    where = f"{told.dockerfile}, line {match['line']}"
    if unknown := re.match(r"unknown instruction: (\S+)(.*)", match["why"]):
        return StageFailed(f"{where}: there is no instruction {unknown[1]}{unknown[2]}.", _SYNTAX)
    return StageFailed(f"{where}: {match['why']}.", _SYNTAX)


def _missing(match: re.Match[str], told: Told) -> PreviewDropError:
    if "--from=" in told.step or ",from=" in told.step:
        return StageFailed(
            f"{told.step} needs {match['name']}, which the stage it takes from does not have.",
            "Look where that stage puts it.",
        )
    return StageFailed(
        f"{told.step} needs {match['name'].lstrip('/')}, which is not there.",
        "Commit it, write its path relative to the build's folder, or take it out of "
        ".dockerignore.",
    )


def _mount(match: re.Match[str], told: Told) -> PreviewDropError:
    where = f"{told.dockerfile} has a mount that this Engine does not know"
    return StageFailed(f"{where}: {match[0]}.", _SYNTAX)


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
        (
            r"^(?:executor failed running \[.*\]|process \".*\" did not complete successfully): "
            r"exit code: (?P<code>\d+)(?P<more>.*)",
            _ran,
        ),
        (
            r"^(?:executor failed running \[.*\]|process \".*\" did not complete successfully): "
            r"(?P<why>.*?)(?:: invalid argument)?$",
            _cannot_run,
        ),
        (r"no space left on device", _disk),
        (
            r"no active session|client connection is closing|connection closed$|server preface",
            _session,
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
        (
            r"unsupported mount type.*|unexpected key '.*",
            _mount,
        ),
        (r"\"(?P<name>/[^\"]+)\"(?: not found)?: not found", _missing),
        (r"failed to walk (?P<name>/\S+): lstat", _missing),
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
