"""What uv is given for each way of locking dependencies."""

from __future__ import annotations

import json

import pytest

from previewdrop.domain import poetry
from previewdrop.domain.app import Dependencies, Lock
from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.process.installation import (
    Installation,
    installation_for,
    local_files,
    local_path,
)


def plan(lock: Lock, contents: dict[str, str], **more: object) -> Installation:
    dependencies = Dependencies(lock, tuple(contents), **more)  # type: ignore[arg-type]
    return installation_for(dependencies, {name: t.encode() for name, t in contents.items()})


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("-e .", "."),
        ("--editable=./libs/x", "./libs/x"),
        ("-e ./libs/x[extra]", "./libs/x"),
        (".", "."),
        ("../other", "../other"),
        ("file:./libs/x", "./libs/x"),
        ("shared @ file:///srv/shared", "/srv/shared"),
        ("vendor/wheel-1-py3-none-any.whl", "vendor/wheel-1-py3-none-any.whl"),
        ("fastapi==0.115.0", None),
        ("fastapi[standard]>=0.115 ; python_version > '3.8'", None),
        ("x @ https://example.com/x-1.0.tar.gz", None),
        ("x @ git+https://example.com/x", None),
        ("-e git+https://example.com/x#egg=x", None),
        ("https://example.com/x-1-py3-none-any.whl", None),
        ("-r base.txt", None),
        ("--index-url https://example.com", None),
        ("# -e .", None),
        ("", None),
    ],
)
def test_finds_what_means_a_folder_of_the_repository(line: str, path: str | None) -> None:
    assert local_path(line) == path


def test_uv_lock_is_synced_as_it_is() -> None:
    planned = plan(Lock.UV, {"uv.lock": "version = 1", "pyproject.toml": ""})
    assert planned == Installation({"uv.lock": b"version = 1", "pyproject.toml": b""}, lock=True)


def test_requirements_lose_local_packages_and_gain_what_those_need() -> None:
    contents = {
        "api/requirements.txt": "\ufeffidna==3.7\r\n-e .\r\n-e ../libs/x\r\n",
        "api/pyproject.toml": "",
        "libs/x/pyproject.toml": "",
    }
    files = ("api/requirements.txt",)
    dependencies = Dependencies(Lock.REQUIREMENTS, files, folder="api", requirements=files)
    assert local_files(dependencies, {files[0]: contents[files[0]].encode()}) == [
        "api/pyproject.toml",
        "libs/x/pyproject.toml",
    ]
    planned = installation_for(dependencies, {n: t.encode() for n, t in contents.items()})
    assert planned.files["api/requirements.txt"] == b"idna==3.7\n"
    assert planned.requirements == (*files, "api/pyproject.toml", "libs/x/pyproject.toml")
    assert planned.skipped == ("api", "libs/x")


def test_poetry_asks_for_the_main_group_and_holds_it_to_the_lock() -> None:
    planned = plan(
        Lock.POETRY,
        {
            "poetry.lock": """
[[package]]
name = "idna"
version = "3.7"
markers = "python_version >= '3.8'"
files = [{file = "a", hash = "sha256:b"}, {file = "b", hash = "sha256:a"}]
[[package]]
name = "tool"
version = "1"
files = []
[package.source]
type = "git"
url = "https://example.com/tool.git"
resolved_reference = "abc"
[[package]]
name = "private"
version = "2"
files = []
[package.source]
type = "legacy"
url = "https://index.example.com/simple"
[[package]]
name = "own"
version = "0"
[package.source]
type = "directory"
url = "libs/own"
""",
            "pyproject.toml": """
[tool.poetry.dependencies]
python = "^3.11"
idna = "^3.4"
uvicorn = {version = "^0.30", extras = ["standard"], markers = "sys_platform != 'win32'"}
tool = {git = "https://example.com/tool.git", branch = "main"}
own = {path = "libs/own"}
maybe = {version = "1", optional = true}
[tool.poetry.group.dev.dependencies]
pytest = "*"
""",
        },
    )
    assert planned.files == {
        "previewdrop.in": b"idna\nuvicorn[standard] ; (sys_platform != 'win32')\n"
        b"tool @ git+https://example.com/tool.git@main\n",
        "previewdrop.lock.txt": b"idna==3.7 ; python_version >= '3.8' --hash=sha256:a "
        b"--hash=sha256:b\ntool @ git+https://example.com/tool.git@abc\nprivate==2\n",
    }
    assert planned.constraints == ("previewdrop.lock.txt",)
    assert planned.indexes == ("https://index.example.com/simple",)
    assert planned.skipped == ("libs/own",)


