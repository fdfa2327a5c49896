"""States of deployments: which may follow which."""

from itertools import pairwise

import pytest

from previewdrop.domain.preview import DeploymentState, may_follow, sources_of

WAY = [
    DeploymentState.QUEUED,
    DeploymentState.BUILDING,
    DeploymentState.DEPLOYING,
    DeploymentState.READY,
]
ENDS = {DeploymentState.READY, DeploymentState.FAILED, DeploymentState.CANCELLED}


def test_the_way_of_a_good_deployment():
    for before, after in pairwise(WAY):
        assert may_follow(before, after)


@pytest.mark.parametrize("state", list(DeploymentState))
def test_an_end_is_an_end(state: DeploymentState):
    following = {after for after in DeploymentState if may_follow(state, after)}
    assert state.ended == (state in ENDS) == (not following)


@pytest.mark.parametrize("state", [s for s in DeploymentState if s not in ENDS])
def test_what_runs_may_fail_or_be_superseded(state: DeploymentState):
    assert may_follow(state, DeploymentState.FAILED)
    assert may_follow(state, DeploymentState.CANCELLED)


def test_nothing_is_skipped_and_nothing_goes_back():
    for at, before in enumerate(WAY):
        for other, after in enumerate(WAY):
            assert may_follow(before, after) == (other == at + 1)
    assert not any(may_follow(state, state) for state in DeploymentState)


def test_sources_are_the_same_table_read_backwards():
    for after in DeploymentState:
        assert sources_of(after) == {s for s in DeploymentState if may_follow(s, after)}
    assert sources_of(DeploymentState.READY) == {DeploymentState.DEPLOYING}
