"""The small pure parts: keys, versions, lines, ports, cgroup settings, overlay, logs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.app import Dependencies, Lock
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.spec import MIB, Limits
from previewdrop.drivers.listeners import parse_listeners
from previewdrop.drivers.output import Lines, plain
from previewdrop.drivers.process import cgroups, interpreters, logs
from previewdrop.drivers.process.interpreters import Interpreter, fits
from previewdrop.drivers.process.key import environment_key
from previewdrop.drivers.process.overlay import overlay_for
from previewdrop.drivers.process.ports import Ports
from previewdrop.drivers.process.tree import remove_tree

PYTHON = Interpreter((3, 12, 1), "/usr/bin/python3.12", "/usr")
DEPENDENCIES = Dependencies(Lock.UV, ("uv.lock", "pyproject.toml"))
FILES = {
    "uv.lock": b"lock",
    "pyproject.toml": b'[project]\nname = "shop"\nversion = "1"\ndependencies = ["idna"]\n',
}


def test_the_key_is_that_of_the_dependencies_alone() -> None:
    key = environment_key(DEPENDENCIES, FILES, PYTHON, "shop")
    assert len(key) == 16
    released = FILES["pyproject.toml"].replace(b'"1"', b'"2"') + b"[tool.ruff]\nline-length = 9\n"
    assert (
        environment_key(DEPENDENCIES, FILES | {"pyproject.toml": released}, PYTHON, "shop") == key
    )


@pytest.mark.parametrize(
    "other",
    [
        lambda: environment_key(DEPENDENCIES, FILES | {"uv.lock": b"new"}, PYTHON, "shop"),
        lambda: environment_key(
            DEPENDENCIES,
            FILES | {"pyproject.toml": FILES["pyproject.toml"].replace(b"idna", b"h11")},
            PYTHON,
            "shop",
        ),
        lambda: environment_key(replace(DEPENDENCIES, package="api"), FILES, PYTHON, "shop"),
        lambda: environment_key(DEPENDENCIES, FILES, replace(PYTHON, version=(3, 12, 2)), "shop"),
        lambda: environment_key(DEPENDENCIES, FILES, PYTHON, "another"),
        lambda: environment_key(DEPENDENCIES, FILES, PYTHON, "shop", ("UV_INDEX_X_PASSWORD",)),
        lambda: environment_key(DEPENDENCIES, FILES | {"pyproject.toml": b"= 1"}, PYTHON, "shop"),
    ],
)
def test_whatever_decides_about_the_environment_decides_about_the_key(other) -> None:
    assert other() != environment_key(DEPENDENCIES, FILES, PYTHON, "shop")


@pytest.mark.parametrize(
    ("version", "wanted", "fitting"),
    [
        ((3, 12, 1), "3.12", True),
        ((3, 12, 1), "3.1", False),
        ((3, 12, 1), "3.12.1", True),
        ((3, 12, 1), "3.12.2", False),
        ((3, 12, 1), ">=3.11", True),
        ((3, 12, 1), ">=3.11,<3.12", False),
        ((3, 12, 1), ">=3.11, <4", True),
        ((3, 12, 1), "^3.11", True),
        ((3, 12, 1), "^4.0", False),
        ((3, 12, 1), "~3.12", True),
        ((3, 12, 1), "~3.11", False),
        ((3, 12, 1), "~=3.11", True),
        ((3, 12, 1), "~=3.11.0", False),
        ((3, 12, 1), "==3.12.*", True),
        ((3, 12, 1), "!=3.12.*", False),
        ((3, 12, 1), ">3.12", True),
        ((3, 12, 0), ">3.12", False),
        ((3, 12, 0), "<=3.12", True),
        ((3, 12, 1), "3.10 || 3.12", True),
        ((3, 12, 1), "pypy3.10", True),
    ],
)
def test_python_versions(version: tuple[int, ...], wanted: str, fitting: bool) -> None:
    assert fits(version, wanted) is fitting


async def test_the_server_s_own_python_is_the_first_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = Interpreter((3, 99, 0), "/opt/python3.99", "/opt")
    monkeypatch.setattr(interpreters, "_installed", lambda: (newer, PYTHON))
    own = interpreters.own_interpreter()
    assert await interpreters.choose(None) == own
    assert await interpreters.choose(">=3.8") == own
    assert await interpreters.choose("3.99") == newer
    with pytest.raises(StageFailed, match=rf"asks for Python 2\.7, and .*{own.text}.*, 3\.99\.0\."):
        await interpreters.choose("2.7")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[31;1mred\x1b[0m", "red"),
        (b"10 %\r20 %\r100 %\r", "100 %"),
        (b"tab\there\x07\x00", "tab\there"),
        (b"\xff\xfe caf\xc3\xa9", "�� café"),
        (b"\x1b]0;title\x07text", "text"),
        ("→ ✓".encode(), "→ ✓"),
    ],
)
def test_lines_are_plain_text(raw: bytes, text: str) -> None:
    assert plain(raw) == text


@given(st.lists(st.binary(max_size=40)), st.integers(min_value=1, max_value=200))
def test_output_is_bounded_however_it_comes(chunks: list[bytes], limit: int) -> None:
    got: list[str] = []
    lines = Lines(got.append, limit)
    for chunk in chunks:
        lines.feed(chunk)
    lines.close()
    whole = b"".join(chunks)
    *ended, rest = whole[:limit].split(b"\n")
    expected = [plain(line) for line in ended] + ([plain(rest)] if rest else [])
    if len(whole) >= limit:
        expected.append(f"… output beyond {limit} bytes dropped")
    assert got == expected


def test_a_long_line_is_cut_into_pieces() -> None:
    got: list[str] = []
    lines = Lines(got.append, 10 * MIB)
    lines.feed(b"x" * 20_000 + b"\nend\n")
    assert [len(line) for line in got] == [8192, 8192, 3616, 3]


def test_no_port_twice_in_a_short_time() -> None:
    ports = Ports()
    taken = {ports.take(()) for _ in range(50)}
    assert len(taken) == 50
    assert all(20000 <= port <= 29999 for port in taken)
    reserved = set(range(20000, 29990))
    assert ports.take(reserved - taken) not in reserved
    with pytest.raises(OSError, match="are taken"):
        ports.take(range(20000, 30000))


def test_listening_sockets_are_read() -> None:
    table = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1 x 100
   1: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4243 1 x 100
   2: 0100007F:1F91 0100007F:0016 01 00000000:00000000 00:00000000 00000000 0 0 4244 1 x 100
"""
    assert parse_listeners(table) == [("4242", "127.0.0.1:8080"), ("4243", "0.0.0.0:3000")]
    six = "h\n 0: 00000000000000000000000001000000:0BB8 0:0 0A 0:0 0:0 0 0 0 7 1 x"
    assert parse_listeners(six) == [("7", "[::1]:3000")]


