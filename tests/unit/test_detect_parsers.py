"""The formats that detection reads: what each line means, and that nothing crashes them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.source.detect.dockerfile import instructions, parse_dockerfile
from previewdrop.source.detect.pyproject import Pyproject, read_pyproject
from previewdrop.source.detect.requirements import parse_requirement, parse_requirements
from previewdrop.source.detect.runs import Run, read_line, read_words
from previewdrop.source.detect.servers import parse_server
from previewdrop.source.detect.shell import UNKNOWN, expand, simple_commands
from previewdrop.source.detect.tree import Tree, decode
from previewdrop.source.detect.yaml import parse_yaml

# Text made of the pieces that mean something to these formats finds more than random letters do.
PIECES = [
    "fastapi", "app:app", "-r", "-e ", "--", "--hash=", "==", "[", "]", "{", "}", "(", ")", "@",
    "#", ";", ":", " ", "\n", "\t", "\\", '"', "'", "$", "${", "${A:-", "`", "&", "&&", "|", ">",
    "<<EOF", "- ", "? ", "*a", "&a ", "<<: *a", "FROM ", "CMD ", "ENV ", "ENTRYPOINT [", "uvicorn",
    "gunicorn", "python -m ", "sh -c ", "cd ", "file:", "../", "http://", "git+", "\0", "é", "²",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


def read_as_everything(text: str) -> None:
    parse_requirements(text)
    parse_dockerfile(text)
    parse_yaml(text)
    read_line(text, {"A": text})
    for words in simple_commands(text, {}):
        parse_server(words)
        read_words(words, {})


@given(TEXTS)
def test_no_parser_crashes(text: str) -> None:
    read_as_everything(text)


@pytest.mark.parametrize(
    "text",
    [
        "&a " * 3000,
        "a" + " " * 100_000 + "b",
        'A="' + "\\" * 50_000,
        "CMD " + "[" * 20_000,
        "ENV A=" + '"\\' * 20_000,
        "- " * 20_000,
        "$(" * 20_000,
        "a: [" * 5_000,
    ],
    ids=range(8),
)
def test_hostile_text_does_not_take_long(text: str) -> None:
    started = time.process_time()
    read_as_everything(text)
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("FastAPI[standard]==0.115.* ; python_version > '3'", "fastapi", None),
        ("Typing_Extensions.x>=4", "typing-extensions-x", None),
        ("fastapi@git+https://x.example/fastapi.git", "fastapi", None),
        ("git+https://x.example/a/some_lib.git@main", "some-lib", None),
        ("https://x.example/fastapi-0.1-py3-none-any.whl", "fastapi", None),
        ("https://x.example/dist/fastapi-0.1.tar.gz#sha256=ab", "fastapi", None),
        ("./libs/common[extra]", None, "./libs/common"),
        ("file:///srv/lib", None, "/srv/lib"),
        ("lib @ file:./libs/lib", "lib", "./libs/lib"),
        ("libs/common", None, "libs/common"),
        (".", None, "."),
        ("!!!", None, None),
    ],
)
def test_one_requirement(text: str, name: str | None, path: str | None) -> None:
    requirement = parse_requirement(text)
    assert (requirement.name, requirement.path) == (name, path)


def test_requirement_options() -> None:
    lines = parse_requirements(
        "-r base.txt\n--requirement=more.txt\n-rglued.txt\n-c c.txt\n--constraint 'd.txt'\n"
        "-e ./lib\n--editable=git+https://x.example/lib.git#egg=My_Lib\n-i https://x.example\n"
        "--no-binary :all:\n# no\nfastapi \\\n  --hash=sha256:1\nurl#fragment\n"
    )
    assert lines.includes == ("base.txt", "more.txt", "glued.txt")
    assert lines.constraints == ("c.txt", "d.txt")
    assert [(each.name, each.path) for each in lines.requirements] == [
        (None, "./lib"),
        ("my-lib", None),
        ("fastapi", None),
        ("url", None),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"a\r\nb",
        b"\xef\xbb\xbfa\nb",
        "a\nb".encode("utf-16"),
        "a\nb".encode("utf-16-le"),
        b"\xfe\xff" + "a\nb".encode("utf-16-be"),
        b"a\rb",
    ],
)
def test_encodings(data: bytes) -> None:
    assert decode(data) == "a\nb"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("${A}b", "1b"),
        ("${B:-2}", "2"),
        ("${B-2}", "2"),
        ("${EMPTY:-2}", "2"),
        ("${EMPTY-2}", ""),
        ("${B:+2}", ""),
        ("${A:+2}", "2"),
        ("$B", UNKNOWN),
        ("$(nproc)", UNKNOWN),
        ("a$", "a$"),
    ],
)
def test_variables(text: str, value: str) -> None:
    assert expand(text, {"A": "1", "EMPTY": ""}) == value


def test_shell_lines_are_split() -> None:
    line = (
        "set -e; alembic upgrade head && exec uvicorn 'a:b' \\\n --port $PORT >x 2>&1 | tee y # c"
    )
    assert simple_commands(line, {"PORT": "80"}) == [
        ("set", "-e"),
        ("alembic", "upgrade", "head"),
        ("exec", "uvicorn", "a:b", "--port", "80"),
        ("tee", "y"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "uvicorn a:b",
        "exec /usr/local/bin/uvicorn a:b",
        "python -m uvicorn a:b",
        "python3.12 -u -X dev -m uvicorn a:b",
        "poetry run uvicorn a:b",
        "uv run --no-sync --with x uvicorn a:b",
        "PORT=1 dumb-init -- env X=1 uvicorn a:b",
        "conda run -n base uvicorn a:b",
        "newrelic-admin run-program uvicorn a:b",
        "opentelemetry-instrument --traces_exporter x uvicorn a:b",
        "sh -c 'sleep 1 && uvicorn a:b'",
        "bash -lc 'exec uvicorn a:b'",
        "./wait-for-it.sh uvicorn a:b",
        "if true; then uvicorn a:b; fi",
        "gosu app tini -- uvicorn a:b",
    ],
)
def test_wrappers_are_seen_through(line: str) -> None:
    run = read_line(line, {})
    assert run.server is not None
    assert run.server.target == "a:b"


def test_what_else_can_be_started() -> None:
    assert read_line("python -m shop.web", {}) == Run(module="shop.web")
    assert read_line("python main.py --x", {}) == Run(file="main.py")
    assert read_line("./start.sh", {}) == Run(script="./start.sh")
    assert read_line("bash scripts/run.sh x", {}) == Run(script="scripts/run.sh")
    assert read_line("shop-server --port 1", {}) == Run(program="shop-server")
    assert read_line("", {}) == Run()
    run = read_line("poetry run alembic upgrade head && cd api && PYTHONPATH=src uvicorn a:b", {})
    assert (run.before, run.folder, run.paths) == (("alembic upgrade head",), "api", ("src",))


@pytest.mark.parametrize(
    ("line", "target", "options"),
    [
        ("uvicorn --port 1 a.b:c --host=x --workers 3", "a.b:c", (("--workers", "3"),)),
        ("uvicorn --reload a:b --reload-dir x --ssl-keyfile k --uds u --fd 3", "a:b", ()),
        ("uvicorn --new-flag a:b", "a:b", (("--new-flag",),)),
        ("uvicorn --workers 1 a:b", "a:b", ()),
        ("uvicorn --header Server:x a:b", "a:b", (("--header", "Server:x"),)),
        ("gunicorn -w4 -kx.Y -b :1 --preload a:b()", "a:b()", (
            ("--workers", "4"), ("--worker-class", "x.Y"), ("--preload",))),
        ("gunicorn a", "a", ()),
        ("hypercorn asgi:a:b -k trio", "a:b", (("--worker-class", "trio"),)),
        ("fastapi run --app api --workers 2 x.py", ":api", (("--workers", "2"),)),
        ("fastapi run -e a:b", "a:b", ()),
        ("daphne -p 1 -b 0 -v 2 a:b", "a:b", (("--verbosity", "2"),)),
    ],
)  # fmt: skip
def test_server_options(line: str, target: str, options: tuple[tuple[str, ...], ...]) -> None:
    command = parse_server(line.split())
    assert command is not None
    assert (command.target, command.options) == (target, options)


@pytest.mark.parametrize("line", ["fastapi", "fastapi deploy", "celery -A x", "./uvicorn.py", ""])
def test_other_commands_are_no_servers(line: str) -> None:
    assert parse_server(line.split()) is None


def test_dockerfile_instructions() -> None:
    text = "# escape=`\nFROM x `\n  # no\n\n AS y\nrun <<A <<B\nCMD no\nA\nCMD no\nB\ncmd a `\n b\n"
    assert [*instructions(text)] == [
        (2, "FROM", "x AS y"),
        (6, "RUN", "<<A <<B"),
        (11, "CMD", "a b"),
    ]


def test_dockerfile_stages_inherit() -> None:
    image = parse_dockerfile(
        "ARG V=3.12\nARG UNUSED\nFROM --platform=linux/amd64 docker.io/python:$V-slim AS base\n"
        "ARG V\nENV A=1\nENV B='$A' C=\"x $A\" D=a\\ b\nENV OLD form of it\n"
        "WORKDIR /srv\nCMD base\n"
        "FROM node AS other\nCMD other\nFROM base\nWORKDIR app\n"
    )
    assert image.python == "3.12"
    assert image.workdir == "/srv/app"
    assert image.environment == {"A": "1", "B": "$A", "C": "x 1", "D": "a b", "OLD": "form of it"}
    assert image.arguments == {"V": "3.12"}
    assert image.command is not None
    assert (image.command.shell, image.command.line) == ("base", 9)


def test_yaml_subset() -> None:
    text = """\
