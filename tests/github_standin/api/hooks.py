"""Webhooks of repositories, for those who have no App."""

from __future__ import annotations

from typing import Any

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, Refusal, not_found
from github_standin.hooks import Hook
from github_standin.payloads.deliveries import delivery_item

_NEEDED = "repository_hooks"


@operation("repos/list-webhooks", _NEEDED)
def hooks(call: Call) -> Answer:
    repository = call.repository
    found = list(repository.hooks.values())
    return call.page(found, lambda each: payloads.hook(repository, each))


@operation("repos/create-webhook", _NEEDED, level="write")
def create(call: Call) -> Answer:
    repository, body, now = call.repository, call.body or {}, call.github.clock.now()
    config = body.get("config", {})
    if "url" not in config:
        raise Refusal(422, "Validation Failed: url cannot be blank")
    events = tuple(body.get("events", ["push"]))
    if any(
        (each.url, each.events) == (config["url"], events) for each in repository.hooks.values()
    ):
        raise Refusal(422, "Validation Failed: Hook already exists on this repository")
    hook = Hook(
        call.github.next_id(),
        config["url"],
        config.get("secret"),
        config.get("content_type", "form"),
        str(config.get("insecure_ssl", "0")),
        events,
        body.get("active", True),
        now,
        now,
    )
    repository.hooks[hook.id] = hook
    call.github.webhooks.ping(repository, hook)
    shown = payloads.hook(repository, hook)
    return Answer(201, shown, {"Location": shown["url"]})


@operation("repos/get-webhook", _NEEDED)
def one(call: Call) -> Answer:
    return Answer(200, payloads.hook(call.repository, _hook(call)))


@operation("repos/update-webhook", _NEEDED, level="write")
def change(call: Call) -> Answer:
    hook, body = _hook(call), call.body or {}
    config: dict[str, Any] = body.get("config", {})
    if config:
        hook.url = config.get("url", hook.url)
        hook.content_type = config.get("content_type", hook.content_type)
        hook.secret = config.get("secret")
    events = set(body.get("events", hook.events)) | set(body.get("add_events", ()))
    hook.events = tuple(sorted(events - set(body.get("remove_events", ()))))
    hook.active = body.get("active", hook.active)
    hook.updated_at = call.github.clock.now()
    return Answer(200, payloads.hook(call.repository, hook))


@operation("repos/delete-webhook", _NEEDED, level="write")
def delete(call: Call) -> Answer:
    call.repository.hooks.pop(_hook(call).id)
    return Answer(204)


@operation("repos/ping-webhook", _NEEDED, level="write")
def ping(call: Call) -> Answer:
    call.github.webhooks.ping(call.repository, _hook(call))
    return Answer(204)


@operation("repos/list-webhook-deliveries", _NEEDED)
def deliveries(call: Call) -> Answer:
    found = call.github.webhooks.of(_hook(call))
    size = int(call.query.get("per_page", "30"))
    return Answer(200, [delivery_item(each) for each in found[:size]])


@operation("repos/redeliver-webhook-delivery", _NEEDED, level="write")
def redeliver(call: Call) -> Answer:
    for each in call.github.webhooks.of(_hook(call)):
        if each.id == call.id("delivery_id"):
            call.github.webhooks.redeliver(each)
            return Answer(202, {})
    raise not_found()


def _hook(call: Call) -> Hook:
    hook = call.repository.hooks.get(call.id("hook_id"))
    if hook is None:
        raise not_found()
    return hook
