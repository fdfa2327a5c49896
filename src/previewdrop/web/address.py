"""This server's own address, as whoever asks reaches it."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request


def base_of(request: Request, public: str | None) -> str:
    """Without a slash at the end. `public` is the address that the settings give it."""
    asked = request.base_url
    if public is not None and urlsplit(public).netloc == asked.netloc:
        return public  # which may be encrypted by a proxy in front of us
    return str(asked).rstrip("/")
