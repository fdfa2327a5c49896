"""Deliveries of webhooks as GitHub lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin.payloads.real import Json

if TYPE_CHECKING:
    from github_standin.webhooks import Delivery


def delivery_item(delivery: Delivery) -> Json:
    last = delivery.statuses[-1] if delivery.statuses else None
    repository = delivery.payload.get("repository") or {}
    installation = delivery.payload.get("installation") or {}
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": delivery.at,
        "redelivery": len(delivery.statuses) > 1,
        "duration": 0.1,
        "status": "OK" if last is not None and last < 400 else "failed to connect to host",
        "status_code": last or 0,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": installation.get("id"),
        "repository_id": repository.get("id"),
        "throttled_at": None,
    }
