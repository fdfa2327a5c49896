"""What a build asks of the Engine, and what is written to bound its steps."""

from __future__ import annotations

import json
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.buildkit import limits as build_limits
from previewdrop.drivers.docker.buildkit import steps
from previewdrop.drivers.docker.buildkit.limits import Bounds, files, killed_for_memory
from previewdrop.drivers.docker.buildkit.order import Order, query, tagging
from previewdrop.drivers.docker.buildkit.steps import Watch

MARK = IPv6Address("100::1234:5678:9abc:def0")
OTHER = IPv6Address("100::1")
GROUP = "/docker/buildkit/step1"
MEMORY = 256 << 20
BOUNDS = Bounds(memory=MEMORY, cpus=1.5, processes=200)


def test_the_query_of_the_smallest_build() -> None:
    assert query(Order(("app:1",)), "id", "session", MARK) == {
        "version": "2",
        "t": "app:1",
        "dockerfile": "Dockerfile",
        "extrahosts": "previewdrop-build:100::1234:5678:9abc:def0",
        "buildid": "id",
        "session": "session",
    }


def test_the_query_of_a_build_with_everything() -> None:
    order = Order(
        ("app:1", "app:2"),
        dockerfile="docker/Dockerfile.prod",
        target="runner",
        args={"PYTHON_VERSION": "3.12"},
        labels={"previewdrop.project": "shop"},
        secrets={"token": Secret("hunter2")},
        platform="linux/amd64",
        network="none",
        bounds=BOUNDS,
        timeout=60,
    )
    asked = query(order, "id", "session", MARK)
    assert asked == {
        "version": "2",
        "t": "app:1",
        "dockerfile": "docker/Dockerfile.prod",
        "target": "runner",
        "buildargs": {"PYTHON_VERSION": "3.12"},
        "labels": {"previewdrop.project": "shop"},
        "platform": "linux/amd64",
        "networkmode": "none",
        "extrahosts": "previewdrop-build:100::1234:5678:9abc:def0",
        "buildid": "id",
        "session": "session",
    }
    assert "hunter2" not in json.dumps(asked)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("app:2", {"repo": "app", "tag": "2"}),
        ("app", {"repo": "app"}),
        ("127.0.0.1:5000/app", {"repo": "127.0.0.1:5000/app"}),
        ("127.0.0.1:5000/app:2", {"repo": "127.0.0.1:5000/app", "tag": "2"}),
    ],
)
def test_one_more_name(name: str, asked: dict[str, object]) -> None:
    assert tagging(name) == asked


def test_marks_lead_nowhere_and_differ() -> None:
    marks = {steps.mark() for _ in range(100)}
    assert len(marks) == 100
    assert all(address.exploded.startswith("0100:0000:0000:0000:") for address in marks)


def test_what_bounds_a_step_in_groups_of_v2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.controllers").touch()
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type Size\n")
    monkeypatch.setattr(build_limits, "_SWAPS", swaps)
    group = tmp_path / "docker/buildkit/step1"
    written = [
        (group / "memory.max", str(MEMORY)),
        (group / "cpu.max", "150000 100000"),
        (group / "pids.max", "200"),
    ]
    assert list(files(tmp_path, GROUP, BOUNDS)) == written
    swaps.write_text("Filename Type Size\n/swap file 1\n")
    assert (group / "memory.swap.max", "0") in list(files(tmp_path, GROUP, BOUNDS))


def test_what_bounds_a_step_in_groups_of_v1(tmp_path: Path) -> None:
    written = [
        (tmp_path / "memory/docker/buildkit/step1/memory.limit_in_bytes", str(MEMORY)),
        (tmp_path / "cpu/docker/buildkit/step1/cpu.cfs_period_us", "100000"),
        (tmp_path / "cpu/docker/buildkit/step1/cpu.cfs_quota_us", "150000"),
        (tmp_path / "pids/docker/buildkit/step1/pids.max", "200"),
    ]
    assert list(files(tmp_path, GROUP, BOUNDS)) == written
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.memsw.limit_in_bytes").touch()
    swap = tmp_path / "memory/docker/buildkit/step1/memory.memsw.limit_in_bytes"
    assert list(files(tmp_path, GROUP, BOUNDS))[1] == (swap, str(MEMORY))


def test_a_group_that_systemd_names(tmp_path: Path) -> None:
    """BuildKit starts runc without systemd's driver, so that the name is a folder's."""
    ((file, _),) = files(tmp_path, "system.slice:docker:abc", Bounds(processes=1))
    assert file == tmp_path / "pids/system.slice:docker:abc/pids.max"


def test_nothing_is_bounded_that_nobody_asked_to(tmp_path: Path) -> None:
    assert list(files(tmp_path, GROUP, Bounds())) == []


