"""The Alembic revision graph, read from files alone and compared with Alembic's own reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from previewdrop.domain.app import Migrations
from previewdrop.source.migrations import read_migrations

INI = "[alembic]\nscript_location = alembic\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def revision(name: str, down: object = None) -> str:
    return f"revision = {name!r}\ndown_revision = {down!r}\n"


def read(folder: Path, files: dict[str, str], root: str = "") -> Migrations:
    write(folder, files)
    migrations = read_migrations(folder, root)
    assert migrations is not None
    return migrations


def test_none_without_configuration(tmp_path: Path) -> None:
    write(tmp_path, {"alembic/versions/a.py": revision("a")})
    assert read_migrations(tmp_path, "") is None


def test_a_line_of_revisions_has_one_head(tmp_path: Path) -> None:
    files = {
        "alembic.ini": INI,
        "alembic/versions/1_a.py": revision("a"),
        "alembic/versions/2_b.py": revision("b", "a"),
        "alembic/versions/__init__.py": "",
        "alembic/versions/README.md": "",
    }
    assert read(tmp_path, files) == Migrations(
        config="alembic.ini",
        folder="alembic",
        revisions=frozenset({"a", "b"}),
        heads=("b",),
        after={"a": (), "b": ("a",)},
    )


def test_branches_and_a_merge(tmp_path: Path) -> None:
    files = {
        "alembic.ini": INI,
        "alembic/versions/a.py": revision("a"),
        "alembic/versions/b.py": revision("b", "a"),
        "alembic/versions/c.py": revision("c", "a"),
    }
    assert read(tmp_path, files).heads == ("b", "c")
    files["alembic/versions/d.py"] = revision("d", ("b", "c"))
    assert read(tmp_path, files).heads == ("d",)
    files["alembic/versions/d.py"] = revision("d", ["b", "c"])
    assert read(tmp_path, files).heads == ("d",)


@pytest.mark.parametrize(
    "text",
    [
        "revision: str = 'b'\ndown_revision: Union[str, None] = 'a'\n",
        "PREVIOUS = 'a'\nrevision, down_revision = 'b', PREVIOUS\n",
        "if True:\n    pass\nrevision = 'b'\ndown_revision = {'a'}\n",
    ],
    ids=["annotated", "names", "set"],
)
def test_spellings(tmp_path: Path, text: str) -> None:
    files = {
        "alembic.ini": INI,
        "alembic/versions/a.py": revision("a"),
        "alembic/versions/b.py": text,
    }
    migrations = read(tmp_path, files)
    assert (migrations.revisions, migrations.heads) == (frozenset({"a", "b"}), ("b",))
    assert migrations.warnings == ()


def test_unreadable_files_warn_and_keep_their_revision_where_it_shows(tmp_path: Path) -> None:
    files = {
        "alembic.ini": INI,
        "alembic/versions/a.py": revision("a"),
        "alembic/versions/b.py": "revision = 'b'\ndown_revision = 'a'\ndef upgrade(:\n",
        "alembic/versions/c.py": "revision = make_id()\n",
        "alembic/versions/no_id.py": "print('no revision')\n",
        "alembic/versions/e.py": "revision = 'e'\ndown_revision = latest()\n",
        "alembic/versions/f.py": "revision = 'f\0'\n",
    }
    migrations = read(tmp_path, files)
    assert migrations.revisions == {"a", "b", "e"}
    assert migrations.warnings == (
        "alembic/versions/b.py is not valid Python.",
        "alembic/versions/c.py computes its revisions.",
        "alembic/versions/e.py computes its revisions.",
        "alembic/versions/f.py is not valid Python.",
        "alembic/versions/no_id.py defines no revision.",
    )


def test_the_name_of_an_old_file_is_its_revision(tmp_path: Path) -> None:
    files = {"alembic.ini": INI, "alembic/versions/1a2b.py": "def upgrade(): ...\n"}
    assert read(tmp_path, files).revisions == {"1a2b"}


@pytest.mark.parametrize(
    ("files", "root", "config", "folder"),
    [
        ({"alembic.ini": "[alembic]\nscript_location = %(here)s/db\n"}, "", "alembic.ini", "db"),
        (
            {"api/alembic.ini": "[alembic]\nscript_location = migrations\n"},
            "api",
            "api/alembic.ini",
            "api/migrations",
        ),
        (
            {"pyproject.toml": '[tool.alembic]\nscript_location = "%(here)s/db"\n'},
            "",
            "pyproject.toml",
            "db",
        ),
        (
            {
                "alembic.ini": "[loggers]\nkeys = root\n",
                "pyproject.toml": '[tool.alembic]\nscript_location = "db"\n',
            },
            "",
            "pyproject.toml",
            "db",
        ),
        (
            {"alembic.ini": "[alembic]\nscript_location = shop:db\n", "src/shop/db/env.py": ""},
            "",
            "alembic.ini",
            "src/shop/db",
        ),
        (
            {"alembic.ini": "[DEFAULT]\nx = %s\n[main]\nscript_location = db\n"},
            "",
            "alembic.ini",
            "db",
        ),
        (
            {"app/alembic.ini": "[alembic]\nscript_location = db\n"},
            "",
            "app/alembic.ini",
            "app/db",
        ),
    ],
    ids=["here", "root", "pyproject", "ini without", "package", "other section", "nested"],
)
def test_places(tmp_path: Path, files: dict[str, str], root: str, config: str, folder: str) -> None:
    migrations = read(tmp_path, {**files, f"{folder}/versions/a.py": revision("a")}, root)
    assert (migrations.config, migrations.folder) == (config, folder)
    assert migrations.heads == ("a",)


@pytest.mark.parametrize(
    "lines",
    [
        "version_locations = %(here)s/one:%(here)s/two/inner\npath_separator = os\n",
        "version_locations = one two/inner\n",
        "version_locations = one, two/inner\nversion_path_separator =\n",
        "version_locations =\n    one\n    two/inner\npath_separator = newline\n",
        "version_locations = one two\nrecursive_version_locations = true\n",
    ],
    ids=["os", "spaces", "comma", "newline", "recursive"],
)
def test_several_locations(tmp_path: Path, lines: str) -> None:
    files = {
        "alembic.ini": f"[alembic]\nscript_location = db\n{lines}",
        "one/a.py": revision("a"),
        "two/inner/b.py": revision("b", "a"),
        "db/versions/not_this.py": revision("z"),
    }
    assert read(tmp_path, files).revisions == {"a", "b"}


@pytest.mark.parametrize(
    "text", ["", "no section\n", "[alembic]\n", "[alembic]\nscript_location = ../x\n"]
)
def test_configuration_that_leads_nowhere(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"alembic.ini": text})
    assert read_migrations(tmp_path, "") is None


def test_a_symlink_out_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"repo/alembic.ini": INI, "out/a.py": revision("a")})
    (tmp_path / "repo" / "alembic").mkdir()
    (tmp_path / "repo" / "alembic" / "versions").symlink_to(tmp_path / "out")
    migrations = read_migrations(tmp_path / "repo", "")
    assert migrations is not None
    assert migrations.revisions == frozenset()


def test_the_same_as_alembic_reads(tmp_path: Path) -> None:
    files = {"alembic.ini": INI, "alembic/env.py": "", "alembic/script.py.mako": ""}
    graph = {"a": None, "b": "a", "c": "a", "d": ("b", "c"), "e": "d", "f": "d", "x": None}
    for name, down in graph.items():
        files[f"alembic/versions/{name}.py"] = revision(name, down)
    migrations = read(tmp_path, files)
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "alembic"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert set(migrations.heads) == set(script.get_heads())
    assert migrations.revisions == {each.revision for each in script.walk_revisions()}


def test_what_a_database_has_gained(tmp_path: Path) -> None:
    graph = {"a": None, "b": "a", "c": "a", "d": ("b", "c"), "x": None, "e": "d"}
    files = {f"alembic/versions/{name}.py": revision(name, down) for name, down in graph.items()}
    needs = f"{revision('y', 'x')}depends_on = 'c'\n"
    migrations = read(tmp_path, {"alembic.ini": INI, "alembic/versions/y.py": needs, **files})
    assert migrations.applied((), ("e",)) == 5
    assert migrations.applied(("b",), ("d",)) == 2
    assert migrations.applied(("b",), ("b", "c")) == 1
    assert migrations.applied(("e",), ("e",)) == 0
    assert migrations.applied(("e",), ("a",)) == 0
    assert migrations.applied((), ("y",)) == 4
    assert migrations.applied((), ("elsewhere",)) is None
    assert migrations.applied(("elsewhere",), ("a",)) is None


def test_nothing_is_counted_on_a_graph_with_gaps(tmp_path: Path) -> None:
    files = {
        "alembic.ini": INI,
        "alembic/versions/a.py": revision("a"),
        "alembic/versions/b.py": "revision = make_id()\n",
    }
    assert read(tmp_path, files).applied((), ("a",)) is None
