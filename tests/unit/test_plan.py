"""plan(): every situation leads to the next step, and the steps lead to the desired state."""

from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.plan import (
    Abandon,
    Deploy,
    Desired,
    Done,
    Live,
    Observed,
    Remove,
    Reroute,
    Restart,
    Wait,
    plan,
)

WANTED = Desired(present=True, commit="abc", generation=2)
GONE = Desired(present=False, commit="abc", generation=3)
SERVING = Live(deployment=7, running=True, routed=True)


def test_a_new_commit_is_deployed() -> None:
    assert plan(WANTED, Observed(answered=1, live=SERVING)) == Deploy("abc", 2)


def test_a_generation_that_failed_is_not_tried_again() -> None:
    assert plan(WANTED, Observed(answered=2)) == Done()


def test_an_interrupted_deployment_is_cleared_away_before_anything_else() -> None:
    assert plan(GONE, Observed(unfinished=(4,), leftovers=True)) == Abandon((4,))


def test_a_preview_that_nobody_wants_is_removed_until_nothing_is_left() -> None:
    assert plan(GONE, Observed(leftovers=True)) == Remove()
    assert plan(GONE, Observed()) == Done()


def test_a_process_that_ended_is_started_again() -> None:
    assert plan(WANTED, Observed(answered=2, live=Live(7, False, True))) == Restart(7)


def test_a_route_that_was_lost_is_made_again() -> None:
    assert plan(WANTED, Observed(answered=2, live=Live(7, True, False))) == Reroute(7)


def test_a_preview_waits_for_room() -> None:
    assert plan(WANTED, Observed(answered=0, room=False)) == Wait()


def test_a_preview_without_a_commit_has_nothing_to_deploy() -> None:
    assert plan(Desired(True, None, 1), Observed()) == Done()


@given(
    present=st.booleans(),
    generation=st.integers(1, 5),
    answered=st.integers(0, 5),
    live=st.none() | st.builds(Live, st.just(1), st.booleans(), st.booleans()),
    unfinished=st.lists(st.integers(1, 9), max_size=2).map(tuple),
    leftovers=st.booleans(),
)
def test_taking_the_planned_steps_always_ends(
    present: bool,
    generation: int,
    answered: int,
    live: Live | None,
    unfinished: tuple[int, ...],
    leftovers: bool,
) -> None:
    desired = Desired(present, "abc", generation)
    observed = Observed(min(answered, generation), live, unfinished, leftovers or live is not None)
    for _ in range(6):
        step = plan(desired, observed)
        match step:
            case Abandon():
                observed = Observed(observed.answered, observed.live, (), observed.leftovers)
            case Deploy(_, generation=n):
                observed = Observed(n, SERVING, (), True)
            case Restart() | Reroute():
                observed = Observed(observed.answered, SERVING, (), True)
            case Remove():
                observed = Observed(observed.answered)
            case Wait() | Done():
                break
    assert isinstance(plan(desired, observed), Done)
    assert present or observed.live is None
