"""What GitHub's answers mean: data, a limit to wait for, a failure that passes, or a no.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from previewdrop.domain.errors import Unavailable
from previewdrop.forge.base import Refused
from previewdrop.forge.github.parse import complaint
from previewdrop.forge.github.payloads import Payload, storable

_UNSAID_WAIT = 60.0
"""What GitHub asks for when a limit is reached and it does not say until when."""
_LONGEST_WAIT = 3600.0
_LONGEST_REASON = 300

_P = TypeVar("_P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` is the JSON, None for none. `mark` is the ETag, `more` that a next page follows.

    `changed` is False when the host said that nothing changed since the mark of the call.
    """

    value: Any
    mark: str | None = None
    more: bool = False
    changed: bool = True


def problem(
    doing: str, status: int, headers: Mapping[str, str], content: bytes, now: float
) -> Refused | Unavailable:
    """The error for an answer of 400 and above. `now` is the host's time, seconds since 1970.

    Names of `headers` are in lower case. Redirections that lead nowhere come here as well.
    """
    reason = _reason(status, content)
    seconds = _limited(status, headers, reason, now)
    if seconds is not None:
        return Unavailable(f"GitHub wants fewer requests and refused to {doing}.", seconds=seconds)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Unavailable(
            f"GitHub failed to {doing} (status {status}).", seconds=_retry_after(headers)
        )
    return Refused(
        f"GitHub refused to {doing}: {reason}.", _HINTS.get(status), answer=status, reason=reason
    )


def read(model: type[_P], value: object) -> _P:
    """What we read of an answer. Unavailable when it has another shape: something else answered."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Unavailable(f"GitHub's answer has {complaint(error)}.") from error


def read_list(model: type[_P], value: object) -> list[_P]:
    """The same for each of a list."""
    if not isinstance(value, list):
        raise Unavailable("GitHub's answer is not a list.")
    return [read(model, each) for each in cast("list[object]", value)]


def loaded(content: bytes) -> Any:
    """The JSON of an answer, None for an empty one. Unavailable when it is something else."""
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unavailable("What answered for GitHub sent something else than JSON.") from error


def host_time(headers: Mapping[str, str]) -> float | None:
    """The host's own clock, in seconds since 1970."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _limited(status: int, headers: Mapping[str, str], reason: str, now: float) -> float | None:
    """How many seconds to wait for a primary or secondary limit; None when it is none."""
    if status not in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return None
    asked = _retry_after(headers)
    if asked is not None:
        return asked
    if headers.get("x-ratelimit-remaining") == "0":
        reset = _number(headers.get("x-ratelimit-reset"))
        return _UNSAID_WAIT if reset is None else _bounded(reset - now)
    words = reason.lower()
    if status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in words or "abuse" in words:
        return _UNSAID_WAIT
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    seconds = _number(headers.get("retry-after"))
    return None if seconds is None else _bounded(seconds)


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), _LONGEST_WAIT)


def _reason(status: int, content: bytes) -> str:
    """GitHub's own words, in one line: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api"""
    said = [part for part in _said(content) if part]
    text = storable(" ".join(": ".join(said).split()))
    return str(text)[:_LONGEST_REASON].rstrip(".") or f"status {status}"


def _said(content: bytes) -> list[str]:
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        return []
    if not isinstance(body, dict):
        return []
    found = cast("dict[str, object]", body)
    errors = found.get("errors")
    details = cast("list[object]", errors) if isinstance(errors, list) else [errors]
    return [_text(found.get("message")), "; ".join(filter(None, map(_detail, details)))]


def _detail(error: object) -> str:
    if not isinstance(error, dict):
        return _text(error)
    told = cast("dict[str, object]", error)
    parts = ("message",) if told.get("message") else ("field", "code")
    return " ".join(_text(told.get(part)) for part in parts).strip()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_HINTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Connect GitHub again with `previewdrop github connect`, or give a "
    "token that has not expired.",
    HTTPStatus.FORBIDDEN: "See whether the App has its permissions, and whether its owner has "
    "accepted the latest ones; a token needs them too.",
    HTTPStatus.NOT_FOUND: "See whether it still exists, and whether the App is installed, or the "
    "token allowed, for that repository.",
}
