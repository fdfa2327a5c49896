"""The sandboxes that this machine can do: every mode, not only the one that it would choose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewdrop.drivers.process import sandbox as sandboxes
from previewdrop.drivers.process.sandbox import Sandbox, find_sandbox
from previewdrop.drivers.process.walls import Mode


def usable() -> list[Sandbox]:
    best = find_sandbox("auto")
    if not best.active:
        return []
    modes = [Mode.ACCOUNT, Mode.NAMESPACE] if best.mode is Mode.ACCOUNT else [Mode.NAMESPACE]
    found = [replace(best, mode=mode) for mode in modes]
    return [sandbox for sandbox in found if sandboxes._try(sandbox) is None]


def name(sandbox: Sandbox) -> str:
    return sandbox.mode


def use(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets builders and runtimes find this one."""
    for module in ("builder", "runtime"):
        path = f"previewdrop.drivers.process.{module}.find_sandbox"
        monkeypatch.setattr(path, lambda _: sandbox)
