"""The headers of a webhook, whose names may come in any case.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
"""

from __future__ import annotations

from collections.abc import Mapping

SIGNATURE = "X-Hub-Signature-256"
EVENT = "X-GitHub-Event"
DELIVERY = "X-GitHub-Delivery"
CONTENT_TYPE = "Content-Type"


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header, empty when there is none."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), "")
