"""Hints: logs as real tools write them, and what PreviewDrop says about each."""

import re

import pytest

from previewdrop.domain.hints import Context, hint
from previewdrop.domain.log_hints import RULES

MIB = 1024 * 1024
CONTEXT = Context(port=20017, memory=512 * MIB)

SETTINGS = """\
    validated_self = self.__pydantic_validator__.validate_python(data, self_instance=self)
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
api_key
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.14/v/missing
secret
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.14/v/missing"""

CASES = [
    # (stage, exit code, log, what the hint says)
    (
        "post-deploy", 127,
        "bin/preview-entrypoint.sh: line 12: curl: command not found",
        "The preview has no curl. PreviewDrop already checks /health; drop the line, "
        "or install curl on the server.",
    ),
    ("post-deploy", 1, "sh: 1: wget: not found\nHealth check failed!", "The preview has no wget."),
    ("post-deploy", 127, "sh: 1: alembic: not found", "Add it to the dependencies"),
    ("post-deploy", 127, "bash: line 3: node: command not found", "There is no command node here."),
    ("health", 127, "bwrap: execvp gunicorn: No such file or directory",
     "gunicorn is not installed"),
    ("post-deploy", 1, "x.sh: line 1: jq: command not found\nall went wrong", "no command jq"),
    ("health", 127, "[FATAL tini (7)] exec serve failed: No such file or directory",
     "The image has no program serve. Correct CMD or ENTRYPOINT in the Dockerfile"),
    ("health", 127, "[FATAL tini (7)] exec /venv/bin/x failed: No such file or directory",
     "The image has no program /venv/bin/x. If it is there, what its first line names is not."),
    ("health", 127, "[FATAL tini (7)] exec gunicorn failed: No such file or directory",
     "gunicorn is not installed in the image."),
    ("release", 127, "[FATAL tini (7)] exec /bin/sh failed: No such file or directory",
     "The image has no shell, and commands need /bin/sh."),
    ("health", 126, "[FATAL tini (7)] exec ./start.sh failed: Permission denied",
     "`RUN chmod +x ./start.sh`"),
    ("health", 126, "[FATAL tini (7)] exec ./start.sh failed: Exec format error",
     "./start.sh has no #!/bin/sh in its first line"),
    ("health", 2, "Error: Invalid value for '--port': '$PORT' is not a valid integer.",
     "CMD as a list replaces no variables."),
    ("post-deploy", 127, "/usr/bin/env: ‘bash\\r’: No such file or directory", "Windows line ends"),
    ("post-deploy", 127, "x.sh: line 2: $'ls\\r': command not found", "Windows line ends"),
    ("post-deploy", 127, "bash: bin/preview-entrypoint.sh: No such file or directory",
     "The commit has no bin/preview-entrypoint.sh"),
    ("post-deploy", 2, "sh: 0: cannot open bin/x.sh: No such file", "The commit has no bin/x.sh"),
    ("release", 2, "python: can't open file '/app/seed.py': [Errno 2] No such file or directory",
     "The commit has no /app/seed.py"),
    ("post-deploy", 126, "bash: line 1: bin/x.sh: Permission denied",
     "git update-index --chmod=+x bin/x.sh"),
    ("post-deploy", 1, "bin/x.sh: line 2: API_KEY: unbound variable", "API_KEY is not set."),
    ("post-deploy", 2, "bin/x.sh: 2: API_KEY: parameter not set", "API_KEY is not set."),
    ("health", 1,
     'Traceback (most recent call last):\n  File "<frozen os>", line 679, in __getitem__\n'
     "KeyError: 'API_KEY'",
     "API_KEY is not set. Put it into .env.preview, or set it for the project: "
     "previewdrop env set API_KEY=…"),
    ("health", 1, '    key = os.environ["API_KEY"]\nKeyError: \'API_KEY\'', "API_KEY is not set"),
    ("health", 1, SETTINGS, "API_KEY, SECRET are not set."),
    ("health", 1,
     "api_key\n  Field required [type=missing, input_value={}, input_type=dict]\n"
     "    For further information visit https://errors.pydantic.dev/2.14/v/missing",
     "API_KEY is not set."),
    ("health", 1, "pydantic_settings.exceptions.SettingsError: error parsing value for field "
     '"cors_origins" from source "EnvSettingsSource"', "The value of cors_origins is not JSON"),
    ("health", 1, "ModuleNotFoundError: No module named 'httpx'",
     "httpx is not installed. Add it to the dependencies"),
    ("post-deploy", 1, "/usr/bin/python3: No module named app.seed_preview",
     "There is no module app.seed_preview. If app is the app itself"),
    ("post-deploy", 1, "python: Error while finding module specification for 'shop.seed' "
     "(ModuleNotFoundError: No module named 'shop')", "set `root` in previewdrop.toml"),
    ("health", 1, "ModuleNotFoundError: No module named 'asyncpg'",
     "asyncpg is not installed, and postgresql+asyncpg:// needs it."),
    ("health", 1, "ModuleNotFoundError: No module named 'psycopg2'", "postgresql:// needs it"),
    ("health", 1, "ImportError: cannot import name 'Nope' from 'app.models' (/x/app/models.py)",
     "app.models has no Nope"),
    ("health", 1, "ImportError: cannot import name 'a' from partially initialized module 'app.b' "
     "(most likely due to a circular import) (/x/b.py)", "app.b has no a"),
    ("health", 1, "ImportError: attempted relative import with no known parent package",
     "imported without its package"),
    ("health", 1, 'ERROR:    Error loading ASGI app. Could not import module "main".',
     'There is no module main. Set `app = "module:variable"`'),
    ("health", 1, 'ERROR:    Error loading ASGI app. Attribute "app" not found in module "main".',
     "main has no app. Set `app"),
    ("health", 1, '  File "/x/app/main.py", line 7\n    def x(:\n          ^\n'
     "SyntaxError: invalid syntax", "/x/app/main.py has a syntax error in line 7."),
    ("health", 1, '  File "/x/main.py", line 3\n    y = 1\nIndentationError: unexpected indent',
     "/x/main.py has a syntax error in line 3."),
    ("health", 1, '  File "/e/lib/python3.11/site-packages/old/__init__.py", line 7\n'
     "SyntaxError: invalid syntax", "A dependency does not run on this version of Python."),
    ("health", 1, "sqlalchemy.exc.NoSuchModuleError: Can't load plugin: "
     "sqlalchemy.dialects:postgres", "Write postgresql://"),
    ("health", 1, "sqlalchemy.exc.InvalidRequestError: The asyncio extension requires an async "
     "driver to be used. The loaded 'psycopg2' is not async.", "psycopg2 is not asynchronous."),
    ("health", 1, "ValueError: the greenlet library is required to use this function. "
     "No module named 'greenlet'", "sqlalchemy[asyncio]"),
    ("health", 1, 'RuntimeError: Form data requires "python-multipart" to be installed. ',
     "python-multipart is not installed"),
    ("health", 1, "ImportError: email-validator is not installed, run `pip install "
     "'pydantic[email]'`", "pydantic[email]"),
    ("release", 255, "FAILED: Can't locate revision identified by 'ae10'", "revision ae10"),
    ("release", 255, "FAILED: Multiple head revisions are present for given argument 'head'; "
     "please specify a specific target revision", "alembic merge heads"),
    ("release", 255, "FAILED: Target database is not up to date.", "Migrations are missing."),
    ("release", 255, "FAILED: No 'script_location' key found in configuration.",
     "There is no alembic.ini"),
    ("release", 1, 'sqlalchemy.exc.ProgrammingError: (psycopg.errors.DuplicateTable) relation '
     '"users" already exists', "The table users exists already"),
    ("release", 1, "asyncpg.exceptions.DuplicateTableError: relation \"users\" already exists",
     "The table users exists already"),
    ("health", 1, 'asyncpg.exceptions.UndefinedTableError: relation "users" does not exist',
     "There is no table users. Do the migrations run?"),
    ("post-deploy", 1, 'psycopg.errors.UndefinedColumn: column users.email does not exist',
     "There is no column users.email."),
    ("post-deploy", 1, 'column "email" of relation "users" does not exist', "no column email"),
    ("release", 1, 'psycopg.errors.InsufficientPrivilege: permission denied to create extension '
     '"vector"', 'extensions = ["vector"]'),
    ("release", 1, 'psycopg.errors.UndefinedObject: type "citext" does not exist',
     'extensions = ["citext"]'),
    ("release", 1, "function uuid_generate_v4() does not exist", 'extensions = ["uuid-ossp"]'),
    ("health", 1, 'asyncpg.exceptions.TooManyConnectionsError: too many connections for role '
     '"shop_pr_42"', "DB_POOL_SIZE"),
    ("health", 1, 'asyncpg.exceptions.InvalidPasswordError: password authentication failed for '
     'user "postgres"', "postgres is not this preview's user"),
    ("health", 1, 'FATAL:  database "app" does not exist', "There is no app here."),
    ("health", 1, 'psycopg2.OperationalError: could not translate host name "database" to address:'
     " Name or service not known", "database is a name from a compose file"),
    ("health", 1, "psycopg.OperationalError: failed to resolve host 'pg': [Errno -2] Name or "
     "service not known", "pg is a name from a compose file"),
    ("health", 1, "redis.exceptions.ConnectionError: Error -2 connecting to kv:6379. Name or "
     "service not known.", "kv is a name from a compose file"),
    ("health", 1, "redis.exceptions.NoPermissionError: User shop_pr_42 has no permissions to run "
     "the 'flushall' command", "use FLUSHDB instead of FLUSHALL"),
    ("health", 1, "NOPERM User shop_pr_42 has no permissions to run the 'select' command",
     "choose no other"),
    ("health", 1, "NOPERM User shop_pr_42 has no permissions to run the 'config|set' command",
     "may not run config|set"),
    ("health", 1, "NOPERM User shop_pr_42 has no permissions to access one of the channels used "
     "as arguments", "$PREVIEW_REDIS_USER"),
    ("health", 1, "redis.exceptions.AuthenticationError: Authentication required.\nredis: "
     "WRONGPASS invalid username-password pair or user is disabled.", "Connect with REDIS_URL"),
    ("health", 1, "ERROR:    [Errno 98] error while attempting to bind on address "
     "('127.0.0.1', 8000): address already in use", "The app wants port 8000, which is taken."),
    ("health", 1, "ERROR:    [Errno 98] error while attempting to bind on address "
     "('127.0.0.1', 20017): address already in use", "Another process listens there already."),
    ("health", 1, "OSError: [Errno 98] Address already in use", "Another process listens there"),
    ("health", 3, "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)",
     "read DATABASE_URL from the environment"),
    ("health", 3, 'psycopg.OperationalError: connection failed: connection to server at '
     '"127.0.0.1", port 5432 failed: Connection refused', "read DATABASE_URL"),
    ("health", 3, 'connection to server at "localhost" (::1), port 5432 failed: Connection refused',
     "read DATABASE_URL"),
    ("health", 3, "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. "
     "Connection refused.", "read REDIS_URL"),
    ("post-deploy", 7, "curl: (7) Failed to connect to localhost port 3000 after 0 ms: Could not "
     "connect to server", "Nothing listens on port 3000. The app's port is 20017: use $PORT."),
    ("health", 1, "OSError: [Errno 30] Read-only file system: '/var/app.log'",
     "/var/app.log cannot be written in a preview. Write to $TMPDIR"),
    ("post-deploy", 1, "x.sh: line 1: /opt/x: Read-only file system", "/opt/x cannot be written"),
    ("health", 1, "PermissionError: [Errno 13] Permission denied: '/data/x'", "/data/x cannot be"),
    ("build", 1, "OSError: [Errno 28] No space left on device", "The disk is full."),
    ("health", 1, "RuntimeError: can't start new thread", "as many processes and threads"),
    ("health", 3, "BlockingIOError: [Errno 11] Resource temporarily unavailable",
     "as many processes and threads"),
    ("health", 1, "OSError: [Errno 24] Too many open files: '/x'", "as many files open"),
    ("health", 1, "MemoryError", "memory limit is reached"),
    ("build", 1, "error: No solution found when resolving dependencies\n  cause: Because there is "
     "no version of fastapi==99.0 and you require fastapi==99.0, we can conclude that your "
     "requirements are unsatisfiable.", "No version of fastapi fits"),
    ("build", 1, "error: No solution found when resolving dependencies\n  cause: Because "
     "fastpai was not found in the package registry and you require fastpai, we can conclude "
     "that your requirements are unsatisfiable.", "There is no package fastpai."),
    ("build", 1, "error: No solution found when resolving dependencies\n  And because you require "
     "starlette==0.20 and fastapi>=0.115, we can conclude that your requirements are "
     "unsatisfiable.", "The dependencies contradict each other"),
    ("build", 2, "error: Couldn't parse requirement in `requirements.txt` at position 0\n"
     "  cause: Unexpected end of version specifier, expected version",
     "A line of requirements.txt cannot be read"),
    ("build", 1, "ERROR: Invalid requirement: 'fastapi==': Expected end (from line 1 of r.txt)",
     "is not a requirement"),
    ("build", 1, "  × Failed to parse: `foo bar`", "`foo bar` is not a requirement"),
    ("build", 1, "configuration error: `project.dependencies[0]` must be pep508",
     "dependencies[0] in pyproject.toml cannot be read"),
    ("build", 2, "error: The requested interpreter resolved to Python 3.11.7, which is "
     "incompatible with the project's Python requirement: `>=3.13`", "No Python on this machine"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "exit_code", "log", "expected"), CASES)
