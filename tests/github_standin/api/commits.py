"""Commits, their statuses and check runs."""

from __future__ import annotations

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, Refusal, invalid
from github_standin.clock import iso
from github_standin.commits import MOST_STATUSES, Status, newest
from github_standin.payloads.real import node_id

_MOST_DESCRIPTION = 140


@operation("repos/get-commit", "contents")
def one(call: Call) -> Answer:
    return Answer(200, payloads.commit(call.repository, _sha(call, call.path["ref"])))


@operation("repos/create-commit-status", "statuses", level="write")
def say(call: Call) -> Answer:
    repository, body = call.repository, call.body
    sha = repository.git.find(call.path["sha"])
    if sha is None or not sha.startswith(call.path["sha"]):
        raise Refusal(422, f"No commit found for SHA: {call.path['sha']}")
    description = body.get("description")
    if description is not None and len(description) > _MOST_DESCRIPTION:
        raise invalid("Status", "description")
    context = body.get("context", "default")
    same = [each for each in repository.statuses if (each.sha, each.context) == (sha, context)]
    if len(same) >= MOST_STATUSES:
        raise Refusal(
            422,
            "Validation Failed: This SHA and context has reached the maximum number of statuses.",
        )
    status = Status(
        repository,
        call.github.next_id(),
        sha,
        body["state"],
        context,
        description,
        body.get("target_url"),
        call.actor,
        call.github.clock.now(),
    )
    repository.statuses.append(status)
    shown = payloads.status(status)
    return Answer(201, shown, {"Location": shown["url"]})


@operation("repos/get-combined-status-for-ref", "statuses")
def combined(call: Call) -> Answer:
    sha = _sha(call, call.path["ref"])
    shown = payloads.combined_status(call.repository, sha, newest(call.repository, sha))
    return Answer(200, shown)


@operation("repos/list-commit-statuses-for-ref", "statuses")
def statuses(call: Call) -> Answer:
    sha = _sha(call, call.path["ref"])
    found = [each for each in reversed(call.repository.statuses) if each.sha == sha]
    return call.page(found, payloads.status)


@operation("checks/create", "checks", level="write")
def check(call: Call) -> Answer:
    repository, body = call.repository, call.body
    if call.app is None:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    id, now = call.github.next_id(), iso(call.github.clock.now())
    url = f"{repository.api}/check-runs/{id}"
    output = {"title": None, "summary": None, "text": None} | body.get("output", {})
    run = {
        "id": id,
        "head_sha": body["head_sha"],
        "node_id": node_id("CheckRun", id),
        "external_id": body.get("external_id", ""),
        "url": url,
        "html_url": f"{repository.web}/runs/{id}",
        "details_url": body.get("details_url"),
        "status": body.get("status", "completed" if "conclusion" in body else "queued"),
        "conclusion": body.get("conclusion"),
        "started_at": body.get("started_at", now),
        "completed_at": body.get("completed_at", now if "conclusion" in body else None),
        "output": output | {"annotations_count": 0, "annotations_url": f"{url}/annotations"},
        "name": body["name"],
        "check_suite": {"id": id + 1},
        "app": payloads.app(call.app),
        "pull_requests": [],
    }
    repository.check_runs.append(run)
    return Answer(201, run)


def _sha(call: Call, ref: str) -> str:
    sha = call.repository.git.find(ref)
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    return sha
