"""Generated Dockerfiles: what each shape of repository gets, and that we read them as meant."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_shapes import SHAPES, app, write
from previewdrop.domain.app import AppObject, Lock
from previewdrop.domain.dockerfile import IGNORE, Generated, ImagePlan, dockerfile
from previewdrop.domain.dockerfile_distribution import Distribution
from previewdrop.domain.dockerfile_install import Install
from previewdrop.domain.dockerfile_lines import Runner
from previewdrop.domain.errors import BadName, StageFailed
from previewdrop.drivers.docker.context.ignore import Ignore
from previewdrop.source.detect import detect
from previewdrop.source.detect.dockerfile import instructions, parse_dockerfile
from previewdrop.source.image import generated

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
EXPECTED = {
    folder.name: json.loads((folder / "expected.json").read_text())
    for folder in REPOSITORIES.iterdir()
    if folder.is_dir()
}
FINE = sorted(name for name, expected in EXPECTED.items() if "error" not in expected)
ADDED = "([ -x /venv/bin/uvicorn ] || uv pip install uvicorn)"
VENV = "uv venv --python python3 /venv"
POETRY = "uvx --from poetry --with poetry-plugin-export poetry export --only main"
INSTALLS = {
    "requirements": [
        VENV,
        r"sed -i -e '/^\s*-e \.\/libs\/common\s*$/d' requirements.txt",
        "uv pip install -r requirements.txt -r libs/common/pyproject.toml",
    ],
    "requirements built": [VENV, "uv pip install -r requirements.txt"],
    "requirements above": [VENV, "uv pip install -r requirements.txt"],
    "gunicorn": [VENV, "uv pip install -r requirements.txt"],
    "uv": ["uv sync --frozen --no-dev --no-install-local"],
    "uv package": ["uv sync --frozen --no-dev --no-install-local", ADDED],
    "uv workspace": ["uv sync --frozen --no-dev --no-install-local --package shop"],
    "poetry": [
        VENV,
        f"{POETRY} -o /tmp/requirements.txt",
        r"sed -i -E '/^(-e |[^ ]+ @ )?(file:|\.)/{/\.(whl|tar\.gz|zip)( |$)/!d}' "
        "/tmp/requirements.txt",
        "uv pip install --no-deps -r /tmp/requirements.txt",
    ],
    "poetry without a lock": [VENV, "uv pip install 'click>=8.1.0,<8.2'", ADDED],
    "pipfile": [
        VENV,
        "uvx pipenv requirements --hash > /tmp/requirements.txt",
        "uv pip install --no-deps -r /tmp/requirements.txt",
        ADDED,
    ],
    "pyproject": [
        VENV,
        r"printf '%s\n' common > /tmp/excluded.txt",
        "uv pip install -r pyproject.toml -r libs/common/pyproject.toml "
        "--excludes /tmp/excluded.txt",
        ADDED,
    ],
    "pyproject built": [VENV, "uv pip install -r pyproject.toml --extra web"],
    "setup.cfg": [VENV, "uv pip install six", ADDED],
}


def made(folder: Path, *secrets: str, cache: str = "", **given: Any) -> Generated:
    return generated(folder, detect(folder, **given), python=None, secrets=secrets, cache=cache)


def runs(text: str) -> list[list[str]]:
    """The shell commands of each RUN, without its mounts."""
    found = [rest for _, keyword, rest in instructions(text) if keyword == "RUN"]
    plain = (re.sub(r"\s+", " ", re.sub(r"--mount=\S+\s+", "", rest)) for rest in found)
    return [rest.split(" && ") for rest in plain]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_installed_its_own_way(shape: str, tmp_path: Path) -> None:
    repository = SHAPES[shape]
    write(tmp_path, {**repository.files, repository.code: app(imports=repository.imports)})
    if repository.lock:
        (tmp_path / "uv.lock").write_text("version = 1\n")
    image = made(tmp_path, root=repository.root, app=repository.app)
    assert image.context == ""
    assert runs(image.text)[1] == INSTALLS[shape]
    *_, last = instructions(image.text)
    assert last[1:] == ("COPY", "--chown=10001:10001 . /app/")
    assert ("COPY . .\n" in image.text) == repository.whole
    assert f"WORKDIR {repository.folder}\n" in image.text
    assert ("shop.commands" in image.text) == (repository.script is not None)


@pytest.mark.parametrize("name", FINE)
def test_detection_reads_the_same_app_from_it(name: str, tmp_path: Path) -> None:
    given = EXPECTED[name].get("given", {})
    repository = tmp_path / "repository"
    shutil.copytree(REPOSITORIES / name, repository)
    facts = detect(repository, **given)
    image = generated(repository, facts, python=None)
    read = parse_dockerfile(image.text)
    assert read.command is not None
    assert read.command.words[:2] == ("sh", "-c")
    assert read.environment["PORT"] == "3000"
    assert read.workdir == os.path.normpath(
        f"/app/{os.path.relpath(facts.root or '.', image.context or '.')}"
    )
    (repository / image.context / "Dockerfile").write_text(image.text)
    again = detect(repository, **given)
    assert again.app == facts.app
    assert again.command == facts.command
    assert (again.root, again.import_path) == (facts.root, facts.import_path)


@pytest.mark.parametrize("name", FINE)
def test_it_needs_nothing_newer_than_docker_20(name: str) -> None:
    text = made(REPOSITORIES / name, "UV_INDEX", **EXPECTED[name].get("given", {})).text
    for newer in ("syntax=", "<<", "--link", ",env=", "--exclude="):
        assert newer not in text
    assert "reload" not in text
    assert text.count("FROM python:3.") == text.count("-slim") == 2


def test_a_workspace_needs_the_top_and_a_folder_by_itself_does_not(tmp_path: Path) -> None:
    assert made(REPOSITORIES / "uv_workspace").context == ""
    image = made(REPOSITORIES / "monorepo_one")
    assert image.context == "backend"
    assert "COPY requirements.txt ./\n" in image.text
    assert "WORKDIR /app\nUSER" in image.text


def test_a_link_out_of_the_folder_needs_the_top(tmp_path: Path) -> None:
    write(tmp_path, {"backend/requirements.txt": "uvicorn\n", "backend/main.py": app()})
    write(tmp_path, {"shared/data.json": "{}"})
    assert made(tmp_path, root="backend", app="main:app").context == "backend"
    (tmp_path / "backend" / "shared").symlink_to("../shared")
    assert made(tmp_path, root="backend", app="main:app").context == ""


def test_secrets_are_files_of_the_runs_that_install() -> None:
    names = ("UV_INDEX_ACME_USERNAME", "UV_INDEX_ACME_PASSWORD", "UV_DEFAULT_INDEX")
    text = made(REPOSITORIES / "poetry", *names, cache="shop").text
    lines = [rest for _, _, rest in instructions(text) if "UV_INDEX_ACME_PASSWORD" in rest]
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("--mount=type=cache,id=shop-packages,target=/root/.cache ")
        assert all(f"--mount=type=secret,id={name} " in line for name in names)
        assert 'export PIP_INDEX_URL="${UV_DEFAULT_INDEX#' in line
    declared = [rest for _, keyword, rest in instructions(text) if keyword in ("ENV", "ARG")]
    assert not any(name in rest for rest in declared for name in names)
    assert "secret" not in made(REPOSITORIES / "poetry").text
    with pytest.raises(BadName):
        made(REPOSITORIES / "poetry", "A=b\nRUN id")


def test_the_index_of_pip_is_that_of_uv() -> None:
    text = made(REPOSITORIES / "uv_lock", "PIP_INDEX_URL").text
    line = '[ -z "$PIP_INDEX_URL" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL";'
    assert text.count(line) == 2
    assert line not in made(REPOSITORIES / "uv_lock", "PIP_INDEX_URL", "UV_DEFAULT_INDEX").text


@pytest.mark.parametrize("index", ["https://a:b%3D@index.example/simple?x=y", "http://x"])
@pytest.mark.parametrize("name", ["", "acme=", "acme-2="])
def test_a_name_before_the_url_of_an_index_is_not_for_pip(index: str, name: str) -> None:
    text = Runner(("UV_DEFAULT_INDEX",)).run("true")
    line = next(line for line in text.splitlines() if "PIP_INDEX_URL" in line).rstrip("\\ ")
    shown = subprocess.run(
        ("sh", "-c", f'{line} printf %s "$PIP_INDEX_URL"'),
        env={"UV_DEFAULT_INDEX": f"{name}{index}"},
        capture_output=True,
        check=True,
    )
    assert shown.stdout.decode() == index


def plan(**changes: Any) -> ImagePlan:
    install = Install(Lock.REQUIREMENTS, requirements=("requirements.txt",))
    values = {"python": "3.12", "app": AppObject("app.main", "app"), "install": install}
    return ImagePlan(**{**values, **changes})


def served(port: str = "3000", **changes: Any) -> list[str]:
    """What the server is started with, as its own program sees it."""
    command = parse_dockerfile(dockerfile(plan(**changes), Runner())).command
    assert command is not None
    *shell, script = command.words
    server = script.removeprefix("exec ").split()[0]
    show = f"{server}() {{ printf '%s\\0' \"$@\"; }}; {script.removeprefix('exec ')}"
    environment = {"PORT": port, "MODULE_NAME": "app.main", "VARIABLE_NAME": "app"}
    done = subprocess.run((*shell, show), env=environment, capture_output=True, check=True)
    return [server, *done.stdout.decode().split("\0")[:-1]]


def test_uvicorn_serves_where_nothing_else_is_asked_for() -> None:
    address = ["--host", "0.0.0.0", "--port"]  # noqa: S104
    assert served("4000") == ["uvicorn", "app.main:app", *address, "4000"]
    factory = served(app=AppObject("app.main", "app", factory=True))
    assert factory == ["uvicorn", "app.main:app", "--factory", *address, "3000"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_the_words_of_a_command_reach_the_server_as_they_are(words: list[str]) -> None:
    words = [word for word in words if "{port}" not in word and "{host}" not in word]
    command = ("gunicorn", "a:b", "--bind", "{host}:{port}", *words)
    assert served("81", command=command) == ["gunicorn", "a:b", "--bind", "0.0.0.0:81", *words]


def test_a_package_looks_installed() -> None:
    scripts = {"shop": "shop.cli:main", "admin": "shop.cli:App.run [x]", "odd/name": "a:b"}
    text = dockerfile(plan(distribution=Distribution("My-Shop", "1.0+x", scripts)), Runner())
    commands = runs(text)[2]
    assert "mkdir my_shop-1.0+x.dist-info" in commands
    assert "chmod +x /venv/bin/admin" in commands
    assert (
        r"printf '%s\n' '[console_scripts]' 'shop = shop.cli:main' 'admin = shop.cli:App.run' "
        "> my_shop-1.0+x.dist-info/entry_points.txt"
    ) in commands
    assert "'from shop.cli import App' 'sys.exit(App.run())'" in text
    assert "odd" not in text


def test_archives_of_the_repository_are_copied_and_installed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["uvicorn"]\n',
            "uv.lock": 'source = { path = "vendor/a-1.whl" }\nsource = { path = "lib" }\n',
            "vendor/a-1.whl": "",
            "main.py": app(),
        },
    )
    image = made(tmp_path, app="main:app")
    assert "COPY vendor/a-1.whl ./vendor/\n" in image.text
    assert runs(image.text)[1][-1] == "uv pip install --no-deps ./vendor/a-1.whl"


def test_names_that_are_no_plain_words(tmp_path: Path) -> None:
    write(tmp_path, {"my app/requirements [x].txt": "uvicorn\n", "my app/main.py": app()})
    write(tmp_path, {"shared.txt": "", "my app/requirements.txt": "-r ../shared.txt\nuvicorn\n"})
    image = made(tmp_path, root="my app", app="main:app")
    assert 'COPY ["my app/requirements.txt", "./my app/"]\n' in image.text
    assert 'PYTHONPATH="/app/my app"' in image.text
    assert "install -d -o app -g app /app '/app/my app'\n" in image.text
    assert parse_dockerfile(image.text).workdir == "/app/my app"


@pytest.mark.parametrize("name", ["a\nRUN id", "$HOME", 'a"b', "a\\b"])
def test_names_that_a_dockerfile_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(StageFailed, match="cannot be named in a Dockerfile"):
        dockerfile(plan(import_path=(name,)), Runner())


@pytest.mark.parametrize(
    ("path", "out"),
    [
        (".git/config", True),
        (".env", True),
        ("backend/.env.local", True),
        (".envrc", True),
        (".env.preview", False),
        ("services/api/.env.preview", False),
        (".venv/bin/python", True),
        ("web/node_modules/x/index.js", True),
        ("app/__pycache__/main.pyc", True),
        ("app/main.py", False),
        ("app/environment.py", False),
        ("bin/preview-entrypoint.sh", False),
        ("uv.lock", False),
    ],
)
def test_what_stays_out_of_the_image(path: str, out: bool) -> None:
    assert Ignore.parse(IGNORE).excludes(path) is out