def test_a_known_cause_is_explained(stage: str, exit_code: int, log: str, expected: str):
    said = hint(stage, exit_code=exit_code, lines=log.split("\n"), context=CONTEXT)
    assert said is not None
    assert expected in said
    assert said[-1] in ".…?"


def test_every_rule_of_the_table_has_a_case():
    lines = [line for *_, log, _ in CASES for line in log.split("\n")]
    unused = [rule.pattern for rule in RULES if not any(re.search(rule.pattern, x) for x in lines)]
    assert unused == []


@pytest.mark.parametrize("exit_code", [-9, 137])
def test_a_kill_names_the_memory_limit(exit_code: int):
    said = hint("health", exit_code=exit_code, lines=["Killed"], context=CONTEXT) or ""
    assert "signal 9" in said
    assert "512 MiB" in said


@pytest.mark.parametrize("exit_code", [-11, 139])
def test_a_crash_names_the_signal(exit_code: int):
    assert "signal 11" in (hint("health", exit_code=exit_code) or "")


def test_an_image_is_called_an_image():
    log = ["bin/preview-entrypoint.sh: line 12: curl: command not found"]
    said = hint("post-deploy", exit_code=127, lines=log, context=Context(image=True))
    assert said == (
        "The image has no curl. PreviewDrop already checks /health; drop the line, "
        "or install curl in the Dockerfile: `RUN apt-get update && apt-get install -y curl`."
    )


