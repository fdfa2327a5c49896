"""Processes are found by what they were started with, and are gone when they have ended."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from previewdrop.cli import demo_processes

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")

MARK = uuid.uuid4().hex


@pytest.fixture
def child() -> Generator[subprocess.Popen[bytes]]:
    """A process with a mark in its environment and its command line, and a child of its own."""
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'],"
        f" stdin=subprocess.PIPE); print('{MARK}', flush=True); input(); p.communicate(b'x\\n')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DEMO_MARK": MARK},
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == MARK.encode()
    yield process
    if process.poll() is None:
        process.communicate(b"x\n")
    process.stdout.close()


def test_found_by_variable_and_command_line(child: subprocess.Popen[bytes]) -> None:
    marked = {each.pid for each in demo_processes.with_variable(f"DEMO_MARK={MARK}")}
    assert child.pid in marked
    assert len(marked) == 2
    assert {each.pid for each in demo_processes.naming(MARK)} == {child.pid}
    assert demo_processes.with_variable(f"DEMO_MARK={MARK[:-1]}") == set()


def test_a_family_is_found_and_ends(child: subprocess.Popen[bytes]) -> None:
    family = demo_processes.family(child.pid)
    assert len(family) == 2
    assert family < demo_processes.family(os.getpid())
    assert demo_processes.running(family) == family
    child.communicate(b"x\n")
    assert demo_processes.running(family) == set()
    assert demo_processes.family(child.pid) == set()
