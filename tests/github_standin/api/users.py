"""The person behind a token, and how much of its rate limit is left."""

from __future__ import annotations

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, Refusal
from github_standin.clock import iso
from github_standin.tokens import PersonalToken

_NOBODY_SAYS = dict.fromkeys(
    ("company", "location", "email", "hireable", "bio", "twitter_username")
)


@operation("users/get-authenticated")
def own(call: Call) -> Answer:
    if not isinstance(call.viewer, PersonalToken):
        raise Refusal(403, "Resource not accessible by integration")
    user, began = call.viewer.user, iso(call.github.clock.now())
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    more = {"name": user.login, "blog": "", "created_at": began, "updated_at": began}
    return Answer(200, payloads.account(user) | _NOBODY_SAYS | counts | more)


@operation("repos/list-for-authenticated-user")
def repositories(call: Call) -> Answer:
    if not isinstance(call.viewer, PersonalToken):
        raise Refusal(403, "Resource not accessible by integration")
    user = call.viewer.user
    found = [
        each
        for each in call.github.repositories.values()
        if each.owner is user or each.people.get(user.login, "none") != "none"
    ]
    return call.page(found, lambda each: payloads.repository(each, each.level(user)))


@operation("rate-limit/get")
def rate_limit(call: Call) -> Answer:
    rate = call.github.limits.shown(call.viewer)
    resources = dict.fromkeys(("core", "search", "graphql", "integration_manifest"), rate)
    return Answer(200, {"resources": resources, "rate": rate})
