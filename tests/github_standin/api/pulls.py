"""Pull requests."""

from __future__ import annotations

from collections.abc import Mapping

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, not_found
from github_standin.payloads.commits import changed_file
from github_standin.pull import Pull


@operation("pulls/list", "pull_requests")
def pulls(call: Call) -> Answer:
    query = call.query
    found = [each for each in call.repository.pulls.values() if _matches(each, query)]
    by_update = query.get("sort") == "updated"
    found.sort(
        key=lambda each: (each.updated_at if by_update else each.created_at, each.number),
        reverse=query.get("direction", _usual(query)) == "desc",
    )
    return call.page(found, payloads.simple_pull)


@operation("pulls/get", "pull_requests")
def one(call: Call) -> Answer:
    pull = _pull(call)
    mergeable = None if pull.merged else pull.trial_merge() is not None
    return Answer(200, payloads.pull(pull, mergeable=mergeable))


@operation("pulls/list-files", "pull_requests")
def files(call: Call) -> Answer:
    pull = _pull(call)
    changes = pull.repository.git.compared(pull.base_commit, pull.head)
    return call.page(list(changes), lambda each: changed_file(pull.repository, pull.head, each))


@operation("issues/list-events", "issues", "pull_requests")
def events(call: Call) -> Answer:
    """Of all that happens to a pull request only its labels."""
    pull = call.repository.pulls.get(call.id("issue_number"))
    if pull is None:
        raise not_found()
    return call.page(pull.labellings, lambda each: payloads.labelling(pull.repository, each))


def _pull(call: Call) -> Pull:
    pull = call.repository.pulls.get(call.id("pull_number"))
    if pull is None:
        raise not_found()
    return pull


def _usual(query: Mapping[str, str]) -> str:
    return "desc" if query.get("sort", "created") == "created" else "asc"


def _matches(pull: Pull, query: Mapping[str, str]) -> bool:
    state = query.get("state", "open")
    return (
        state in ("all", "open" if pull.open else "closed")
        and query.get("base", pull.base) == pull.base
        and query.get("head", pull.label_of_head) == pull.label_of_head
    )
