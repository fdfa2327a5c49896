"""Every error PreviewDrop raises on purpose, one tree.

    PreviewDropError
    ├── BadInput              what the user gave us cannot work; nothing was changed
    │   ├── BadName           a project, preview or variable name that cannot be used
    │   ├── BadConfig         previewdrop.toml, [tool.previewdrop] or a project setting
    │   ├── BadTemplate       an env template: unknown variable, cycle, invalid line
    │   └── BadSource         not a repository, unknown branch or commit, unsafe content
    │       ├── NoAccess      no such repository, or the login does not open it
    │       └── NoCommit      no such commit, or not yet
    ├── NotFound              no such project, preview or deployment
    ├── Conflict              it exists already, or a limit is reached
    ├── StageFailed           one stage of one deployment ended badly; carries what to tell
    ├── Unavailable           a service we depend on did not answer; passes by itself, retried
    └── ServerError           the control plane itself cannot run (home locked, port taken)

The text of each is one sentence that says what happened, and `hint` says what to do next.
"""

from __future__ import annotations


class PreviewDropError(Exception):
    """An error with a sentence for people.

    `message` says what happened in one sentence. `hint`, where there is one, says what to do next.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class BadInput(PreviewDropError):
    """What the user gave cannot work; nothing was changed."""


class BadName(BadInput):
    """A project, preview or variable name that cannot be used."""


class BadConfig(BadInput):
    """A setting in the repository or on the server that is unknown or of the wrong type."""


class BadTemplate(BadInput):
    """An env template with an unknown variable, a cycle or an invalid line."""


class BadSource(BadInput):
    """A repository, branch or commit that cannot be used."""


class NoAccess(BadSource):
    """A repository that is not there, or is hidden from us: hosts do not tell these apart."""


class NoCommit(BadSource):
    """A commit that a repository has not got, or that its host does not hand out yet."""


class NotFound(PreviewDropError):
    """No such project, preview or deployment."""


class Conflict(PreviewDropError):
    """It exists already, or a limit is reached."""


class Unavailable(PreviewDropError):
    """A service did not answer; it passes by itself, so the step is tried again.

    `seconds` is how long the service asked to be left alone, None where it did not say.
    """

    def __init__(
        self, message: str, hint: str | None = None, *, seconds: float | None = None
    ) -> None:
        super().__init__(message, hint)
        self.seconds = seconds


class ServerError(PreviewDropError):
    """The control plane itself cannot run."""


class StageFailed(PreviewDropError):
    """One stage of one deployment ended badly.

    `log_tail` holds the last lines that the stage printed, already redacted, oldest first.
    `exit_code` is that of the command that failed, `status` the last HTTP status of a health check.
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        log_tail: tuple[str, ...] = (),
        exit_code: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.log_tail = log_tail
        self.exit_code = exit_code
        self.status = status
