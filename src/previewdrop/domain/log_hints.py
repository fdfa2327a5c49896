"""Known causes by what a log says: a table of patterns, the most telling first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Log:
    """The end of a log, oldest line first, and what the hint may mention."""

    lines: tuple[str, ...]
    exit_code: int | None
    port: int | None
    health: str
    image: bool

    def before(self, at: int, pattern: str) -> str | None:
        """The first group of the last line before `at` that fits."""
        for line in reversed(self.lines[:at]):
            if found := re.search(pattern, line):
                return found[1]
        return None

    @property
    def install(self) -> str:
        return "in the Dockerfile" if self.image else "on the server"


Answer = Callable[["re.Match[str]", int, Log], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`answer` is a text with `{0}`, `{1}` for the pattern's groups, or makes one.

    It is asked for the lines that fit, the last one first, until it gives one.
    """

    pattern: str
    answer: str | Answer


def log_hint(
    lines: Sequence[str], exit_code: int | None, port: int | None, health: str, image: bool
) -> str | None:
    """The answer of the first rule that fits a line; None if none does."""
    log = Log(tuple(lines), exit_code, port, health, image)
    for rule in RULES:
        for at in range(len(log.lines) - 1, -1, -1):
            if not (match := re.search(rule.pattern, log.lines[at])):
                continue
            if isinstance(rule.answer, str):
                return rule.answer.format(*match.groups())
            if answer := rule.answer(match, at, log):
                return answer
    return None


_PYTHON_TOOLS = frozenset(
    (
        *("alembic", "arq", "celery", "dramatiq", "fastapi", "granian", "gunicorn"),
        *("hypercorn", "pytest", "rq", "taskiq", "uvicorn"),
    )
)
_DRIVERS = {
    "asyncpg": "postgresql+asyncpg://",
    "psycopg": "postgresql+psycopg://",
    "psycopg2": "postgresql://",
    "psycopg_pool": "a pool of psycopg",
}
_SETTINGS = r"(?i)validation errors? for \w*(?:settings|config|env)\w*"


def _not_found(match: re.Match[str], _at: int, log: Log) -> str | None:
    name = next(filter(None, match.groups()), "").strip("'\"`‘’")
    if name in ("curl", "wget"):
        how = f": `RUN apt-get update && apt-get install -y {name}`" if log.image else ""
        return (
            f"{'The image' if log.image else 'The preview'} has no {name}. PreviewDrop already "
            f"checks {log.health}; drop the line, or install {name} {log.install}{how}."
        )
    if name in _PYTHON_TOOLS:
        return f"{name} is not installed. Add it to the dependencies of the repository."
    if name == "bash" and log.image:
        return (
            "The image has no bash. Install it in the Dockerfile, or write the script for sh and "
            'set `post_deploy = "sh bin/preview-entrypoint.sh"` in previewdrop.toml.'
        )
    if name:
        return f"There is no command {name} here. Drop the line, or install {name} {log.install}."
    return None


def _no_program(match: re.Match[str], _at: int, _log: Log) -> str:
    """What the init process of a container says when it cannot start what the image names."""
    name, why = match.groups()
    if why == "Permission denied":
        return f"{name} is not executable. Make it so in the Dockerfile: `RUN chmod +x {name}`."
    if why == "Exec format error":
        return f"{name} has no #!/bin/sh in its first line, or is made for another processor."
    if name == "/bin/sh":
        return _NO_SHELL
    if name in _PYTHON_TOOLS:
        return f"{name} is not installed in the image. Add it to what the Dockerfile installs."
    interpreter = " If it is there, what its first line names is not." if "/" in name else ""
    return (
        f"The image has no program {name}.{interpreter} "
        "Correct CMD or ENTRYPOINT in the Dockerfile, or install it there."
    )


def _no_file(match: re.Match[str], _at: int, log: Log) -> str | None:
    if log.exit_code not in (2, 126, 127):
        return None
    if log.image:
        return (
            f"The image has no {match[1]} where commands run, in its WORKDIR. Is it committed, "
            "does the Dockerfile copy it, and is it not in .dockerignore?"
        )
    return (
        f"The commit has no {match[1]} in the folder where commands run. "
        "Is it committed? Commands run in `root`."
    )


def _not_executable(match: re.Match[str], _at: int, log: Log) -> str | None:
    if log.exit_code != 126:
        return None
    return (
        f"{match[1]} is not executable. Run `git update-index --chmod=+x {match[1]}` and commit, "
        f"or start it with `bash {match[1]}`."
    )