def test_what_is_written_into_a_cgroup() -> None:
    limits = Limits(memory=64 * MIB, cpus=1.5, processes=10)
    assert list(cgroups.settings("memory", limits)) == [
        ("memory.limit_in_bytes", "67108864"),
        ("memory.memsw.limit_in_bytes", "67108864"),
    ]
    assert list(cgroups.settings("pids", limits)) == [("pids.max", "26")]
    assert list(cgroups.settings("cpu", limits)) == [
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
    ]
    assert list(cgroups.settings("unified", limits)) == [
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("pids.max", "26"),
        ("cpu.max", "150000 100000"),
    ]
    assert list(cgroups.settings("cpu", limits, 50))[-1] == ("cpu.shares", "512")
    assert list(cgroups.settings("unified", limits, 50))[-1] == ("cpu.weight", "50")


def test_own_groups_of_version_2() -> None:
    mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/server.scope\n"
    assert cgroups.own_folders(mounts, own) == {
        "unified": Path(
            "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/server.scope"
        )
    }


def test_own_groups_of_version_1_inside_a_container() -> None:
    mounts = (
        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    own = "5:memory:/docker/abc/inner\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n"
    assert cgroups.own_folders(mounts, own) == {
        "memory": Path("/sys/fs/cgroup/memory/inner"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
    }


def test_a_group_of_version_2(tmp_path: Path) -> None:
    """The files are plain ones here; the kernel's are used in the integration tests."""
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max"):
        (tmp_path / name).touch()
    group = cgroups.Group((("unified", tmp_path),))
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    group.create(Limits(memory=64 * MIB))
    assert (tmp_path / "memory.max").read_text() == "67108864"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +pids"
    (entry,) = group.entries("web")
    Path(entry).write_text("12\n13\n")
    assert group.pids() == {12, 13}
    assert not group.killed_for_memory("web")
    (tmp_path / "web" / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (tmp_path / "web" / "memory.stat").write_text("anon 4096\nfile 99\n")
    assert group.killed_for_memory("web")
    assert group.memory("web") == 4096


def test_a_project_that_is_not_installed_looks_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = {"name": "My.Shop", "version": "1.2", "scripts": {"shop": "shop.cli:run.main"}}
    overlay_for(project, sys.executable).write(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    assert importlib.metadata.version("my-shop") == "1.2"
    (entry,) = importlib.metadata.distribution("my-shop").entry_points
    assert (entry.name, entry.value) == ("shop", "shop.cli:run.main")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cli.py").write_text(
        "import sys\nclass run:\n    main = lambda: print(sys.argv[1])\n"
    )
    printed = subprocess.run(
        [tmp_path / "bin" / "shop", "it's here"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "it's here\n"


@pytest.mark.parametrize(
    "project",
    [
        None,
        {"name": None, "scripts": {}},
        {"name": "../evil", "version": "1"},
        {"scripts": {"../evil": "a:b", "x": "import os; os.system('x'):y", "y": "a"}},
    ],
)
def test_an_overlay_without_a_usable_name_is_empty(project: object) -> None:
    assert overlay_for(project, "python").files == {}


def test_a_version_cannot_lead_out_of_the_overlay() -> None:
    files = overlay_for({"name": "shop", "version": "../../1\nX: y"}, "python").files
    assert all(name.startswith("lib/shop-..") and name.count("/") == 2 for name in files)
    assert "X: y" not in "".join(files.values())


async def test_logs_are_rotated_and_read_across_the_cut(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("a") as process:
        for number in range(100):
            process.write(f"line {number}\n")
        process.flush()
        assert not logs.rotate(log, 10_000)
        assert logs.rotate(log, 1000)
        process.write("after\n")
    assert log.read_text() == "after\n"
    older = (tmp_path / "web.log.1").read_text().splitlines()
    assert 400 < sum(len(line) + 1 for line in older) <= 500
    read = [line async for _, line in logs.read([("web", log)])]
    assert read == [*older, "after"]
    assert older[-1] == "line 99"
    assert not logs.rotate(tmp_path / "none.log", 10)


async def test_following_ends_with_the_process_and_goes_on_over_a_cut(tmp_path: Path) -> None:
    log, steps = tmp_path / "web.log", iter(range(3))

    def running() -> bool:
        match next(steps, None):
            case 0:
                log.write_text("one\ntw")
            case 1:
                log.write_text("1\n")
            case _:
                with log.open("a") as file:
                    file.write("no end")
                return False
        return True

    assert [each async for each in logs.read([("web", log)], running)] == [
        ("web", "one"),
        ("web", "tw1"),
        ("web", "no end"),
    ]


def test_a_folder_that_a_process_closed_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "run" / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0)
    inner.parent.chmod(0o500)
    remove_tree(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    remove_tree(tmp_path / "run")
