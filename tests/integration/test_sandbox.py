"""What a preview cannot do, tried from inside of one."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - tests look at small files and start small programs

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sandbox_modes
from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.naming import names_for
from previewdrop.domain.spec import MIB, Limits, Process, RunSpec
from previewdrop.drivers.base import ProcessState
from previewdrop.drivers.process import keyring
from previewdrop.drivers.process import sandbox as sandboxes
from previewdrop.drivers.process.cgroups import find_cgroups
from previewdrop.drivers.process.interpreters import own_interpreter
from previewdrop.drivers.process.runtime import ProcessRuntime
from previewdrop.drivers.process.sandbox import Sandbox, find_sandbox
from previewdrop.drivers.process.walls import Mode

pytestmark = pytest.mark.skipif(
    not find_sandbox("auto").active, reason="this machine has no sandbox"
)


@dataclass
class Preview:
    runtime: ProcessRuntime
    home: Home
    spec: RunSpec

    async def sh(self, script: str, **more: str) -> list[str]:
        """The lines that a script prints inside the preview; it must succeed."""
        lines: list[str] = []
        code = await self.status(script, lines, **more)
        assert code == 0, lines
        return lines

    async def status(self, script: str, lines: list[str] | None = None, **more: str) -> int:
        log = print if lines is None else lines.append
        spec = replace(self.spec, environment={**self.spec.environment, **more})
        return await self.runtime.run(spec, Process("test", script), log, 60)


@pytest.fixture(params=sandbox_modes.usable(), ids=sandbox_modes.name)
async def preview(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Preview]:
    sandbox_modes.use(request.param, monkeypatch)
    monkeypatch.setenv("PREVIEWDROP_TEST_SECRET", "of the server")
    home = Home(tmp_path / "home").create()
    runtime = ProcessRuntime(home)
    specs = [spec_for(home, number) for number in (1, 2)]
    for spec in specs:
        await runtime.ensure(spec)
    yield Preview(runtime, home, specs[0])
    for spec in specs:
        await runtime.remove({"deployment": spec.deployment})
    await runtime.close()


def spec_for(home: Home, number: int) -> RunSpec:
    environment = home.environments / "key"
    (environment / "bin").mkdir(parents=True, exist_ok=True)
    python = environment / "bin" / "python"
    if not python.is_symlink():
        python.symlink_to(own_interpreter().path)
    source = home.checkouts / str(number)
    source.mkdir(parents=True)
    (source / "secret.txt").write_text(f"secret of {number}\n")
    return RunSpec(
        installation=home.installation,
        names=names_for("shop", f"pr-{number}", "localhost"),
        deployment=number,
        source=str(source),
        root="",
        import_path=("",),
        artifact={
            "path": str(environment),
            "python": str(python),
            "prefix": own_interpreter().prefix,
        },
        environment={"COLOUR": "red"},
        port=20000,
        web=Process("web", "sleep 4567"),
    )


async def test_sees_its_own_folder_and_nothing_of_the_server_s(preview: Preview) -> None:
    other = preview.home.checkouts / "2"
    (preview.home.path / "secret.key").write_text("key")
    places = [preview.home.path / "secret.key", preview.home.runs / "2", other]
    for place in (*places, "/etc/shadow", "/etc/ssl/private", "/sys", "/run", "/root/.bashrc"):
        assert await preview.status(f"test -e '{place}'") == 1, place
    assert await preview.sh("cat secret.txt; ls /home; ls -A ~") == ["secret of 1", "app"]
    seen = await preview.sh(f"ls -A {preview.home.runs} {preview.home.runs}/1 {other.parent}")
    assert [line for line in seen if line and not line.endswith(":")] == ["1", "1", "overlay"]


async def one(preview: Preview, script: str) -> str:
    (line,) = await preview.sh(script)
    return line


async def test_root_s_home_and_other_homes_are_empty(preview: Preview) -> None:
    listed = await preview.sh("find /root /home -type f 2>/dev/null | grep -v /versions/ || true")
    assert listed == []


async def test_writes_only_what_is_its_own(preview: Preview) -> None:
    environment = preview.spec.artifact["path"]
    for place in ("/usr/x", "/etc/x", f"{environment}/x", f"{own_interpreter().prefix}/x", "/x"):
        assert await preview.status(f"echo x > '{place}'") != 0, place
    await preview.sh("echo x > here; echo x > /tmp/x; echo x > ~/x; echo x > /dev/shm/x")
    await preview.sh(
        "test -e here; test -e /tmp/x; test -e ~/x; test -e $TMPDIR/x; ! test -e /var/tmp/y"
    )
    assert Path(preview.spec.source, "here").exists()


async def test_links_in_its_own_folders_lead_no_mount_out(preview: Preview, tmp_path: Path) -> None:
    """bubblewrap follows links as it makes mount points, and its root has the machine's inside.

    The data folder must lie below the preview's /tmp for that; those of tests do.
    """
    if not preview.home.path.is_relative_to("/tmp"):
        pytest.skip("this machine's temporary folder is not /tmp")
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    below = preview.home.path.relative_to("/tmp").parts
    for depth in range(1, len(below) + 1):
        folder = "/".join(("/tmp", *below[:depth]))
        assert await preview.status(f"mv {folder} {folder}-moved") != 0
        await preview.status(f"ln -s /oldroot{outside} {folder}")
    assert await preview.sh("cat secret.txt") == ["secret of 1"]
    assert not list(outside.iterdir())
    assert await preview.status(f"touch {preview.home.path}/planted") != 0


async def test_shared_memory_is_bounded(preview: Preview) -> None:
    size = 8 * MIB
    spec = replace(preview.spec, limits=Limits(memory=2 * size))
    script = "head -c 33554432 /dev/zero > /dev/shm/x; wc -c < /dev/shm/x; echo x > /dev/planted"
    lines: list[str] = []
    await preview.runtime.run(spec, Process("x", script), lines.append, 30)
    assert str(size) in lines
    assert any("/dev/planted: Read-only file system" in line for line in lines) or any(
        "/dev/planted: Permission denied" in line for line in lines
    ), lines


async def test_cannot_change_the_kernel(preview: Preview) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    assert await preview.status("test -w /proc/sys/kernel/core_pattern") == 1
    assert await preview.status("test -w /proc/sysrq-trigger") == 1
    assert await preview.status("test -s /proc/kcore && head -c 1 /proc/kcore") != 0
    own = ("/proc/sys/fs/mqueue/", "/proc/sys/kernel/")  # of its own IPC and UTS namespaces
    names = ("msg", "sem", "shm", "auto_msgmni", "hostname", "domainname", "ns_last_pid", "pid_max")
    writable = await preview.sh(
        "for f in $(find /proc -maxdepth 1 -type f; find /proc/sys -type f 2>/dev/null); "
        'do test -f "$f" && test -w "$f" && echo "$f"; done; true'
    )
    foreign = [
        path
        for path in writable
        if not path.startswith(own[0]) and not path.removeprefix(own[1]).startswith(names)
    ]
    assert foreign == []
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


async def test_has_no_rights(preview: Preview) -> None:
    status = dict(line.split(":", 1) for line in await preview.sh("cat /proc/self/status"))
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapInh"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert await one(preview, "id -un") == "app"
    assert await preview.status("mount -t tmpfs none /tmp") != 0


async def test_sees_and_signals_no_process_but_its_own(preview: Preview) -> None:
    listed = await preview.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo")
    assert "4567" not in " ".join(listed)
    assert await preview.status(f"kill -0 {os.getpid()}") != 0


async def test_the_environment_is_clean(preview: Preview) -> None:
    names = {line.partition("=")[0] for line in await preview.sh("env")}
    assert names == {
        "COLOUR", "HOME", "LANG", "PATH", "PREVIEWDROP_RUN", "PWD", "PYTHONPATH",
        "PYTHONUNBUFFERED", "TMPDIR", "VIRTUAL_ENV",
    }  # fmt: skip
    assert await preview.sh("echo $HOME $TMPDIR $COLOUR") == ["/home/app /tmp red"]


async def test_gets_no_descriptors_but_the_three(preview: Preview) -> None:
    """Also none that the server was started with, as a shell, tmux or systemd may leave them."""
    read, write = os.pipe()
    left = [fcntl.fcntl(write, fcntl.F_DUPFD, number) for number in (3, 9, 47, 251)]
    try:
        code = "import os; print(*(n for n in range(4096) if os.path.exists(f'/proc/self/fd/{n}')))"
        assert await preview.sh(f'exec python -c "{code}"') == ["0 1 2"]
        assert await preview.sh("readlink /proc/$$/fd/0") == ["/dev/null"]
    finally:
        for descriptor in (read, write, *left):
            os.close(descriptor)


async def test_gets_no_keys_of_the_server_s_session(preview: Preview) -> None:
    number = keyring._KEYCTL.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of the system call is not known")
    session = -3  # KEY_SPEC_SESSION_KEYRING; 0 is KEYCTL_GET_KEYRING_ID
    own = ctypes.CDLL(None).syscall(number, 0, session, 0)
    if own == -1:
        pytest.skip("this machine has no keyrings")
    code = f"import ctypes; print(ctypes.CDLL(None).syscall({number}, 0, {session}, 0))"
    seen = {await one(preview, f"python -c '{code}'") for _ in range(2)}
    assert len(seen) == 2
    assert not seen & {str(own), "-1"}


async def test_variables_do_not_reach_what_stands_outside(preview: Preview) -> None:
    """A template may set LD_PRELOAD: it must be loaded inside the walls alone."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = Path(preview.spec.source, "evil.c"), Path(preview.spec.source, "evil.so")
    trace = preview.home.path / "trace"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void f(void)"
        f'{{ FILE *t = fopen("{trace}", "a"); if (t) fclose(t); }}\n'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    library.chmod(0o755)
    await preview.sh("echo $LD_PRELOAD", LD_PRELOAD=str(library))
    assert not trace.exists()