def _module(match: re.Match[str], _at: int, log: Log) -> str:
    package = match[1].partition(".")[0]
    if use := _DRIVERS.get(package):
        return f"{package} is not installed, and {use} needs it. Add it to the dependencies."
    if "." in match[1]:
        return (
            f"There is no module {match[1]}. If {package} is the app itself, is the file committed "
            "and `root` the folder that holds it? If not, add it to the dependencies."
        )
    return (
        f"{package} is not installed. Add it to the dependencies; if it is a folder of the "
        "repository, set `root` in previewdrop.toml to the folder that holds it."
    )


def _environment_key(match: re.Match[str], at: int, log: Log) -> str | None:
    if not any("environ" in line or "<frozen os>" in line for line in log.lines[:at]):
        return None
    return _unset([match[1]])


def _settings(_match: re.Match[str], at: int, log: Log) -> str | None:
    names: list[str] = []
    for name, told in zip(log.lines[at + 1 :], log.lines[at + 2 :], strict=False):
        if "Field required" in told:
            names.append(name.strip().upper())
    return _unset(names) if names else None


def _missing_fields(_match: re.Match[str], at: int, log: Log) -> str | None:
    """The first lines of pydantic's message may have scrolled away."""
    if not any("pydantic" in line.lower() or "settings" in line.lower() for line in log.lines):
        return None
    name = log.lines[at - 1].strip() if at else ""
    return _unset([name.upper()]) if re.fullmatch(r"\w+", name) else None


def _unset(names: Sequence[str]) -> str:
    listed = ", ".join(dict.fromkeys(names))
    one = "is" if len(set(names)) == 1 else "are"
    return (
        f"{listed} {one} not set. Put it into .env.preview, or set it for the project: "
        f"previewdrop env set {names[0]}=…"
    )


def _syntax(_match: re.Match[str], at: int, log: Log) -> str:
    file = log.before(at, r'File "([^"]+)", line \d+')
    line = log.before(at, r'File "[^"]+", line (\d+)')
    if file is None:
        return "A Python file has a syntax error; the log shows where."
    if "site-packages" in file:
        return (
            "A dependency does not run on this version of Python. "
            'Set `python = "3.…"` in previewdrop.toml, or choose a version of it that does.'
        )
    return f"{file} has a syntax error in line {line}."


def _in_use(match: re.Match[str], _at: int, log: Log) -> str:
    port = match[1]
    if port and log.port and int(port) != log.port:
        return (
            f"The app wants port {port}, which is taken. Its own port is {log.port}: "
            "start it with --port $PORT."
        )
    return "Another process listens there already. Start the app once, on $PORT."


def _refused(match: re.Match[str], _at: int, log: Log) -> str | None:
    port = next(filter(None, match.groups()), "")
    if port == "5432":
        return (
            "The app connects to a PostgreSQL on localhost. Each preview has its own: "
            "read DATABASE_URL from the environment instead of a fixed address."
        )
    if port == "6379":
        return (
            "The app connects to a Redis on localhost. Each preview has its own: "
            "read REDIS_URL from the environment instead of a fixed address."
        )
    if log.port and port in ("3000", "8000") and int(port) != log.port:
        return f"Nothing listens on port {port}. The app's port is {log.port}: use $PORT."
    return None


def _command_denied(match: re.Match[str], _at: int, _log: Log) -> str:
    command = match[1].lower()
    if command.startswith("flushall"):
        return "A preview may empty only its own Redis database: use FLUSHDB instead of FLUSHALL."
    if command.startswith("select"):
        return "A preview has one Redis database: connect to REDIS_URL and choose no other."
    return f"A preview's Redis user may not run {command}, because it reaches beyond its database."


_NO_SOLUTION = "The dependencies contradict each other, as the log says. Loosen one and lock again."
_NOT_FOUND = (
    r"(?:^|[\s:])([^\s:]+): command not found|\d+: (?:exec: )?([^\s:]+): not found"
    r"|execvp ([^\s:]+): No such file|env: (\S+): No such file"
)
_OTHER_NETWORK = (
    "{0} is a name from a compose file or another network. "
    "Read DATABASE_URL and REDIS_URL from the environment."
)
_UNWRITABLE = (
    "{0} cannot be written in a preview. Write to $TMPDIR, or to a file in the app's own folder."
)
_USE_URL = "Connect with DATABASE_URL as the environment has it, not with fixed names or passwords."
_POOL = (
    "Use fewer connections (DB_POOL_SIZE says how many fit, for all workers together), "
    "or raise `connections` under [database] in previewdrop.toml."
)
_CHANNEL = (
    "Channels are shared by all of a Redis server, so a preview may use only those "
    "that begin with its own user's name: $PREVIEW_REDIS_USER, then a colon."
)
_NO_SHELL = (
    "The image has no shell, and commands need /bin/sh. Use a base image that has one, "
    "or drop release, post_deploy and [processes]."
)
_SET_APP = 'Set `app = "module:variable"` in previewdrop.toml to where the FastAPI object is.'
_EXTENSION = 'Add it to the list: `extensions = ["{0}"]` under [database] in previewdrop.toml.'
_MIGRATE = 'Do the migrations run? `release = "alembic upgrade head"` in previewdrop.toml does it.'

