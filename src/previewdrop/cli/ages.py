"""Times as people say them: `yesterday`, `in 13 days`."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def moment(text: str) -> datetime:
    """An RFC 3339 time of the API; one without a zone is UTC."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `5 minutes ago`, `yesterday`, `3 days ago`."""
    seconds = (now - then).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    days = (now.astimezone().date() - then.astimezone().date()).days
    if seconds >= _DAY / 2 and days == 1:
        return "yesterday"
    return f"{_span(seconds)} ago"


def until(then: datetime, now: datetime) -> str:
    """`in 13 days`, or `now` when it is over."""
    seconds = (then - now).total_seconds()
    return (
        f"in {_span(seconds + _HOUR / 2 if seconds > _DAY else seconds)}" if seconds > 0 else "now"
    )


def short(then: datetime, now: datetime) -> str:
    """An age in a table: `4s`, `12m`, `3h`, `9d`."""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _span(seconds: float) -> str:
    for unit, size in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{max(1, int(seconds))} second{'' if int(seconds) == 1 else 's'}"
