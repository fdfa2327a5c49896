"""Comments: how long after a webhook the new commit's URL stands on the pull request."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from benchmarks.measure import Result, Tell
from benchmarks.server import Server, running

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from github_standin.github import GitHub
from github_standin.pull import Pull
from github_standin.server import standing_in

ROUNDS = 7
NUMBER = 42
_PAUSE = 0.005
_LONGEST = 60.0


def comments(folder: Path, tell: Tell) -> Result:
    """In turn a branch that is asked for over the API, and a push that GitHub tells of.

    Both are the same repository on the same server, so what is left between them is hearing,
    deciding and telling. The stand-in checks every request against GitHub's description meanwhile.
    """
    folder.mkdir(exist_ok=True)
    with standing_in(folder / "github", enterprise=True) as github, running(folder / "home") as own:
        pull = _opened(github, own)
        rounds: list[tuple[float, float]] = []
        for number in range(ROUNDS):
            tell(f"comment {number + 1} of {ROUNDS}")
            rounds.append((_asked(own, pull, number), _told(github, pull, number)))
    live, told = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "push_to_live": live,
        "webhook_to_comment": told,
        "beyond": statistics.median(told - live for live, told in rounds),
        "rounds": rounds,
    }


def _opened(github: GitHub, own: Server) -> Pull:
    """A pull request of a connected repository, and a branch beside it, both live."""
    person = github.user("ali")
    shop = github.repository("acme/shop", "shop", private=True)
    shop.grant(person, "admin")
    address = str(own.client.base_url).rstrip("/")
    connection = {"url": github.web, "token": github.token_of(person), "address": address}
    own.client.post("/api/v1/github/connections", json=connection).raise_for_status()
    own.client.post("/api/v1/github/projects", json={"repository": "acme/shop"}).raise_for_status()
    pull = shop.open_pull("feature", {"app/change.py": "CHANGE = 0\n"}, by=person, number=NUMBER)
    _until_told(pull, pull.head)
    own.wait({own.push("shop", "main")})
    return pull


def _asked(own: Server, pull: Pull, number: int) -> float:
    """Seconds from asking for a branch's new commit until it is live."""
    pull.repository.commit("main", {"app/other.py": f"CHANGE = {number}\n"}, "Change")
    began = time.perf_counter()
    own.wait({own.push("shop", "main")})
    return time.perf_counter() - began


def _told(github: GitHub, pull: Pull, number: int) -> float:
    """Seconds from the webhook of a push until the comment shows the commit live."""
    github.webhooks.pause()
    head = pull.push({"app/change.py": f"CHANGE = {number + 1}\n"})
    began = time.perf_counter()
    github.webhooks.resume()
    _until_told(pull, head)
    return time.perf_counter() - began


def _until_told(pull: Pull, head: str) -> None:
    deadline = time.perf_counter() + _LONGEST
    while not any(
        f"| commit | `{head[:7]}`" in each.body and "🚀" in each.body for each in pull.comments
    ):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"no comment: {[each.body for each in pull.comments]}")
        time.sleep(_PAUSE)
