"""Repositories of every shape that an image is generated for, small enough to build in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

APP = """
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess

{imports}


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


async def app(scope, receive, send):
    assert scope["type"] == "http"
    pathlib.Path("written").touch()
    script = shutil.which("shop")
    said = subprocess.run(("shop",), capture_output=True, text=True) if script else None
    body = {{
        "change": {change},
        "uid": os.getuid(),
        "folder": os.getcwd(),
        "versions": {{name: version(name) for name in ("shop", "uvicorn", "click", "six", "h11")}},
        "script": said and said.stdout,
        "client": scope["client"][0],
    }}
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": json.dumps(body).encode()}})
"""
SCRIPT = "def main():\n    print('the shop is open')\n"
UVICORN = "0.54.0", "505bdb0f318731d45f1f712071fc781a8981f6847a31c902c9f5e652d4f67faf"
CLICK = "8.5.1", "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37"
H11 = "0.16.0", "63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86"
PINNED = {"uvicorn": UVICORN, "click": CLICK, "h11": H11}
BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def app(change: int = 1, imports: str = "") -> str:
    return APP.format(change=change, imports=imports)


def project(name: str, *dependencies: str, more: str = "") -> str:
    listed = ", ".join(f'"{each}"' for each in dependencies)
    head = f'[project]\nname = "{name}"\nversion = "1.2"\nrequires-python = ">=3.11"\n'
    return f"{head}dependencies = [{listed}]\n{more}"


def poetry_lock() -> str:
    """As Poetry 2.1 writes it; the hash is that of what pyproject.toml asks for."""
    packages = [
        f'[[package]]\nname = "{name}"\nversion = "{version}"\ndescription = ""\n'
        f'optional = false\npython-versions = ">=3.10"\ngroups = ["main"]\nfiles = [\n'
        f'  {{file = "{name}-{version}-py3-none-any.whl", hash = "sha256:{digest}"}},\n]\n'
        for name, (version, digest) in PINNED.items()
    ]
    local = (
        '[[package]]\nname = "common"\nversion = "1"\ndescription = ""\noptional = false\n'
        'python-versions = ">=3.10"\ngroups = ["main"]\nfiles = []\ndevelop = true\n\n'
        '[package.source]\ntype = "directory"\nurl = "libs/common"\n'
    )
    tail = (
        '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11"\n'
        'content-hash = "1996162a953ac06086d73e5a3a6d94bcbdebeaac003d20ede33373c158e89b26"\n'
    )
    return "\n".join((*packages, local, tail))


@dataclass(frozen=True)
class Shape:
    """A repository by its files, the one of them that a push changes, and what the app says."""

    files: Mapping[str, str]
    code: str = "main.py"
    root: str | None = None
    app: str = "main:app"
    imports: str = ""
    lock: bool = False
    folder: str = "/app"
    script: str | None = None
    versions: Mapping[str, str | None] = field(default_factory=lambda: dict[str, str | None]())
    whole: bool = False


SCRIPTS = '[project.scripts]\nshop = "shop.commands:main"\n'
SHAPES = {
    "requirements": Shape(
        {
            "requirements.txt": "-r requirements/base.txt\n-c constraints.txt\n-e ./libs/common\n",
            "requirements/base.txt": "uvicorn\n",
            "constraints.txt": "click==8.1.8\n",
            "libs/common/pyproject.toml": project("common", "six", more=BUILD),
            "libs/common/src/common/__init__.py": "",
        },
        imports="import common",
        versions={"click": "8.1.8", "six": "1.17.0"},
    ),
    "requirements built": Shape(
        {
            "requirements.txt": "uvicorn\n./libs/common\n",
            "libs/common/setup.py": (
                "from setuptools import setup\n"
                "setup(name='common', version='1', py_modules=['common'], "
                "install_requires=['six'])\n"
            ),
            "libs/common/common.py": "",
        },
        imports="import common, six",
    ),
    "requirements above": Shape(
        {"requirements.txt": "uvicorn\n", "backend/__init__.py": ""},
        code="backend/main.py",
        root="backend",
        folder="/app/backend",
    ),
    "gunicorn": Shape(
        {
            "requirements.txt": "uvicorn\ngunicorn\nuvicorn-worker\n",
            "Procfile": "web: gunicorn main:app -k uvicorn_worker.UvicornWorker --reload\n",
        },
    ),
    "uv": Shape({"pyproject.toml": project("shop", "uvicorn")}, lock=True),
    "uv package": Shape(
        {
            "pyproject.toml": project("shop", "click", more=SCRIPTS + BUILD),
            "src/shop/__init__.py": "",
            "src/shop/commands.py": SCRIPT,
        },
        code="src/shop/main.py",
        app="shop.main:app",
        lock=True,
        script="the shop is open\n",
        versions={"shop": "1.2"},
    ),
    "uv workspace": Shape(
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*", "libs/*"]\n',
            "services/api/pyproject.toml": project(
                "shop",
                "uvicorn",
                "common",
                more=f"[tool.uv.sources]\ncommon = {{workspace = true}}\n{SCRIPTS}{BUILD}",
            ),
            "services/api/src/shop/__init__.py": "",
            "services/api/src/shop/commands.py": SCRIPT,
            "services/worker/pyproject.toml": project("worker", "h11"),
            "libs/common/pyproject.toml": project("common", "six", more=BUILD),
            "libs/common/src/common/__init__.py": "",
        },
        code="services/api/src/shop/main.py",
        root="services/api",
        app="shop.main:app",
        imports="import common",
        lock=True,
        folder="/app/services/api",
        script="the shop is open\n",
        versions={"shop": "1.2", "six": "1.17.0"},
    ),
    "poetry": Shape(
        {
            "pyproject.toml": (
                '[tool.poetry]\nname = "shop"\nversion = "1.2"\ndescription = ""\nauthors = []\n'
                'readme = "README.md"\npackages = [{include = "shop", from = "source"}]\n'
                '[tool.poetry.dependencies]\npython = ">=3.11"\nuvicorn = "^0.54"\n'
                'common = {path = "libs/common", develop = true}\n'
                '[tool.poetry.scripts]\nshop = "shop.commands:main"\n'
            ),
            "poetry.lock": poetry_lock(),
            "source/shop/__init__.py": "",
            "source/shop/commands.py": SCRIPT,
            "libs/common/common/__init__.py": "",
            "libs/common/pyproject.toml": '[tool.poetry]\nname = "common"\nversion = "1"\n',
        },
        code="source/shop/main.py",
        app="shop.main:app",
        imports="import common",
        script="the shop is open\n",
        versions={"shop": "1.2", **{name: version for name, (version, _) in PINNED.items()}},
    ),
    "poetry without a lock": Shape(
        {
            "pyproject.toml": (
                '[tool.poetry]\nname = "shop"\nversion = "1.2"\n'
                '[tool.poetry.dependencies]\npython = "^3.11"\nclick = "~8.1.0"\n'
            )
        },
        versions={"click": "8.1.8"},
    ),
    "pipfile": Shape(
        {
            "Pipfile": '[packages]\nuvicorn = "*"\n[requires]\npython_version = "3.11"\n',
            "Pipfile.lock": json.dumps(
                {
                    "_meta": {
                        "hash": {"sha256": ""},
                        "pipfile-spec": 6,
                        "requires": {"python_version": "3.11"},
                        "sources": [],
                    },
                    "default": {
                        name: {"version": f"=={version}", "hashes": [f"sha256:{digest}"]}
                        for name, (version, digest) in PINNED.items()
                    },
                    "develop": {},
                }
            ),
        },
        versions={name: version for name, (version, _) in PINNED.items()},
    ),
    "pyproject": Shape(
        {
            "pyproject.toml": project(
                "shop",
                "click==8.1.8",
                "common",
                more=f'[tool.uv.sources]\ncommon = {{path = "libs/common"}}\n{SCRIPTS}{BUILD}',
            ),
            "shop/__init__.py": "",
            "shop/commands.py": SCRIPT,
            "libs/common/pyproject.toml": project("common", "six", more=BUILD),
            "libs/common/common.py": "",
        },
        code="shop/main.py",
        app="shop.main:app",
        imports="import common",
        script="the shop is open\n",
        versions={"shop": "1.2", "click": "8.1.8", "six": "1.17.0"},
    ),
    "pyproject built": Shape(
        {
            "pyproject.toml": (
                '[project]\nname = "shop"\nversion = "1.2"\ndynamic = ["dependencies"]\n'
                '[project.optional-dependencies]\nweb = ["fastapi", "uvicorn"]\n'
                '[build-system]\nrequires = ["setuptools"]\n'
                'build-backend = "setuptools.build_meta"\n'
            ),
            "setup.py": "from setuptools import setup\nsetup(install_requires=['click', 'six'])\n",
            "shop/__init__.py": "",
        },
        code="shop/main.py",
        app="shop.main:app",
        versions={"shop": "1.2", "six": "1.17.0"},
        whole=True,
    ),
    "setup.cfg": Shape(
        {
            "setup.cfg": (
                "[metadata]\nname = shop\nversion = 1.2\n[options]\ninstall_requires =\n    six\n"
                "[options.entry_points]\nconsole_scripts =\n    shop = shop.commands:main\n"
            ),
            "setup.py": "from setuptools import setup\nsetup()\n",
            "shop/__init__.py": "",
            "shop/commands.py": SCRIPT,
        },
        code="shop/main.py",
        app="shop.main:app",
        script="the shop is open\n",
        versions={"shop": "1.2", "six": "1.17.0"},
    ),
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files by their path in a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