RULES: tuple[Rule, ...] = (
    # Dependencies
    Rule(r"incompatible with the project's Python requirement|No interpreter found for Python",
         "No Python on this machine fits what the dependencies ask for. Install it, or set "
         '`python = "3.…"` in previewdrop.toml to one that fits.'),
    Rule(r"[Bb]ecause there (?:are|is) no versions? of `?([\w.\-\[\]]+)`?",
         "No version of {0} fits what is asked for. Correct its version and lock again."),
    Rule(r"[Bb]ecause `?([\w.\-]+)`? was not found in the package registry",
         "There is no package {0}. Is its name right, and does it need a private index?"),
    Rule(r"No solution found|ResolutionImpossible", _NO_SOLUTION),
    Rule(r"Couldn't parse requirement in `([^`]+)`", "A line of {0} cannot be read; mend it."),
    Rule(r"Failed to parse: `([^`]+)`", "`{0}` is not a requirement; mend that line."),
    Rule(r"Invalid requirement: (.+?)(?: \(from|$)", "{0} is not a requirement; mend that line."),
    Rule(r"`project\.([\w-]*dependencies\[\d+\])` must be pep508",
         "{0} in pyproject.toml cannot be read; mend it."),
    # Commands and files
    Rule(r"(?:ba)?sh\\r|\^M: bad interpreter|\\r': command not found",
         "The script has Windows line ends. Save it with LF; "
         "`*.sh text eol=lf` in .gitattributes keeps it so."),
    Rule(r"^\[FATAL tini \(\d+\)\] exec (.+) failed: (.+)", _no_program),
    Rule(r"Invalid value for '--port': '\$\{?PORT",
         "CMD as a list replaces no variables. Write it without the brackets: "
         "`CMD exec uvicorn … --host 0.0.0.0 --port $PORT`."),
    Rule(r"\b(curl|wget): (?:command )?not found", _not_found),
    Rule(_NOT_FOUND, lambda match, at, log: _not_found(match, at, log)
         if log.exit_code == 127 else None),
    Rule(r"cannot open ([^\s:]+): No such file", _no_file),
    Rule(r"(?:^|[\s:'])([^\s:']+)'?: No such file or directory", _no_file),
    Rule(r"can't open file '([^']+)'", _no_file),
    Rule(r"(?:^|[\s:])([^\s:]+): Permission denied", _not_executable),
    Rule(r"(\w+): unbound variable|(\w+): parameter (?:null or )?not set",
         lambda match, _at, _log: _unset([match[1] or match[2]])),
    # Settings
    Rule(r"^KeyError: '([A-Z][A-Z0-9_]*)'", _environment_key),
    Rule(_SETTINGS, _settings),
    Rule(r"Field required \[type=missing", _missing_fields),
    Rule(r'error parsing value for field "(\w+)"',
         "The value of {0} is not JSON, which its type needs. "
         'A list is written as ["https://one.example", "https://two.example"].'),
    # Python
    Rule(r"(?:Syntax|Indentation|Tab)Error: ", _syntax),
    Rule(r'Could not import module "([^"]+)"', "There is no module {0}. " + _SET_APP),
    Rule(r'Attribute "([^"]+)" not found in module "([^"]+)"', "{1} has no {0}. " + _SET_APP),
    Rule(r"attempted relative import",
         "The app is imported without its package. Set `app` in previewdrop.toml with the package "
         'in front, as in "app.main:app".'),
    Rule(r"Can't load plugin: sqlalchemy\.dialects:postgres$",
         "SQLAlchemy does not know postgres://. Write postgresql:// in .env.preview."),
    Rule(r"asyncio extension requires an async driver.*'(\w+)' is not async",
         "{0} is not asynchronous. Write DATABASE_URL=postgresql+asyncpg://… in .env.preview."),
    Rule(r"the greenlet library is required",
         "greenlet is not installed. Add sqlalchemy[asyncio] to the dependencies."),
    Rule(r'Form data requires "python-multipart"',
         "python-multipart is not installed. Add it to the dependencies."),
    Rule(r"email-validator is not installed",
         "email-validator is not installed. Add pydantic[email] to the dependencies."),
    Rule(r"No module named '?([\w.]+)'?", _module),
    Rule(r"cannot import name '([^']+)' from(?: partially initialized module)? '([^']+)'",
         "{1} has no {0}: another version of it is needed, or modules import each other."),
    # Alembic and the database
    Rule(r"Can't locate revision identified by '([^']+)'",
         "The database is at revision {0}, which this commit does not have. "
         "`previewdrop reset-db` makes the database anew."),
    Rule(r"[Mm]ultiple head revisions|has multiple heads",
         "Two migrations follow the same one. Run `alembic merge heads` and commit the result."),
    Rule(r"Target database is not up to date",
         "Migrations are missing. Run `alembic upgrade head` before this command."),
    Rule(r"No '?script_location'? key|No config file '?alembic\.ini",
         "There is no alembic.ini where commands run. Set `root` in previewdrop.toml."),
    Rule(r'permission denied to create extension "([^"]+)"', _EXTENSION),
    Rule(r'type "(vector|citext|hstore|geometry|geography|ltree)" does not exist', _EXTENSION),
    Rule(r"function uuid_generate_v\d\w*\(", _EXTENSION.format("uuid-ossp")),
    Rule(r'DuplicateTable.*"([^"]+)" already exists|relation "([^"]+)" already exists',
         lambda match, _at, _log:
         f"The table {match[1] or match[2]} exists already: does the app create tables by itself "
         "beside Alembic? `previewdrop reset-db` makes the database anew."),
    Rule(r'column "?([\w.]+)"?(?: of relation "\w+")? does not exist',
         "There is no column {0}. " + _MIGRATE),
    Rule(r'relation "([^"]+)" does not exist', "There is no table {0}. " + _MIGRATE),
    Rule(r"too many connections for role|too many clients already|connection slots are reserved",
         _POOL),
    Rule(r'password authentication failed for user "([^"]+)"', "{0} is not this preview's user, or "
         "the password is not its own. " + _USE_URL),
    Rule(r'(?:role|database) "([^"]+)" does not exist', "There is no {0} here. " + _USE_URL),
    Rule(r'could not translate host name "([^"]+)"', _OTHER_NETWORK),
    Rule(r"failed to resolve host '([^']+)'", _OTHER_NETWORK),
    Rule(r"connecting to ([\w.-]+):\d+\. .*[Nn]ame", _OTHER_NETWORK),
    # Redis
    Rule(r"NOPERM.*channel|no permissions to access one of the channels", _CHANNEL),
    Rule(r"(?i)no permissions to run the '([^']+)' command", _command_denied),
    Rule(r"WRONGPASS|NOAUTH Authentication required|invalid username-password pair",
         "The app does not log in to Redis as this preview's user. "
         "Connect with REDIS_URL as the environment has it."),
    # Network and machine
    Rule(r"(?:bind on address \('[^']*', (\d+).*)?[Aa]ddress already in use", _in_use),
    Rule(r"Connect call failed \('(?:127\.0\.0\.1|::1)', (\d+)|"
         r'server at "(?:localhost|127\.0\.0\.1|::1)".*, port (\d+) failed: Connection refused|'
         r"connecting to (?:localhost|127\.0\.0\.1|::1):(\d+)|"
         r"Failed to connect to (?:localhost|127\.0\.0\.1) port (\d+)", _refused),
    Rule(r"Read-only file system: '([^']+)'", _UNWRITABLE),
    Rule(r"([^\s:]+): Read-only file system", _UNWRITABLE),
    Rule(r"PermissionError: \[Errno 13\] Permission denied: '([^']+)'", _UNWRITABLE),
    Rule(r"No space left on device|Disk quota exceeded",
         "The disk is full. Remove previews that nobody needs: `previewdrop down`."),
    Rule(r"can't start new thread|(?:fork: (?:retry: )?|^BlockingIOError: \[Errno 11\] )"
         "Resource temporarily unavailable",
         "The preview has as many processes and threads as it may. Start fewer workers."),
    Rule(r"Too many open files", "The preview has as many files open as it may. Close what is not "
         "needed, or raise PREVIEWDROP_FILES on the server."),
    Rule(r"^MemoryError|Cannot allocate memory",
         "The memory limit is reached. Use less, or raise `memory` under [limits]."),
    # A missing command need not be why the script failed, unless nothing else is known
    Rule(_NOT_FOUND, _not_found),
)  # fmt: skip
