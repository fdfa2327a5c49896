"""Comments on pull requests, and reactions to them."""

from __future__ import annotations

from datetime import datetime

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.calls import Answer, Call, Refusal, invalid, not_found
from github_standin.comments import Comment
from github_standin.tokens import PersonalToken

_MOST_CHARACTERS = 65536
_EITHER = ("issues", "pull_requests")


@operation("issues/list-comments", *_EITHER)
def comments(call: Call) -> Answer:
    number = _number(call)
    found = [each for each in _since(call) if each.number == number]
    return call.page(found, payloads.comment)


@operation("issues/list-comments-for-repo", *_EITHER)
def of_repository(call: Call) -> Answer:
    """Ordered by id unless something else is asked for."""
    found, query = _since(call), call.query
    if "sort" in query:
        by_update = query["sort"] == "updated"
        found.sort(
            key=lambda each: (each.updated_at if by_update else each.created_at, each.id),
            reverse=query.get("direction", "desc") == "desc",
        )
    return call.page(found, payloads.comment)


@operation("issues/create-comment", *_EITHER, level="write")
def write(call: Call) -> Answer:
    number, body = _number(call), _text(call)
    comment = call.repository.comment(number, body, call.actor, app=call.app)
    shown = payloads.comment(comment)
    return Answer(201, shown, {"Location": shown["url"]})


@operation("issues/get-comment", *_EITHER)
def one(call: Call) -> Answer:
    return Answer(200, payloads.comment(_comment(call)))


@operation("issues/update-comment", *_EITHER, level="write")
def edit(call: Call) -> Answer:
    comment = _own(call)
    comment.edit(_text(call), by=call.actor)
    return Answer(200, payloads.comment(comment))


@operation("issues/delete-comment", *_EITHER, level="write")
def delete(call: Call) -> Answer:
    _own(call).delete(by=call.actor)
    return Answer(204)


@operation("reactions/list-for-issue-comment", *_EITHER)
def reactions(call: Call) -> Answer:
    content = call.query.get("content")
    found = [each for each in _comment(call).reactions if content in (None, each.content)]
    return call.page(found, payloads.reaction)


@operation("reactions/create-for-issue-comment", *_EITHER, level="write")
def react(call: Call) -> Answer:
    reaction, new = _comment(call).react(call.body["content"], call.actor)
    return Answer(201 if new else 200, payloads.reaction(reaction))


def _since(call: Call) -> list[Comment]:
    found = list(call.repository.comments.values())
    if "since" not in call.query:
        return found
    since = datetime.fromisoformat(call.query["since"])
    return [each for each in found if each.updated_at >= since]


def _number(call: Call) -> int:
    number = call.id("issue_number")
    if number not in call.repository.pulls:
        raise not_found()
    return number


def _comment(call: Call) -> Comment:
    comment = call.repository.comments.get(call.id("comment_id"))
    if comment is None:
        raise not_found()
    return comment


def _own(call: Call) -> Comment:
    """Whoever may write to the repository may change everybody's comments."""
    comment, viewer = _comment(call), call.viewer
    others = isinstance(viewer, PersonalToken) and comment.by is not viewer.user
    if others and not call.repository.may(viewer.user, "write"):
        raise Refusal(403, "Must have admin rights to Repository.")
    return comment


def _text(call: Call) -> str:
    body = call.body["body"]
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    if len(body) > _MOST_CHARACTERS:
        raise Refusal(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    return body
