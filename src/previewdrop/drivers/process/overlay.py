"""What makes a project look installed that is not: its metadata and console scripts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

_ENTRY = re.compile(r"\s*(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(?:\[.*\])?\s*")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Overlay:
    """The files of one deployment's overlay by their path in it; those in `bin` can be run."""

    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Writes everything, readable by every account."""
        for name in ("", "bin", "lib"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name).chmod(0o755)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.parent.chmod(0o755)
            path.write_text(text)
            path.chmod(0o755 if name.startswith("bin/") else 0o644)


def overlay_for(project: object, python: str) -> Overlay:
    """The overlay for a project: `name`, `version` and `scripts` as in `AppFacts`.

    https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    facts = cast("Mapping[str, object]", project if isinstance(project, Mapping) else {})
    files: dict[str, str] = {}
    scripts = _scripts(facts.get("scripts"))
    for name, (module, attribute) in scripts.items():
        files[f"bin/{name}"] = _script(python, module, attribute)
    name = facts.get("name")
    if isinstance(name, str) and _NAME.fullmatch(name):
        version = str(facts.get("version") or "0.0.0").strip().splitlines()[0]
        plain = re.sub(r"[-_.]+", "_", name).lower()
        info = f"lib/{plain}-{re.sub(r'[^A-Za-z0-9.+!]+', '_', version)}.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files[f"{info}/INSTALLER"] = "previewdrop\n"
        files[f"{info}/RECORD"] = ""
        if scripts:
            lines = [f"{n} = {m}:{a}" for n, (m, a) in scripts.items()]
            text = "\n".join(("[console_scripts]", *lines, ""))
            files[f"{info}/entry_points.txt"] = text
    return Overlay(files)


def _scripts(value: object) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    if isinstance(value, Mapping):
        for name, target in cast("Mapping[object, object]", value).items():
            match = _ENTRY.fullmatch(str(target))
            if match and _SCRIPT.fullmatch(str(name)):
                found[str(name)] = (match["module"], match["attribute"])
    return found


def _script(python: str, module: str, attribute: str) -> str:
    """A script for sh that becomes Python: a shebang has room for 127 bytes of path only."""
    return (
        "#!/bin/sh\n"
        f"'''exec' '{python}' \"$0\" \"$@\"\n"
        "' '''\n"
        "import sys\n"
        f"from {module} import {attribute.split('.')[0]}\n"
        f"sys.exit({attribute}())\n"
    )
