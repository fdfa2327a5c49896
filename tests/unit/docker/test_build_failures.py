"""What went wrong in a build of an image, as its author reads it: recorded answers of Engines."""

from __future__ import annotations

import pytest

import recorded_builds
from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable
from previewdrop.drivers.docker.buildkit.failures import Told, explain
from previewdrop.drivers.docker.buildkit.progress import Failure
from recorded_builds import followed

OLD, NEW = "20.10", "28.5"
BOTH = (OLD, NEW)
FAILED = {
    (engine, case)
    for engine in recorded_builds.ENGINES
    for case, answer in recorded_builds.answers(engine).items()
    if any("error" in record for record in answer)
}
SAID = [
    (BOTH, "syntax_error", "Dockerfile, line 3: COPY requires at least two arguments", "Mend that"),
    (BOTH, "unknown_instruction", "Dockerfile, line 3: there is no instruction RUNN", "Mend that"),
    ((OLD,), "heredoc", "line 3: there is no instruction ECHO", "`# syntax=docker/dockerfile:1`"),
    (BOTH, "syntax_mount", 'unsupported mount type "nonsense"', "`# syntax=docker/dockerfile:1`"),
    (BOTH, "empty_dockerfile", "Dockerfile has no FROM", "`FROM image`"),
    (BOTH, "no_from", "Dockerfile has no FROM", "`FROM image`"),
    (BOTH, "missing_dockerfile", "no file Dockerfile to build", "build.dockerfile"),
    (BOTH, "unknown_target", "Dockerfile has no stage production", "build.target"),
    (BOTH, "unset_from_arg", "builds from $BASE, which is empty", "build.args"),
    (BOTH, "frontend_not_found", "no image 127.0.0.1:5901/frontend:1 (the Dockerfile's #", "name"),
    (BOTH, "platform_index", "armonly:1 does not exist for this server's platform", "--platform"),
    (BOTH, "reg_not_found", "There is no image 127.0.0.1:5901/nothing:1", "FROM … AS"),
    (BOTH, "reg_unauthorized", "127.0.0.1:5902 does not give 127.0.0.1:5902/busybox:1", "login"),
    (BOTH, "reg_denied", "127.0.0.1:5903 does not give 127.0.0.1:5903/denied:1", "docker login"),
    (BOTH, "reg_token_deny", "127.0.0.1:5903 does not give", "docker login"),
    (BOTH, "reg_broken_config", "/srv/.docker/conf.json cannot be read", None),
    (BOTH, "copy_missing", "COPY requirements.txt /app/ needs requirements.txt", ".dockerignore"),
    (BOTH, "copy_outside", "COPY ../secret /app/ needs secret, which is not there", "Commit it"),
    (BOTH, "bind_missing", "needs uv.lock, which is not there", "Commit it"),
    (BOTH, "copy_from_missing", "which the stage it takes from does not have", "Look where"),
    (BOTH, "bad_user", "RUN true cannot run: unable to find user app", "RUN useradd"),
    (BOTH, "workdir_file", "WORKDIR /app failed: mkdir /app: not a directory", "build log"),
    (BOTH, "secret_unknown", "asks for the secret token, which this project", "required=true"),
    (BOTH, "ssh_required", "asks for an SSH key", "RUN --mount=type=secret"),
    ((OLD,), "host_network", "Dockerfile, line 2: Unknown flag: network", "Mend that line"),
    ((NEW,), "host_network", "asks for network.host, which builds here do not get", "Leave out"),
    ((OLD,), "disk_copy", "The disk of the Docker Engine is full", "docker builder prune"),
    ((OLD,), "disk_context", "The disk of the Docker Engine is full", "docker builder prune"),
]
PASSES = [
    (BOTH, "base_unreachable", "Docker Hub did not answer when python:3.99-slim was pulled"),
    (BOTH, "base_unknown_local", "127.0.0.1:5999 did not answer when 127.0.0.1:5999/nothing:1"),
    (BOTH, "unknown_stage_copy", "Docker Hub did not answer when buildr was pulled"),
    (BOTH, "frontend_unreachable", "when docker/dockerfile:1 (the Dockerfile's # syntax) was"),
    (BOTH, "reg_limit", "127.0.0.1:5903 lets this server pull no more for now"),
    (BOTH, "reg_broken", "127.0.0.1:5903 did not answer when 127.0.0.1:5903/broken:1"),
    (BOTH, "add_url", "did not reach its server"),
]
RAN = [
    (BOTH, "run_fails", 3, "RUN echo one && echo two >&2 && exit 3 ended with exit code 3", "log"),
    (BOTH, "run_137", 137, "was killed for memory", "raise the limit"),
    (BOTH, "run_not_found", 127, "RUN poetry install calls what is not there: /bin/sh: poetry", ""),
    (BOTH, "no_shell", 1, "RUN echo hi needs /bin/sh, which the image does not have", "scratch"),
    (BOTH, "run_exec_form", 1, "needs /bin/nothing, which the image does not have", "scratch"),
    ((OLD, "26.1"), "exec_format", 1, "a program for another processor", "server's platform"),
    ((NEW,), "exec_format", 255, "a program for another processor", "server's platform"),
    (BOTH, "network_in_run", 1, "RUN busybox wget http://pypi.invalid/x ended with exit", "log"),
    (BOTH, "parallel_fail", 4, "RUN sleep 1; echo oh; exit 4 ended with exit code 4", "log"),
]


def explained(engine: str, case: str) -> PreviewDropError:
    progress, _ = followed(engine, case)
    return explain(Told(recorded_builds.error(engine, case), progress.failure))


