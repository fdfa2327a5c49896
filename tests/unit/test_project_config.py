"""previewdrop.toml and [tool.previewdrop]: reading, refusing, merging, limits."""

import re
import tomllib
from pathlib import Path

import pytest

from previewdrop.config.project import ProjectConfig
from previewdrop.config.project_file import keys, load, merge, read, setting
from previewdrop.domain import spec
from previewdrop.domain.env import resolve
from previewdrop.domain.errors import BadConfig
from previewdrop.domain.variables import RESERVED, OwnVariables

DOCS = Path(__file__).parents[2] / "docs"


def write(folder: Path, text: str, name: str = "previewdrop.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def refusal(folder: Path, text: str, name: str = "previewdrop.toml") -> BadConfig:
    with pytest.raises(BadConfig) as raised:
        load(write(folder, text, name))
    return raised.value


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert found
    return found[1]


class TestDocumentation:
    def test_the_example_is_valid_and_means_what_it_says(self, tmp_path: Path):
        config = load(write(tmp_path, block("configuration.md", "toml")))
        assert config.root == "backend"
        assert config.app == "app.main:app"
        assert config.watch == ("backend/**", "uv.lock")
        assert config.python == "3.12"
        assert config.database.extensions == ("pg_trgm",)
        assert config.processes == {"worker": "arq app.worker.Settings"}
        assert config.limits.memory == 512 * spec.MIB

    def test_the_example_has_every_key(self):
        table = tomllib.loads(block("configuration.md", "toml"))
        dotted = {
            f"{key}.{inner}" if isinstance(value, dict) else key
            for key, value in table.items()
            for inner in (value if isinstance(value, dict) else [""])
        }
        assert dotted == {key.replace("NAME", "worker") for key in keys()}

    def test_the_defaults_are_as_told(self):
        page = (DOCS / "configuration.md").read_text(encoding="utf-8")
        told = dict(re.findall(r"^\| `([a-z_.]+)` \| `([^`]+)` \|$", page, re.M))
        assert told.keys() == {
            "health", "env_file", "database.isolation", "database.connections",
            "cache.enabled", "limits.memory", "limits.cpus",
        }  # fmt: skip
        server = {key: tomllib.loads(f"x = {value}")["x"] for key, value in told.items()}
        assert merge(ProjectConfig(), server) == ProjectConfig()

    def test_the_environments_template_resolves_and_its_names_are_the_reserved(self):
        own = OwnVariables(
            port=1, url="https://x", name="s/b", number=None, branch="b", commit="c", project="s"
        )
        found = resolve(block("environment.md", "env"), (), own).variables
        assert found["CORS_ORIGINS"] == '["https://x", "http://localhost:3000"]'
        page = (DOCS / "environment.md").read_text(encoding="utf-8")
        sentence = next(line for line in page.splitlines() if "cannot be set" in line)
        named = re.findall(r"`([A-Z_]+|…_[A-Z]+)`", sentence)
        assert {name.replace("…", "PREVIEW") for name in named} == RESERVED


class TestReading:
    def test_nothing_means_the_defaults(self, tmp_path: Path):
        config = load(tmp_path)
        assert config == ProjectConfig()
        assert (config.root, config.app, config.release, config.post_deploy) == (None,) * 4
        assert (config.health, config.port, config.env_file) == ("/health", None, ".env.preview")
        assert config.database.isolation == "database"
        assert config.cache.enabled
        assert config.limits.capped(spec.Limits(memory=10 * 1024 * spec.MIB, cpus=8)).memory == (
            512 * spec.MIB
        )

    def test_from_pyproject(self, tmp_path: Path):
        write(tmp_path, "[tool.previewdrop]\nport = 8000\n[tool.ruff]\nx = 1\n", "pyproject.toml")
        found = read(tmp_path)
        assert (found.config.port, found.path, found.notes) == (8000, "pyproject.toml", ())

    def test_previewdrop_toml_wins_as_a_whole_and_says_so(self, tmp_path: Path):
        write(tmp_path, '[tool.previewdrop]\nport = 8000\nhealth = "/h"\n', "pyproject.toml")
        write(tmp_path, "port = 9000\n")
        found = read(tmp_path)
        assert (found.config.port, found.config.health) == (9000, "/health")
        assert found.notes == (
            "previewdrop.toml counts; [tool.previewdrop] in pyproject.toml is not read",
        )

    def test_a_pyproject_of_others_says_nothing(self, tmp_path: Path):
        write(tmp_path, '[project]\nname = "x"\n', "pyproject.toml")
        write(tmp_path, "port = 9000\n")
        assert read(tmp_path).notes == ()

    def test_with_bom_and_crlf(self, tmp_path: Path):
        assert load(write(tmp_path, "\ufeffport = 9000\r\nhealth = '/h'\r\n")).port == 9000

    def test_an_empty_file_is_fine(self, tmp_path: Path):
        assert load(write(tmp_path, "")) == ProjectConfig()

    def test_not_toml(self, tmp_path: Path):
        error = refusal(tmp_path, "port = \n")
        assert error.message.startswith("previewdrop.toml is not valid TOML: ")
        assert "line 1" in error.message

    def test_not_utf8(self, tmp_path: Path):
        (tmp_path / "previewdrop.toml").write_bytes(b'release = "gr\xfcn"')
        with pytest.raises(BadConfig, match="not UTF-8"):
            load(tmp_path)

    def test_too_large(self, tmp_path: Path):
        assert "larger than 1 MiB" in refusal(tmp_path, "#" * (1024 * 1024 + 1)).message

    def test_nested_without_end(self, tmp_path: Path):
        assert "previewdrop.toml" in refusal(tmp_path, "a = " + "[" * 100_000).message

    def test_a_table_is_needed(self, tmp_path: Path):
        error = refusal(tmp_path, "[tool]\npreviewdrop = 1\n", "pyproject.toml")
        assert error.message == "[tool.previewdrop] in pyproject.toml must be a table."


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("text", "key", "nearest"),
        [
            ("prot = 1", "prot", "port"),
            ('postdeploy = "x"', "postdeploy", "post_deploy"),
            ('[databse]\nisolation = "schema"', "databse", "database"),
            ('[database]\nisolaton = "schema"', "database.isolaton", "database.isolation"),
            ('isolation = "schema"', "isolation", "database.isolation"),
            ("[limits]\nmem = 1", "limits.mem", "limits.memory"),
        ],
    )
    def test_the_nearest_known_key_is_named(
        self, tmp_path: Path, text: str, key: str, nearest: str
    ):
        error = refusal(tmp_path, text)
        assert error.message == f"previewdrop.toml: unknown key {key!r}."
        assert error.hint == f"Did you mean {nearest}?"

    def test_without_a_near_one_all_are_named(self, tmp_path: Path):
        hint = refusal(tmp_path, "zzz = 1").hint or ""
        assert hint.startswith("Known keys: app, build, ")

    def test_pyproject_is_named(self, tmp_path: Path):
        error = refusal(tmp_path, "[tool.previewdrop]\nprot = 1", "pyproject.toml")
        assert error.message == "[tool.previewdrop] in pyproject.toml: unknown key 'prot'."


