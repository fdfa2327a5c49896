"""The exact command lines of the process runtime."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.drivers.process import child, commands
from previewdrop.drivers.process.installation import Installation
from previewdrop.drivers.process.walls import (
    Machine,
    Mode,
    Walls,
    sandbox_arguments,
    sandboxed,
)

FACTS = AppFacts("", AppObject("app.main", "app"), Dependencies(Lock.UV, ()))


def test_an_environment_is_made_and_filled() -> None:
    assert commands.make_environment("uv", "/usr/bin/python3.12", "/c/e") == (
        "uv", "venv", "--quiet", "--relocatable", "--no-project", "--no-progress",
        "--no-python-downloads", "--python", "/usr/bin/python3.12", "/c/e",
    )  # fmt: skip
    assert commands.add("uv", "/c/e/bin/python", "uvicorn") == (
        "uv", "pip", "install", "--no-progress", "--no-python-downloads", "--compile-bytecode",
        "--python", "/c/e/bin/python", "uvicorn",
    )  # fmt: skip


def test_a_lock_is_synced_without_the_repository_s_own_packages() -> None:
    sync = commands.install("uv", "/c/e/bin/python", Installation({}, lock=True), "", None)
    assert sync == (
        "uv", "sync", "--no-progress", "--no-python-downloads", "--frozen", "--no-dev",
        "--no-install-local", "--compile-bytecode",
    )  # fmt: skip
    member = commands.install("uv", "/c/e/bin/python", Installation({}, lock=True), "ws", "api")
    assert member == (*sync, "--project", "ws", "--package", "api")


def test_files_are_handed_to_pip() -> None:
    installation = Installation(
        {},
        requirements=("a.in", "b.in"),
        constraints=("c.txt",),
        excludes=("e.txt",),
        indexes=("https://own.example",),
        dependencies=False,
    )
    assert commands.install("uv", "py", installation, "", None) == (
        "uv", "pip", "install", "--no-progress", "--no-python-downloads", "--compile-bytecode",
        "--python", "py", "-r", "a.in", "-r", "b.in", "-c", "c.txt", "--excludes", "e.txt",
        "--index", "https://own.example", "--no-deps",
    )  # fmt: skip


def test_uvicorn_serves_the_app() -> None:
    assert commands.server_command(FACTS, 20001, 30) == (
        "python", "-m", "uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", "20001",
        "--proxy-headers", "--forwarded-allow-ips", "127.0.0.1",
        "--timeout-graceful-shutdown", "29",
    )  # fmt: skip


def test_a_factory_is_called_and_nothing_reloads() -> None:
    facts = replace(FACTS, app=AppObject("app.main", "create_app", factory=True))
    argv = commands.server_command(facts, 20001)
    assert argv[3:5] == ("app.main:create_app", "--factory")
    assert "--reload" not in argv


def test_the_repository_s_own_command_is_filled_in() -> None:
    facts = replace(FACTS, command=("gunicorn", "-b", "{host}:{port}", "app.main:app"))
    assert commands.server_command(facts, 20001) == (
        "gunicorn", "-b", "127.0.0.1:20001", "app.main:app",
    )  # fmt: skip


MACHINE = Machine(
    links=(("usr/bin", "/bin"),),
    folders=("/usr",),
    settings=("/etc/ssl/certs", "/opt/certs/own.pem"),
    copied=("/etc/hosts",),
    sealed=("/proc/sys",),
    hidden=("/proc/kcore",),
)
WALLS = Walls(
    folder="/h/checkouts/7/backend",
    home="/h/runs/7/home",
    temporary="/h/runs/7/tmp",
    etc="/h/runs/7/etc",
    environment={"B": "2", "A": "1"},
    read=("/root/py/3.12", "/usr/local/py", "/h/environments/k"),
    write=("/h/checkouts/7",),
    account=1_900_000_007,
    shared=4096,
)
INSIDE = (
    "--ro-bind", "/usr", "/usr",
    "--symlink", "usr/bin", "/bin",
    "--ro-bind", "/h/runs/7/etc", "/etc",
    "--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs",
    "--perms", "0755", "--dir", "/opt", "--perms", "0755", "--dir", "/opt/certs",
    "--ro-bind", "/opt/certs/own.pem", "/opt/certs/own.pem",
    "--proc", "/proc",
)  # fmt: skip
SEALED = ("--ro-bind", "/proc/sys", "/proc/sys", "--ro-bind", "/dev/null", "/proc/kcore")
OWN = (
    "--dev", "/dev", "--perms", "1777", "--size", "4096", "--tmpfs", "/dev/shm",
    "--remount-ro", "/dev",
    "--bind", "/h/runs/7/tmp", "/tmp",
    "--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp",
    "--perms", "0755", "--dir", "/home", "--bind", "/h/runs/7/home", "/home/app",
    "--perms", "0755", "--dir", "/root", "--perms", "0755", "--dir", "/root/py",
    "--ro-bind", "/root/py/3.12", "/root/py/3.12",
    "--perms", "0755", "--dir", "/h", "--perms", "0755", "--dir", "/h/environments",
    "--ro-bind", "/h/environments/k", "/h/environments/k",
    "--perms", "0755", "--dir", "/h/checkouts",
    "--bind", "/h/checkouts/7", "/h/checkouts/7",
    "--remount-ro", "/",
    "--clearenv", "--setenv", "A", "1", "--setenv", "B", "2",
    "--chdir", "/h/checkouts/7/backend",
)  # fmt: skip
NAMESPACES = (
    "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
    "--hostname", "preview", "--new-session",
)  # fmt: skip


def test_the_walls_of_an_account() -> None:
    assert sandbox_arguments(Mode.ACCOUNT, MACHINE, WALLS) == (
        "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
        "--cap-add", "CAP_SETPCAP",
        *NAMESPACES, *INSIDE, *OWN,
    )  # fmt: skip


def test_the_walls_of_a_user_namespace() -> None:
    assert sandbox_arguments(Mode.NAMESPACE, MACHINE, replace(WALLS, bound=True)) == (
        "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns",
        *NAMESPACES, "--die-with-parent", *INSIDE, *SEALED, *OWN,
    )  # fmt: skip


def test_mounts_below_its_own_folders_are_out_of_its_hands() -> None:
    walls = replace(
        WALLS,
        read=("/home/app/.local/share/uv/python", "/tmp/d/environments/k", "/tmp/one"),
        write=("/tmp/d/checkouts/7",),
    )
    arguments = sandbox_arguments(Mode.NAMESPACE, MACHINE, walls)
    own = arguments.index("/home/app")
    assert arguments[own + 1 : arguments.index("--clearenv")] == (
        "--perms", "0755", "--tmpfs", "/home/app/.local", "--perms", "0755", "--tmpfs", "/tmp/d",
        "--perms", "0755", "--dir", "/home/app",
        "--perms", "0755", "--dir", "/home/app/.local/share",
        "--perms", "0755", "--dir", "/home/app/.local/share/uv",
        "--ro-bind", "/home/app/.local/share/uv/python", "/home/app/.local/share/uv/python",
        "--perms", "0755", "--dir", "/tmp/d/environments",
        "--ro-bind", "/tmp/d/environments/k", "/tmp/d/environments/k",
        "--ro-bind", "/tmp/one", "/tmp/one",
        "--perms", "0755", "--dir", "/tmp/d/checkouts",
        "--bind", "/tmp/d/checkouts/7", "/tmp/d/checkouts/7",
        "--remount-ro", "/home/app/.local", "--remount-ro", "/tmp/d",
        "--remount-ro", "/",
    )  # fmt: skip


def test_nothing_secret_is_on_the_command_line() -> None:
    assert sandboxed(Mode.NAMESPACE, "bwrap", "", 1000, ("true",)) == (
        "bwrap", "--json-status-fd", "3", "--args", "4", "--", "true",
    )  # fmt: skip
    assert sandboxed(Mode.ACCOUNT, "bwrap", "/usr/bin/setpriv", 7, ("true",)) == (
        "bwrap", "--json-status-fd", "3", "--args", "4", "--",
        "/usr/bin/setpriv", "--reuid=7", "--regid=7", "--clear-groups", "--inh-caps=-all",
        "--bounding-set=-all", "--no-new-privs", "--", "true",
    )  # fmt: skip


def test_a_launched_process_is_written_down_before_it_runs(tmp_path: Path) -> None:
    record, entry = tmp_path / "record", tmp_path / "cgroup.procs"
    argv = child.launched(record, [str(entry)], ("/bin/sh", "-c", f"cat {record}; umask; echo $$"))
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    born, _ = child.parse_stat(printed[0])
    assert born.pid == int(printed[2])
    assert born.started > 0
    assert printed[1] == "0022"
    assert entry.read_text() == "0\n"
    assert child.read_record(record) == born
    assert not born.alive


def test_a_process_that_cannot_enter_its_limits_does_not_run(tmp_path: Path) -> None:
    argv = child.launched(tmp_path / "record", [str(tmp_path / "no" / "procs")], ("/bin/echo", "x"))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")


def test_limits_are_set_where_they_can_be(tmp_path: Path) -> None:
    argv = child.limited(
        ("/bin/sh", "-c", "ulimit -n; ulimit -c; ulimit -d; pwd"),
        files=123,
        data=64 << 20,
        processes=100_000,
        folder=str(tmp_path),
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["123", "0", "65536", str(tmp_path)]
    assert done.stderr == ""
    assert child.limited(("x",), files=1)[:2] == ("/bin/sh", "-c")


def test_a_record_of_another_process_is_not_this_one() -> None:
    own, state = child.parse_stat(Path("/proc/self/stat").read_text())
    assert (own.pid, state) == (os.getpid(), "R")
    assert own.alive
    assert not replace(own, started=own.started + 1).alive
    assert not replace(own, pid=2**22 + 1).alive


def test_a_program_s_name_may_hold_anything() -> None:
    line = "12 (a) b (c)) S " + " ".join(str(n) for n in range(4, 30))
    assert child.parse_stat(line) == (child.Born(12, 22), "S")
    assert child.parse_stat("12") == (child.Born(12, 0), "R")
    with pytest.raises(ValueError):
        child.parse_stat("")