# compose
x: &base {a: "1", b: two}
list: [one, "t, wo", 'th''ree',  # comment
  four]
services:
  web: # here
    <<: *base
    "quoted key": 'it: is # not'
    empty:
    command: >
      uvicorn
      a:b
    script: |
      one
      two
    items:
    - plain
    - name: x
      value: "a\\nb"
    - 80:80
    url: http://x:80/#y
"""
    assert parse_yaml(text) == {
        "x": {"a": "1", "b": "two"},
        "list": ["one", "t, wo", "th'ree", "four"],
        "services": {
            "web": {
                "a": "1",
                "b": "two",
                "quoted key": "it: is # not",
                "empty": None,
                "command": "uvicorn a:b",
                "script": "one\ntwo",
                "items": ["plain", {"name": "x", "value": "a\nb"}, "80:80"],
                "url": "http://x:80/#y",
            }
        },
    }


def project(folder: Path, text: str) -> Pyproject:
    (folder / "pyproject.toml").write_text(text)
    found = read_pyproject(Tree(folder), "")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^3.11", ">=3.11,<4"),
        ("~3.11", ">=3.11,<3.12"),
        ("~3.11.2", ">=3.11.2,<3.12"),
        (">=3.9,<3.13", ">=3.9,<3.13"),
        ("3.11.*", "==3.11.*"),
        ("^3.11 || ^4", ">=3.11,<4"),
        ("*", None),
        ("²", None),
    ],
)
def test_poetry_python(tmp_path: Path, constraint: str, specifier: str | None) -> None:
    text = f'[tool.poetry.dependencies]\npython = "{constraint}"\n'
    assert project(tmp_path, text).requires_python == specifier


def test_groups_that_include_each_other_end(tmp_path: Path) -> None:
    text = (
        '[dependency-groups]\na = ["x", {include-group = "B"}]\nb = ["y", {include-group = "a"}]\n'
    )
    assert project(tmp_path, text).groups == {"a": {"x", "y"}, "b": {"x", "y"}}


@pytest.mark.parametrize(
    ("folder", "member"),
    [
        ("services/api", True),
        ("services/old", False),
        ("services/api/inner", False),
        ("other/services/api", False),
        ("deep/a/b", True),
        ("", True),
    ],
)
def test_workspace_members(tmp_path: Path, folder: str, member: bool) -> None:
    text = '[tool.uv.workspace]\nmembers = ["services/*", "deep/**"]\nexclude = ["services/old"]\n'
    assert project(tmp_path, text).has_member(folder) is member