@pytest.mark.parametrize(
    ("engine", "case", "message", "hint"),
    [(engine, *rest) for engines, *rest in SAID for engine in engines],
)
def test_what_the_author_can_mend(engine: str, case: str, message: str, hint: str | None) -> None:
    error = explained(engine, case)
    assert isinstance(error, StageFailed)
    assert message in error.message
    assert hint is None or hint in (error.hint or "")


@pytest.mark.parametrize(
    ("engine", "case", "message"),
    [(engine, *rest) for engines, *rest in PASSES for engine in engines],
)
def test_what_passes_by_itself(engine: str, case: str, message: str) -> None:
    error = explained(engine, case)
    assert isinstance(error, Unavailable)
    assert message in error.message
    assert "It is tried again" in (error.hint or "")


@pytest.mark.parametrize(
    ("engine", "case", "code", "message", "hint"),
    [(engine, *rest) for engines, *rest in RAN for engine in engines],
)
def test_a_run_that_failed(engine: str, case: str, code: int, message: str, hint: str) -> None:
    error = explained(engine, case)
    assert isinstance(error, StageFailed)
    assert error.exit_code == code
    assert message in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(("engine", "case"), sorted(FAILED))
def test_every_message_is_one_line_without_buildkits_own_words(engine: str, case: str) -> None:
    message = explained(engine, case).message
    assert message.endswith(".")
    assert "\n" not in message
    for inner in ("failed to solve", "LLB", "frontend dockerfile", "checksum of ref", "overlay2"):
        assert inner not in message


def test_every_recorded_failure_is_tested() -> None:
    known = {(e, case) for engines, case, *_ in (*SAID, *PASSES, *RAN) for e in engines}
    newer = {(e, case) for e, case in FAILED if e == "26.1" and (NEW, case) in known}
    assert known | newer >= FAILED


def test_a_step_whose_child_was_killed_for_memory() -> None:
    failure = Failure("[2/2] RUN pip install .", "exit code: 1", ("error: command 'cc' failed",))
    error = "executor failed running [/bin/sh -c pip install .]: exit code: 1"
    assert "killed for memory" in explain(Told(error, failure, killed=True)).message
    assert "exit code 1" in explain(Told(error, failure)).message
    printed = ("cc: fatal error: Killed signal terminated program cc1",)
    failure = Failure(failure.name, failure.error, printed)
    assert "killed for memory" in explain(Told(error, failure)).message


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        (("ERROR: No matching distribution found for x", "[notice] A new pip"), "No matching"),
        (("E: Unable to locate package libfoo",), "Unable to locate package libfoo"),
        (("fatal: not a git repository.", ""), "not a git repository"),
        (("  ModuleNotFoundError: No module named 'x'",), "No module named 'x'"),
    ],
)
def test_the_last_error_that_a_step_printed_is_told(printed: tuple[str, ...], says: str) -> None:
    error = "executor failed running [/bin/sh -c make]: exit code: 1"
    message = explain(Told(error, Failure("[2/2] RUN make", error, printed))).message
    assert message.startswith(f"RUN make ended with exit code 1: {says}")


def test_an_engine_that_tells_of_memory_itself() -> None:
    """https://github.com/moby/buildkit, executor/runcexecutor: ENOMEM where groups are of v2."""
    error = 'process "make" did not complete successfully: exit code: 2: cannot allocate memory'
    assert "killed for memory" in explain(Told(error)).message


@pytest.mark.parametrize(
    "command", ["no space left on device", "dockerfile parse error line 1: x", "no active session"]
)
def test_what_a_command_contains_is_no_reason(command: str) -> None:
    error = f'process "/bin/sh -c echo {command}" did not complete successfully: exit code: 9'
    explanation = explain(Told(error, Failure(f"[2/2] RUN echo {command}", error, ())))
    assert isinstance(explanation, StageFailed)
    assert explanation.exit_code == 9


@pytest.mark.parametrize(
    "error",
    [
        "no active session for 0123: context deadline exceeded",
        "rpc error: code = Unavailable desc = connection closed",
        "rpc error: code = Canceled desc = grpc: the client connection is closing",
        'Unavailable: connection error: desc = "error reading server preface: EOF"',
    ],
)
def test_a_session_that_broke_passes_by_itself(error: str) -> None:
    failure = Failure("[2/2] RUN --mount=type=secret,id=token true", error, ())
    assert isinstance(explain(Told(error, failure)), Unavailable)


def test_a_registry_that_the_engine_does_not_trust_is_no_trouble_that_passes() -> None:
    error = (
        "registry.example/app:1: failed to resolve source metadata for registry.example/app:1: "
        'failed to do request: Head "https://registry.example/v2/app/manifests/1": tls: failed to '
        "verify certificate: x509: certificate signed by unknown authority"
    )
    explanation = explain(Told(error))
    assert isinstance(explanation, StageFailed)
    assert "does not trust registry.example" in explanation.message
    assert "certs.d" in (explanation.hint or "")


def test_a_private_image_of_the_hub() -> None:
    error = (
        "pull access denied, repository does not exist or may require authorization: server "
        "message: insufficient_scope: authorization failed"
    )
    step = "[internal] load metadata for docker.io/acme/base:latest"
    explanation = explain(Told(error, Failure(step, error, ())))
    assert explanation.message.startswith("Docker Hub does not give acme/base: it is private")


def test_a_very_long_command_is_shortened() -> None:
    step = "[2/2] RUN " + " && ".join(["apt-get install"] * 50)
    error = 'process "x" did not complete successfully: exit code: 100'
    assert len(explain(Told(error, Failure(step, error, ()))).message) < 160


def test_what_nobody_foresaw_is_told_as_it_is() -> None:
    explanation = explain(Told("failed to solve: the moon is full."))
    assert explanation.message == "The build failed: the moon is full."