@pytest.mark.parametrize(
    ("poetrys", "pep440"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.2", "~=1.2"),
        ("*", ""),
        ("1.2.3", "==1.2.3"),
        (">=1.2,<2.0", ">=1.2,<2.0"),
        (">=1.2 <2.0", ">=1.2,<2.0"),
        ("!=1.5,^1.2", "!=1.5,>=1.2,<2"),
    ],
)
def test_poetry_versions_as_pep_440(poetrys: str, pep440: str) -> None:
    assert poetry.specifier(poetrys) == pep440


def test_pipfile_lock_is_exact() -> None:
    lock = {
        "_meta": {"sources": [{"url": "https://pypi.org/simple"}, {"url": "https://own.example"}]},
        "default": {
            "idna": {"version": "==3.7", "hashes": ["sha256:a"], "markers": "os_name == 'posix'"},
            "uvicorn": {"version": "==0.30", "extras": ["standard"]},
            "shop": {"path": ".", "editable": True},
        },
        "develop": {"pytest": {"version": "==8"}},
    }
    planned = plan(Lock.PIPFILE, {"Pipfile.lock": json.dumps(lock)})
    assert planned.files == {
        "previewdrop.lock.txt": b"idna==3.7 ; os_name == 'posix' --hash=sha256:a\n"
        b"uvicorn[standard]==0.30\n"
    }
    assert planned.indexes == ("https://own.example",)
    assert not planned.dependencies


def test_pyproject_without_a_lock() -> None:
    text = '[project]\ndependencies = ["idna", "own"]\n[tool.uv.sources]\nown = {path = "own"}\n'
    planned = plan(Lock.PYPROJECT, {"pyproject.toml": text})
    assert planned.requirements == ("pyproject.toml",)
    assert planned.files["previewdrop.excludes.txt"] == b"own\n"
    assert planned.excludes == ("previewdrop.excludes.txt",)


def test_pyproject_that_hides_its_dependencies() -> None:
    with pytest.raises(StageFailed, match="leaves its dependencies to the build backend"):
        plan(Lock.PYPROJECT, {"pyproject.toml": '[project]\ndynamic = ["dependencies"]\n'})


def test_setup_cfg() -> None:
    text = "[options]\ninstall_requires =\n  idna==3.7\n  sniffio; os_name == 'posix'\n"
    planned = plan(Lock.SETUP_CFG, {"setup.cfg": text})
    assert planned.files == {"previewdrop.in": b"idna==3.7\nsniffio; os_name == 'posix'\n"}


@pytest.mark.parametrize(
    ("lock", "contents"),
    [
        (Lock.POETRY, {"poetry.lock": "[[", "pyproject.toml": ""}),
        (Lock.POETRY, {"pyproject.toml": ""}),
        (Lock.PIPFILE, {"Pipfile.lock": "{"}),
        (Lock.PYPROJECT, {"pyproject.toml": "= 1"}),
        (Lock.SETUP_CFG, {"setup.cfg": "no section"}),
        (Lock.REQUIREMENTS, {"requirements.txt": "\ud800"}),
    ],
)
def test_a_broken_file_is_named(lock: Lock, contents: dict[str, str]) -> None:
    raw = {name: text.encode("utf-8", "surrogatepass") for name, text in contents.items()}
    with pytest.raises(StageFailed, match="cannot be read"):
        installation_for(Dependencies(lock, tuple(contents)), raw)
