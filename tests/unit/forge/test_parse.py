"""What webhooks of GitHub tell, and that no bytes break the telling."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.errors import BadInput
from previewdrop.forge.events import (
    BranchDeleted,
    BranchPushed,
    CommentDeleted,
    Commented,
    Delivery,
    Event,
    InstallationJoined,
    InstallationLeft,
    Pull,
    PullChanged,
    Repository,
    RepositoryJoined,
    RepositoryLeft,
    RepositoryMoved,
)
from previewdrop.forge.github.parse import parsed

FOLDER = Path(__file__).parents[2] / "fixtures" / "github"
EXAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
WEB = "https://github.com"
KNOWN = [
    "pull_request",
    "push",
    "delete",
    "issue_comment",
    "installation",
    "installation_repositories",
    "repository",
]


def headers(event: str, content_type: str = "application/json") -> dict[str, str]:
    return {
        "x-github-event": event,
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "content-type": content_type,
    }


def tell(event: str, payload: object) -> Delivery:
    return parsed(headers(event), json.dumps(payload).encode(), WEB)


def example(name: str) -> dict[str, Any]:
    return copy.deepcopy(EXAMPLES[name])


def only(delivery: Delivery) -> Event:
    [event] = delivery.events
    return event


HELLO = Repository(
    186853002, "Codertocat/Hello-World", "https://github.com/Codertocat/Hello-World.git"
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_told(name: str):
    event = name.partition(".")[0]
    delivery = tell(event, EXAMPLES[name])
    assert delivery.id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    action = EXAMPLES[name].get("action")
    assert delivery.kind == (f"{event}.{action}" if action else event)
    if event == "pull_request":
        changed = only(delivery)
        assert isinstance(changed, PullChanged)
        assert changed.action == action


def test_a_pull_request():
    told = only(tell("pull_request", example("pull_request.opened")))
    assert isinstance(told, PullChanged)
    assert told.repository.name == "Codertocat/Hello-World"
    assert told.repository.installation == 1
    assert told.pull == Pull(
        number=2,
        title="Update the README with new information.",
        open=True,
        merged=False,
        draft=False,
        labels=frozenset({"bug"}),
        author="Codertocat",
        bot=False,
        base="master",
        branch="changes",
        head="ec26c3e57ca3a959ca5aad62de7213c562f8c821",
        fork=False,
        seen=datetime(2019, 5, 15, 15, 20, 33, tzinfo=UTC),
    )


def test_closed_and_merged_are_two_things():
    payload = example("pull_request.closed")
    assert _pull(payload).open is False
    assert _pull(payload).merged is False
    payload["pull_request"]["merged_at"] = "2019-05-15T15:21:18Z"
    assert _pull(payload).merged is True


def test_a_fork_is_known_by_the_id_of_its_repository():
    payload = example("pull_request.opened")
    payload["pull_request"]["head"]["repo"]["full_name"] = "Codertocat/Hello-World"
    payload["pull_request"]["head"]["repo"]["id"] = 7
    assert _pull(payload).fork is True
    payload["pull_request"]["head"]["repo"]["id"] = 186853002
    payload["pull_request"]["head"]["repo"]["full_name"] = "somebody/else"
    assert _pull(payload).fork is False


def test_the_head_repository_was_deleted():
    payload = example("pull_request.opened")
    payload["pull_request"]["head"]["repo"] = None
    assert _pull(payload).fork is None


def test_bots_and_deleted_accounts():
    payload = example("pull_request.opened")
    payload["pull_request"]["user"] = {"login": "dependabot[bot]", "type": "Bot"}
    assert (_pull(payload).author, _pull(payload).bot) == ("dependabot[bot]", True)
    payload["pull_request"]["user"] = None
    assert (_pull(payload).author, _pull(payload).bot) == ("ghost", False)


@given(
    title=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    branch=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200
    ),
)
def test_whatever_people_type_comes_through(title: str, branch: str):
    payload = example("pull_request.opened")
    payload["pull_request"]["title"] = title
    payload["pull_request"]["head"]["ref"] = branch
    pull = _pull(payload)
    assert (pull.title, pull.branch) == (title, branch)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("<script>alert(1)</script> | `x` @all\r\n\x1b[31m", None),
        ("\U0001f680 \u202e bidi", None),
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_only_what_no_database_keeps_is_replaced(typed: str, told: str | None):
    payload = example("pull_request.opened")
    payload["pull_request"]["title"] = typed
    assert _pull(payload).title == (told or typed)


def test_a_branch_is_pushed():
    payload = example("push.branch")
    pushed = only(tell("push", payload))
    assert isinstance(pushed, BranchPushed)
    assert pushed.branch == "master"
    assert pushed.commit == payload["after"]
    assert pushed.message == payload["head_commit"]["message"]
    assert pushed.seen == datetime(2019, 5, 15, 15, 20, 57, tzinfo=UTC)
    payload["head_commit"] = None
    pushed = only(tell("push", payload))
    assert isinstance(pushed, BranchPushed)
    assert pushed.message == ""


def test_a_branch_with_slashes_keeps_them():
    payload = example("push.branch") | {"ref": "refs/heads/feature/refs/heads/x"}
    pushed = only(tell("push", payload))
    assert isinstance(pushed, BranchPushed)
    assert pushed.branch == "feature/refs/heads/x"


def test_a_push_that_deletes_a_branch():
    payload = example("push.branch") | {"deleted": True, "head_commit": None, "after": "0" * 40}
    told = only(tell("push", payload))
    assert isinstance(told, BranchDeleted)
    assert told.branch == "master"


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/heads/", "refs/notes/x"])
def test_a_push_of_something_else_tells_nothing(ref: str):
    assert tell("push", example("push.branch") | {"ref": ref}).events == ()


def test_a_branch_is_deleted_but_a_tag_does_not_concern_us():
    payload = example("delete")
    assert tell("delete", payload).events == ()
    payload |= {"ref_type": "branch", "ref": "feature/x"}
    told = only(tell("delete", payload))
    assert isinstance(told, BranchDeleted)
    assert told.branch == "feature/x"


def test_a_comment_on_a_pull_request():
    payload = example("issue_comment.created")
    assert tell("issue_comment", payload).events == ()
    payload["issue"]["pull_request"] = {"url": "https://api.github.com/repos/x/y/pulls/1"}
    payload["comment"]["body"] = "/preview <b>\x07"
    told = only(tell("issue_comment", payload))
    assert isinstance(told, Commented)
    assert (told.number, told.comment) == (1, 492700400)
    assert (told.author, told.bot, told.body) == ("Codertocat", False, "/preview <b>\x07")
    payload["comment"] |= {"user": {"login": "a[bot]", "type": "Bot"}, "body": None}
    told = only(tell("issue_comment", payload))
    assert isinstance(told, Commented)
    assert (told.author, told.bot, told.body) == ("a[bot]", True, "")
    payload["comment"]["user"] = None
    told = only(tell("issue_comment", payload))
    assert isinstance(told, Commented)
    assert told.author == "ghost"


def test_edited_comments_are_not_told():
    payload = example("issue_comment.edited")
    payload["issue"]["pull_request"] = {}
    assert tell("issue_comment", payload).events == ()


def test_a_comment_is_deleted():
    payload = example("issue_comment.deleted")
    assert tell("issue_comment", payload).events == ()
    payload["issue"]["pull_request"] = {}
    told = only(tell("issue_comment", payload))
    assert isinstance(told, CommentDeleted)
    assert (told.number, told.comment) == (1, 2)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("renamed", RepositoryMoved),
        ("transferred", RepositoryMoved),
        ("privatized", RepositoryMoved),
        ("publicized", RepositoryMoved),
        ("deleted", RepositoryLeft),
    ],
)
def test_a_repository_moves_or_goes(action: str, kind: type[Event]):
    payload = example(f"repository.{action}")
    told = only(tell("repository", payload))
    assert type(told) is kind
    assert isinstance(told, RepositoryMoved | RepositoryLeft)
    assert told.repository.name == payload["repository"]["full_name"]
    assert told.repository.private == payload["repository"]["private"]


def test_a_new_repository_joins_only_an_app():
    payload = example("repository.created")
    payload.pop("installation", None)
    assert tell("repository", payload).events == ()
    payload["installation"] = {"id": 5}
    told = only(tell("repository", payload))
    assert isinstance(told, RepositoryJoined)
    assert told.repository.installation == 5


def test_other_changes_of_a_repository_tell_nothing():
    assert tell("repository", example("repository.edited")).events == ()


def test_installations():
    joined, repository = tell("installation", example("installation.created")).events
    assert joined == InstallationJoined(957387)
    assert repository == RepositoryJoined(
        Repository(HELLO.id, HELLO.name, HELLO.url, installation=957387)
    )
    resumed = tell("installation", example("installation.unsuspend"))
    assert [type(event) for event in resumed.events] == [InstallationJoined]
    for action in ("deleted", "suspend"):
        assert isinstance(
            only(tell("installation", example(f"installation.{action}"))), InstallationLeft
        )
    assert (
        tell("installation", example("installation.created") | {"action": "renamed"}).events == ()
    )


def test_repositories_come_into_reach_and_leave_it():
    added = only(tell("installation_repositories", example("installation_repositories.added")))
    assert isinstance(added, RepositoryJoined)
    assert added.repository.name == "Codertocat/Space"
    assert added.repository.url == "https://github.com/Codertocat/Space.git"
    removed = only(tell("installation_repositories", example("installation_repositories.removed")))
    assert isinstance(removed, RepositoryLeft)


def test_the_clone_address_never_comes_from_the_body():
    payload = example("pull_request.opened")
    payload["repository"]["clone_url"] = "https://evil.example/x.git"
    told = parsed(headers("pull_request"), json.dumps(payload).encode(), "https://ghe.acme.com")
    changed = only(told)
    assert isinstance(changed, PullChanged)
    assert changed.repository.url == "https://ghe.acme.com/Codertocat/Hello-World.git"


@pytest.mark.parametrize(
    "name",
    ["a", "a/b/c", "../b", "a/..", "a/.", "a/b\n", "a/b c", "@evil/b", "a/b?x", "", None, "a/b#c"],
)
def test_names_that_lead_elsewhere_are_refused(name: object):
    payload = example("pull_request.opened")
    payload["repository"]["full_name"] = name
    with pytest.raises(BadInput, match=r"an unusable repository\.full_name"):
        tell("pull_request", payload)


@pytest.mark.parametrize("commit", ["", "--upload-pack=x", "ABC", "a" * 39, "a" * 40 + "\n", 5])
def test_what_is_no_commit_is_refused(commit: object):
    payload = example("pull_request.opened")
    payload["pull_request"]["head"]["sha"] = commit
    with pytest.raises(BadInput, match=r"an unusable pull_request\.head\.sha"):
        tell("pull_request", payload)


@pytest.mark.parametrize("event", ["ping", "watch", "check_run", "something_new"])
def test_unknown_events_are_accepted_and_ignored(event: str):
    delivery = tell(event, {"action": "started", "zen": "Design for failure."})
    assert delivery.events == ()
    assert delivery.kind == f"{event}.started"


@pytest.mark.parametrize("action", [5, None, [], "<b>", "x" * 99])
def test_an_action_that_is_no_word_is_left_out(action: object):
    assert tell("watch", {"action": action}).kind == "watch"


def test_a_form_is_read_too():
    body = urlencode({"payload": json.dumps(example("push.branch"))}).encode()
    form = headers("push", "application/x-www-form-urlencoded")
    assert isinstance(only(parsed(form, body, WEB)), BranchPushed)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "application/json", "The webhook's body is not JSON."),
        (b"{", "application/json", "The webhook's body is not JSON."),
        (b"\xff\xfe{}", "application/json", "The webhook's body is not JSON."),
        (b"[" * 200_000, "application/json", "The webhook's body is not JSON."),
        (b"1" * 5000, "application/json", "The webhook's body is not JSON."),
        (b"[]", "application/json", "The webhook's body is not a JSON object."),
        (b"null", "application/json", "The webhook's body is not a JSON object."),
        (b"x=1", "application/x-www-form-urlencoded", "The webhook's body is not JSON."),
        (b"payload=%ff", "application/x-www-form-urlencoded", "The webhook's body is not JSON."),
        (b"&a=1" * 20, "application/x-www-form-urlencoded", "The webhook's body is not JSON."),
    ],
)
def test_what_is_not_json_is_said_in_a_sentence(body: bytes, content_type: str, message: str):
    with pytest.raises(BadInput) as refused:
        parsed(headers("push", content_type), body, WEB)
    assert str(refused.value) == message


@pytest.mark.parametrize("event", KNOWN)
def test_what_lacks_everything_is_said_in_a_sentence(event: str):
    with pytest.raises(BadInput, match=rf"^GitHub's event {event} has no [a-z_]+\.$"):
        tell(event, {})


def test_values_stay_out_of_the_sentence():
    payload = example("pull_request.opened")
    payload["pull_request"]["number"] = "s3cret"
    with pytest.raises(BadInput) as refused:
        tell("pull_request", payload)
    assert str(refused.value) == (
        "GitHub's event pull_request.opened has an unusable pull_request.number."
    )


@pytest.mark.parametrize(
    "given_headers",
    [
        {},
        {"X-GitHub-Event": "push"},
        {"X-GitHub-Delivery": "1"},
        {"X-GitHub-Event": "Push!", "X-GitHub-Delivery": "1"},
        {"X-GitHub-Event": "push", "X-GitHub-Delivery": "a b"},
    ],
)
def test_a_webhook_without_its_headers_is_none(given_headers: dict[str, str]):
    with pytest.raises(BadInput, match="X-GitHub-Event and X-GitHub-Delivery"):
        parsed(given_headers, b"{}", WEB)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*KNOWN, "ping"]), st.binary(max_size=300))
def test_no_bytes_break_it(event: str, body: bytes):
    _survives(event, body)


@given(st.data())
def test_no_change_of_an_example_breaks_it(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(EXAMPLES)))
    payload = example(name)
    place: Any = payload
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(json_values)
    _survives(name.partition(".")[0], json.dumps(payload).encode())


def _survives(event: str, body: bytes) -> None:
    try:
        told = repr(parsed(headers(event), body, WEB))
    except BadInput as refused:
        told = str(refused)
    told.encode()
    assert "\n" not in told


def _pull(payload: dict[str, Any]) -> Pull:
    told = only(tell("pull_request", payload))
    assert isinstance(told, PullChanged)
    return told.pull
