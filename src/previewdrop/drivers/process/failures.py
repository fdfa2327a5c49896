"""What went wrong in uv, said so that the author of the repository can mend it."""

from __future__ import annotations

import re

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable

_TAIL = 20
_URL = re.compile(r"https?://(?:[^/@\s]*@)?([^/\s`]+)")
_BUILT = re.compile(r"(?i)failed to (?:build|download and build|prepare)[^`]*`([^`]+)`")
_NETWORK = re.compile(
    r"(?i)error sending request|dns error|connection (?:refused|reset)|timed out|timeout"
    r"|network is unreachable|operation was canceled|status server error|HTTP status 5\d\d"
    r"|incomplete message|tls handshake"
)
_DENIED = re.compile(r"(?i)\b(?:401 Unauthorized|403 Forbidden)\b")
_MEMORY = 137


def explain(lines: list[str], exit_code: int) -> PreviewDropError:
    """The error for a uv that ended with `exit_code` after printing `lines`, oldest first."""
    tail = tuple(lines[-_TAIL:])
    text = "\n".join(lines)
    message, hint = _sentence(text, exit_code)
    if _NETWORK.search(text) and "No solution found" not in text:
        host = _URL.search(text)
        name = host[1] if host else "The package index"
        return Unavailable(
            f"{name} did not answer while dependencies were installed.",
            "It is tried again; check the server's network, proxy and UV_DEFAULT_INDEX.",
        )
    return StageFailed(message, hint, log_tail=tail, exit_code=exit_code)


def cause(text: str) -> str:
    """The causes that uv prints below an error, as one line; its error line if there are none."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        stripped = line.strip()
        if line.startswith("error:"):
            found, inside = [], False
        elif stripped.startswith(("cause:", "Caused by:", "╰─▶", "├─▶")):
            inside = True
            found.append(re.sub(r"^(?:cause:|Caused by:|[╰├]─▶)\s*", "", stripped))
        elif inside and (line.startswith((" ", "\t", "│"))) and stripped.strip("│ ^|"):
            found.append(stripped.strip("│ "))
        elif stripped.startswith(("hint:", "warning:")):
            inside = False
    if found:
        return " ".join(found).rstrip(".")
    errors = re.findall(r"(?m)^\s*(?:error:|×)\s*(.+)$", text)
    return (errors[-1] if errors else "uv gave no reason").rstrip(".")


def _sentence(text: str, exit_code: int) -> tuple[str, str]:
    reason = cause(text)
    if "No space left on device" in text:
        return "The server's disk is full.", "Free space on the server, then redeploy."
    if exit_code == _MEMORY:
        return (
            "Installing the dependencies was killed for memory.",
            "Use packages that have wheels, so that nothing is compiled on the server.",
        )
    if "No solution found" in text:
        return (
            f"The dependencies cannot be satisfied: {reason}.",
            "Change the versions that contradict each other, then push again.",
        )
    if "ash mismatch" in text:
        return (
            f"A package is not the one that was locked: {reason}.",
            "Write the lock file again, and check the package index if that surprises you.",
        )
    if _DENIED.search(text):
        return (
            f"The package index refused access: {reason}.",
            "Give the project the variables of its index (UV_INDEX_<NAME>_USERNAME, …_PASSWORD).",
        )
    if match := re.search(r"(?i)couldn't parse requirement in `([^`]+)`", text):
        return (
            f"{match[1]} has a line that is no requirement: {reason}.",
            "Mend that line, then push again.",
        )
    if (match := _BUILT.search(text)) or "[stderr]" in text or "build backend returned" in text:
        name = match[1] if match else "A dependency"
        return (
            f"{name} could not be built: {_last_of_build(text) or reason}.",
            "Use a release that has a wheel for this Python, or install on the server what its "
            "build needs (compiler, headers).",
        )
    if match := re.search(r"(?i)failed to parse:? `([^`]+)`", text):
        return f"{match[1]} cannot be read: {reason}.", "Write it again, then push."
    return (
        f"The dependencies could not be installed: {reason}.",
        "The build log has all that uv said.",
    )


def _last_of_build(text: str) -> str | None:
    """The exception, else the last line, that a build backend printed on stderr."""
    printed = text.partition("[stderr]")[2].partition("\nhint:")[0]
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    raised = [
        line for line in lines if re.match(r"(?:\w+\.)*\w*(?:Error|Exception|error):? ", line)
    ]
    return (raised or lines or [""])[-1].rstrip(".") or None