async def test_secrets_are_on_no_command_line(preview: Preview) -> None:
    begun, secret = asyncio.Event(), "s3cr3t-of-the-preview"
    spec = replace(preview.spec, environment={"TOKEN": secret})
    running = asyncio.create_task(
        preview.runtime.run(spec, Process("x", "echo; sleep 999"), lambda _: begun.set(), 60)
    )
    await begun.wait()
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    running.cancel()
    assert not [line for line in lines if secret.encode() in line]
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_files_are_bounded(preview: Preview) -> None:
    spec = replace(preview.spec, limits=Limits(files=100))
    lines: list[str] = []
    await preview.runtime.run(spec, Process("x", "ulimit -n; ulimit -c"), lines.append, 30)
    assert lines == ["100", "0"]


async def test_too_many_processes_are_refused(preview: Preview) -> None:
    limits = Limits(processes=20)
    code = "import os\nfor n in range(100):\n  if os.fork() == 0:\n    import time; time.sleep(60)"
    await preview.runtime.remove({"deployment": 1})
    spec = replace(preview.spec, limits=limits, web=Process("web", "true"))
    Path(spec.source).mkdir(exist_ok=True)
    command = Process("x", ("python", "-c", code))
    lines: list[str] = []
    assert await preview.runtime.run(spec, command, lines.append, 30) == 1
    assert any("BlockingIOError" in line for line in lines)