@pytest.mark.parametrize(
    ("file", "content", "killed"),
    [
        ("memory/docker/buildkit/step1/memory.oom_control", "under_oom 0\noom_kill 0\n", False),
        ("memory/docker/buildkit/step1/memory.oom_control", "under_oom 0\noom_kill 2\n", True),
        ("docker/buildkit/step1/memory.events", "oom 3\noom_kill 0\noom_group_kill 0\n", False),
        ("docker/buildkit/step1/memory.events", "oom 3\noom_kill 1\noom_group_kill 0\n", True),
    ],
)
def test_whether_a_process_was_killed(
    tmp_path: Path, file: str, content: str, killed: bool
) -> None:
    assert not killed_for_memory(tmp_path, GROUP)
    if file.endswith("events"):
        (tmp_path / "cgroup.controllers").touch()
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(content)
    assert killed_for_memory(tmp_path, GROUP) is killed


class Executor:
    """The Engine's folder of running steps, and control groups, made of plain files."""

    def __init__(self, path: Path) -> None:
        self.folder, self.cgroups = path / "executor", path / "cgroup"
        self.folder.mkdir()
        self.cgroups.mkdir()
        (self.cgroups / "cgroup.controllers").touch()

    def step(self, name: str, hosts: str) -> Path:
        """Begins a step as BuildKit does; returns its control group, which is not there yet."""
        (self.folder / f"hosts.{name}").write_text("127.0.0.1\tlocalhost buildkitsandbox\n" + hosts)
        bundle = self.folder / name
        bundle.mkdir()
        spec = {
            "mounts": [
                {"destination": "/proc", "source": "proc"},
                {"destination": "/etc/hosts", "source": str(self.folder / f"hosts.{name}")},
            ],
            "linux": {"cgroupsPath": f"/docker/buildkit/{name}"},
        }
        (bundle / "config.json").write_text(json.dumps(spec))
        return self.cgroups / "docker/buildkit" / name

    def watch(self) -> Watch:
        return Watch(self.folder, MARK, Bounds(memory=MEMORY), cgroups=self.cgroups)


@pytest.fixture
def executor(tmp_path: Path) -> Executor:
    return Executor(tmp_path)


def begin(group: Path) -> Path:
    group.mkdir(parents=True)
    return group / "memory.max"


def test_a_step_is_bounded_as_soon_as_its_group_is_there(executor: Executor) -> None:
    group = executor.step("a", f"{MARK}\tpreviewdrop-build\n")
    watch = executor.watch()
    watch.look()
    assert watch.bound == 0
    limit = begin(group)
    watch.look()
    assert (watch.bound, limit.read_text()) == (1, str(MEMORY))
    limit.write_text("changed by somebody")
    watch.look()
    assert (watch.bound, limit.read_text()) == (1, "changed by somebody")


@pytest.mark.parametrize(
    "hosts",
    [
        "",
        f"{OTHER}\tpreviewdrop-build\n",
        f"{MARK}\tsomething-else\n",
        f"{MARK}\tsomething previewdrop-build\n",
    ],
)
def test_steps_of_others_are_left_alone(executor: Executor, hosts: str) -> None:
    limit = begin(executor.step("b", hosts))
    watch = executor.watch()
    watch.look()
    watch.look()
    assert not limit.exists()
    assert watch.bound == 0


def test_a_step_that_is_just_being_written_is_met_again(executor: Executor) -> None:
    limit = begin(executor.step("a", f"{MARK}\tpreviewdrop-build\n"))
    config = executor.folder / "a/config.json"
    whole = config.read_text()
    watch = executor.watch()
    for part in ("", whole[:20]):
        config.write_text(part)
        watch.look()
    config.unlink()
    watch.look()
    assert not limit.exists()
    config.write_text(whole)
    watch.look()
    assert limit.read_text() == str(MEMORY)


def test_a_step_that_ends_is_forgotten_and_that_it_was_killed_is_not(executor: Executor) -> None:
    group = executor.step("a", f"{MARK}\tpreviewdrop-build\n")
    begin(group)
    watch = executor.watch()
    watch.look()
    (group / "memory.events").write_text("oom_kill 1\n")
    watch.look()
    (executor.folder / "a/config.json").unlink()
    (executor.folder / "a").rmdir()
    watch.look()
    assert watch.killed


def test_every_process_of_a_step_is_ended_but_none_of_another_namespace(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def kill(process: int, number: int) -> None:
        ended.append(process)
        if process == 11:
            raise ProcessLookupError

    monkeypatch.setattr(build_limits.os, "kill", kill)
    for name, hosts in (("a", f"{MARK}\tpreviewdrop-build\n"), ("b", "")):
        begin(executor.step(name, hosts)).with_name("cgroup.procs").write_text("0\n11\n12\n")
    executor.watch().kill()
    assert ended == [11, 12]


def test_an_engine_without_its_folder_runs_no_steps(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "gone", MARK, BOUNDS)
    watch.look()
    watch.kill()
    assert watch.bound == 0