def test_a_script_is_missed_in_the_image():
    log = ["bash: bin/preview-entrypoint.sh: No such file or directory"]
    said = hint("post-deploy", exit_code=127, lines=log, context=Context(image=True)) or ""
    assert said.startswith("The image has no bin/preview-entrypoint.sh where commands run")
    assert ".dockerignore" in said


def test_a_script_can_do_without_bash():
    log = ["/bin/sh: 1: bash: not found"]
    said = hint("post-deploy", exit_code=127, lines=log, context=Context(image=True)) or ""
    assert 'post_deploy = "sh bin/preview-entrypoint.sh"' in said


class TestListening:
    def said(self, *listening: str, image: bool = False, lines: tuple[str, ...] = ()) -> str:
        context = Context(port=20017, listening=listening, image=image)
        return hint("health", lines=lines, context=context) or ""

    def test_on_another_port(self):
        said = self.said("127.0.0.1:8000", lines=("INFO: Uvicorn running on http://0.0.0.0:8000",))
        assert said.startswith("The app listens on 127.0.0.1:8000, not on port 20017.")
        assert "$PORT" in said

    def test_on_another_port_of_a_container(self):
        said = self.said("0.0.0.0:8000", image=True)
        assert said == (
            "The app listens on 0.0.0.0:8000, not on port 20017. "
            "Start it with --port $PORT, or set `port = 8000` in previewdrop.toml."
        )
        assert self.said("127.0.0.1:8000", image=True).endswith("--host 0.0.0.0 --port $PORT.")

    def test_on_loopback_only_matters_in_an_image(self):
        assert "--host 0.0.0.0" in self.said("127.0.0.1:20017", image=True)
        assert "--host" not in self.said("127.0.0.1:20017")
        assert "--host" not in self.said("0.0.0.0:20017", "127.0.0.1:9000", image=True)

    def test_on_ipv6_loopback_only(self):
        assert "::1 only" in self.said("[::1]:20017")

    def test_on_an_address_that_nobody_asks(self):
        assert "127.0.0.2 only" in self.said("127.0.0.2:20017")
        assert "only" not in self.said("127.0.0.2:20017", "0.0.0.0:20017")

    def test_nowhere(self):
        assert "Nothing listens on port 20017" in self.said()

    def test_right_but_silent(self):
        assert "does not answer" in self.said("0.0.0.0:20017")

    def test_a_log_that_explains_wins_over_nothing_listening(self):
        refused = "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)"
        assert "DATABASE_URL" in self.said(lines=(refused,))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, "The app has no /healthz."), (405, "does not take GET"), (401, "login"),
        (403, "login"), (307, "redirects"), (301, "redirects"), (400, "host of $PREVIEW_URL"),
        (500, "fails inside the app"), (502, "fails inside"), (503, "not well"),
        (204, "answer 200"),
    ],
)  # fmt: skip
def test_each_status_of_a_health_check_is_explained(status: int, expected: str):
    context = Context(port=20017, listening=("0.0.0.0:20017",), health="/healthz")
    said = hint("health", status=status, context=context) or ""
    assert expected in said
    assert "/healthz" in said


