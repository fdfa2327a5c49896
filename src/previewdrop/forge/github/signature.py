"""Whether a webhook comes from GitHub: an HMAC over the raw body, before anything is parsed.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from previewdrop.domain.secret import Secret
from previewdrop.forge.github.headers import SIGNATURE, header

_PREFIX = "sha256="
_FORM = re.compile(rf"{_PREFIX}[0-9a-f]{{64}}")


def signature(secret: Secret, body: bytes) -> str:
    """The value of X-Hub-Signature-256 for a body: `sha256=` and 64 lower-case hex digits."""
    return _PREFIX + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def present(headers: Mapping[str, str]) -> bool:
    """Whether there is anything of a signature's form: without it no body need be read."""
    return _FORM.fullmatch(header(headers, SIGNATURE)) is not None


def verified(secret: Secret, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the body was signed with the secret.

    False as well for no signature, one of another form, and the SHA-1 of old (X-Hub-Signature),
    which is not looked at. An empty secret verifies nothing: anybody could sign with it.
    """
    if not secret:
        return False
    given = header(headers, SIGNATURE).encode(errors="replace")
    return hmac.compare_digest(given, signature(secret, body).encode())