@pytest.mark.skipif(find_cgroups() is None, reason="this machine has no cgroups")
async def test_too_much_memory_is_noticed_and_named(preview: Preview) -> None:
    await preview.runtime.remove({"deployment": 1})
    hog = ("python", "-c", "x = bytearray(1)\nwhile True: x += b'x' * (8 << 20)")
    spec = replace(preview.spec, limits=Limits(memory=64 * MIB), web=Process("web", hog))
    handle = await preview.runtime.ensure(spec)
    ended = await preview.runtime.wait(handle)
    assert ended.state is ProcessState.EXITED
    assert ended.exit_code == -signal.SIGKILL
    assert ended.reason == "killed for memory, limit 64 MiB"


async def test_everything_inside_dies_with_the_server(preview: Preview) -> None:
    """A command is bound to its server: killed, the server leaves no command behind."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from previewdrop.config.home import Home\n"
        "from previewdrop.domain.spec import Process\n"
        "from previewdrop.drivers.process.runtime import ProcessRuntime\n"
        f"sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}\n"
        "from test_sandbox import spec_for\n"
        "home = Home(Path(sys.argv[1]))\n"
        "asyncio.run(ProcessRuntime(home).run(spec_for(home, 7), "
        "Process('x', 'echo go; sleep 7654'), lambda line: print(line, flush=True), 99))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(preview.home.path)], stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            assert await asyncio.to_thread(server.stdout.readline) == b"go\n"
            await until(lambda: sleeps("7654"))
        finally:
            server.kill()
    await until(lambda: not sleeps("7654"))
    await preview.runtime.sweep([1, 2])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.02)


def sleeps(seconds: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
        except OSError:
            continue
    return False


async def test_the_network_is_that_of_the_machine(preview: Preview) -> None:
    """Written down, not wished for: see docs/decisions/0006-process-sandbox.md."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        await preview.sh(
            f"python -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}))'"
        )


def test_a_required_sandbox_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Sandbox(Mode.NONE, "Previews run without a sandbox: it needs Linux.")
    monkeypatch.setattr(sandboxes, "_probed", lambda: missing)
    with pytest.raises(ServerError, match="needs Linux"):
        find_sandbox("require")
    assert find_sandbox("auto") == missing