@pytest.mark.parametrize(
    ("text", "sentence", "example"),
    [
        ('port = "3000"', "port must be a whole number.", "port = 3000"),
        ("port = true", "port must be a whole number.", "port = 3000"),
        ("port = 0", "port must be 1 or more.", "port = 3000"),
        ("port = 70000", "port must be 65535 or less.", "port = 3000"),
        ("python = 3.12", "python must be a text.", 'python = "3.12"'),
        ('python = "three"', "python must be a version.", 'python = "3.12"'),
        ('watch = "a"', "watch must be a list.", 'watch = ["backend/**", "uv.lock"]'),
        ("watch = [1]", "watch must be a text.", 'watch = ["backend/**", "uv.lock"]'),
        ('watch = ["../a"]', "watch must be glob patterns", "watch = ["),
        ('watch = ["!a"]', "watch must be glob patterns", "watch = ["),
        ("database = 1", "database must be a table.", ""),
        ('[database]\nisolation = "no"', "must be 'database', 'schema' or 'none'.", "[database]"),
        ('[database]\nextensions = ["a;b"]', "must be names of PostgreSQL extensions.", "pg_trgm"),
        ("[database]\nconnections = 0", "database.connections must be 1 or more.", "= 8"),
        ('[cache]\nenabled = "yes"', "cache.enabled must be true or false.", "enabled = false"),
        ('[processes]\nweb = "x"', "processes.web is taken", "worker = "),
        ('[processes]\nBig = "x"', "processes.Big cannot be a name", "worker = "),
        ("[processes]\nw = 1", "processes.w must be a text.", "worker = "),
        ('[processes]\nw = " "', "processes.w must be a command.", "worker = "),
        ('[limits]\nmemory = "lots"', "limits.memory must be a size.", 'memory = "512MiB"'),
        ("[limits]\nmemory = 1.5", "limits.memory must be a size.", 'memory = "512MiB"'),
        ("[limits]\nmemory = 5", "limits.memory must be 32MiB or more.", 'memory = "512MiB"'),
        ('[limits]\ncpus = "2"', "limits.cpus must be a number.", "cpus = 1.0"),
        ("[limits]\ncpus = 0", "limits.cpus must be more than 0.", "cpus = 1.0"),
        ("[limits]\ncpus = nan", "limits.cpus must be", "cpus = 1.0"),
        ("[limits]\ncpus = inf", "limits.cpus must be a finite number.", "cpus = 1.0"),
        ('root = "../x"', "root leads out of the repository.", 'root = "backend"'),
        ('root = "a/../../x"', "root leads out of the repository.", 'root = "backend"'),
        ('root = "/etc"', "root must be a path inside the repository.", 'root = "backend"'),
        ('root = "~/x"', "root must be a path inside the repository.", 'root = "backend"'),
        ('root = "C:/x"', "root must be a path inside the repository.", 'root = "backend"'),
        ('env_file = "../../etc/passwd"', "env_file leads out of the repository.", ".env.preview"),
        ('env_file = "."', "env_file must name a file.", ".env.preview"),
        ('app = "main"', "app must be module:variable or module:factory().", "app.main:app"),
        ('app = "main:app; x"', "app must be module:variable", "app.main:app"),
        ('health = "health"', "health must be a path", 'health = "/health"'),
        ('health = "/a b"', "health must be a path", 'health = "/health"'),
        ('release = "a\\u0000b"', "release cannot hold a zero byte.", "alembic upgrade head"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_an_example(
    tmp_path: Path, text: str, sentence: str, example: str
):
    error = refusal(tmp_path, text)
    assert error.message.startswith("previewdrop.toml: ")
    assert sentence in error.message
    assert example in (error.hint or "")


def test_paths_are_normalised(tmp_path: Path):
    config = load(write(tmp_path, 'root = "./backend/"\nenv_file = "./env//preview"\n'))
    assert (config.root, config.env_file) == ("backend", "env/preview")
    assert load(write(tmp_path, 'root = "."')).root == ""


@pytest.mark.parametrize("app", ["main:app", "a.b.c:x.y", "app.main:create_app()"])
def test_import_strings(tmp_path: Path, app: str):
    assert load(write(tmp_path, f'app = "{app}"')).app == app


def test_the_template_is_looked_for_in_root_then_at_the_top():
    config = ProjectConfig()
    assert config.env_files("backend") == ("backend/.env.preview", ".env.preview")
    assert config.env_files("") == (".env.preview",)


def test_which_pushes_deploy():
    watching = ProjectConfig(watch=("backend/**",))
    assert watching.concerned_by(["README.md", "backend/app.py"])
    assert watching.concerned_by(["previewdrop.toml"])
    assert not watching.concerned_by(["README.md"])
    assert ProjectConfig().concerned_by(["README.md"])


class TestServerSettings:
    FILE = ProjectConfig(port=9000, processes={"worker": "a", "beat": "b"})

    def test_the_server_wins_key_by_key(self):
        merged = merge(
            self.FILE,
            {
                "database.isolation": "schema",
                "limits.memory": "1GiB",
                "processes.worker": "other",
                "watch": ["a/**"],
            },
        )
        assert merged.port == 9000
        assert merged.database.isolation == "schema"
        assert merged.database.connections == 8
        assert merged.limits.memory == 1024 * spec.MIB
        assert merged.processes == {"worker": "other", "beat": "b"}
        assert merged.watch == ("a/**",)
        assert self.FILE.processes["worker"] == "a"

    def test_none_takes_a_key_of_the_file_away(self):
        merged = merge(self.FILE, {"port": None, "processes.beat": None, "release": None})
        assert merged.port is None
        assert merged.processes == {"worker": "a"}

    def test_a_wrong_one_is_named(self):
        with pytest.raises(BadConfig) as raised:
            merge(self.FILE, {"database.isolaton": "x"})
        assert raised.value.message == (
            "the project's settings on the server: unknown key 'database.isolaton'."
        )
        with pytest.raises(BadConfig, match="port must be a whole number"):
            merge(self.FILE, {"port": "x"})
        with pytest.raises(BadConfig, match="database must be a table"):
            merge(self.FILE, {"database": "schema"})

    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("port", "3001", 3001),
            ("python", "3.12", "3.12"),
            ("watch", '["a/**"]', ["a/**"]),
            ("cache.enabled", "false", False),
            ("limits.memory", "1GiB", "1GiB"),
            ("limits.cpus", "1.5", 1.5),
            ("release", "alembic upgrade head", "alembic upgrade head"),
            ("post_deploy", "", ""),
            ("processes.worker", "python w.py", "python w.py"),
        ],
    )
    def test_values_as_they_are_typed(self, key: str, text: str, value: object):
        assert setting(key, text) == value
        merge(ProjectConfig(), {key: setting(key, text)})

    @pytest.mark.parametrize(
        ("key", "text"), [("port", "x"), ("port", "0"), ("prot", "1"), ("a.b.c", "1"), ("", "")]
    )
    def test_what_cannot_be_is_refused_when_typed(self, key: str, text: str):
        with pytest.raises(BadConfig):
            setting(key, text)


def test_the_servers_ceilings_win():
    limits = ProjectConfig().limits.model_copy(update={"memory": 4 * 1024 * spec.MIB, "cpus": 8.0})
    ceilings = spec.Limits(memory=1024 * spec.MIB, cpus=2.0, processes=64, files=128, log_bytes=5)
    assert limits.capped(ceilings) == ceilings
    assert ProjectConfig().limits.capped(ceilings).cpus == 1.0