def test_a_log_that_explains_a_500_wins():
    log = ['asyncpg.exceptions.UndefinedTableError: relation "users" does not exist']
    assert "no table users" in (hint("health", status=500, lines=log) or "")


def test_an_app_that_ends_without_an_error():
    assert "foreground" in (hint("health", exit_code=0) or "")


def test_colours_do_not_hide_a_cause():
    log = ["\x1b[31mModuleNotFoundError\x1b[0m: No module named '\x1b[1mhttpx\x1b[0m'"]
    assert "httpx is not installed" in (hint("health", exit_code=1, lines=log) or "")


@pytest.mark.parametrize(
    ("stage", "exit_code", "log"),
    [
        ("post-deploy", 1, ["all is lost"]),
        ("post-deploy", 1, []),
        ("health", 1, ["KeyError: 'user'"]),
        ("health", 1, ["some: thing", "KeyError: 'USER_ID'"]),
        ("post-deploy", 1, ["cat: notes.txt: No such file or directory"]),
        ("post-deploy", 1, ["rm: x: Permission denied"]),
        ("build", None, ["fine so far"]),
    ],
)
def test_what_is_not_known_is_not_guessed(stage: str, exit_code: int | None, log: list[str]):
    assert hint(stage, exit_code=exit_code, lines=log, context=CONTEXT) is None
