"""What makes the project look installed in an image without building it: metadata and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from previewdrop.domain.dockerfile_install import ENVIRONMENT
from previewdrop.domain.dockerfile_lines import chain, printed

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ENTRY = re.compile(r"\s*([\w.]+)\s*:\s*(\w+)([\w.]*)\s*(?:\[.*\])?\s*")


@dataclass(frozen=True, slots=True)
class Distribution:
    """The project as it looks when it is installed: what finds its version or runs its scripts.

    `scripts` are entry points (`module:function`) by name.
    """

    name: str
    version: str
    scripts: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())


def distribution_instructions(distribution: Distribution | None) -> list[str]:
    """Instructions that write its metadata and commands into /venv.

    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    if distribution is None or not _NAME.fullmatch(distribution.name):
        return []
    name = re.sub(r"[-_.]+", "_", distribution.name).lower()
    version = distribution.version.strip().partition("\n")[0] or "0.0.0"
    info = f"{name}-{re.sub(r'[^A-Za-z0-9.+!]+', '_', version)}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {distribution.name}", f"Version: {version}"]
    commands = [
        f"cd {ENVIRONMENT}/lib/python3*/site-packages",
        f"mkdir {info}",
        printed(metadata, f"{info}/METADATA"),
    ]
    entries = {
        script: entry
        for script, target in distribution.scripts.items()
        if (entry := _ENTRY.fullmatch(target)) and _SCRIPT.fullmatch(script)
    }
    if entries:
        lines = [f"{script} = {entry[1]}:{entry[2]}{entry[3]}" for script, entry in entries.items()]
        commands.append(printed(["[console_scripts]", *lines], f"{info}/entry_points.txt"))
    for script, entry in entries.items():
        path = f"{ENVIRONMENT}/bin/{script}"
        code = [
            f"#!{ENVIRONMENT}/bin/python",
            "import sys",
            f"from {entry[1]} import {entry[2]}",
            f"sys.exit({entry[2]}{entry[3]}())",
        ]
        commands += [printed(code, path), f"chmod +x {path}"]
    note = "# The project's own metadata and commands. Its code is imported from where it stands."
    return [note, f"RUN {chain(commands)}"]
