"""Variants that look right: each must be caught, or the model proves nothing.

b1 to b9 are those of the design's model; the others are of what it did not cover. Together they show that
each property can fail: money, versions, honest peers, standing still, going round.
"""

import pytest

from tests.model.exploring import ROUND, STUCK
from tests.model.runs import LOSING, STANDING_STILL, Caught
from tests.model.tower import Watch, watch_over
from tests.model.world import EARLY, LEAPS, LIAR, LOST, TWICE

VARIANTS = LOSING + STANDING_STILL


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_variant_is_caught_with_its_story(variant: Caught, counted: list[str]):
    found = variant.search()
    counted.append(f"{variant.name:<46} {found.told()}")
    counted += [f"    {' '.join(map(str, label))}" for label in found.trace[-6:]]
    assert found.fault.startswith(variant.fault)
    assert len(found.trace) > 0


def test_every_kind_of_fault_is_caught_somewhere():
    kinds = {variant.fault for variant in VARIANTS}
    assert kinds == {"bob ends with", LEAPS, TWICE, LIAR, EARLY, LOST, STUCK, ROUND}


LEAVES_NOTHING = {
    "bob is back in time": Watch(),
    "the tower lags, bob is back in time": Watch(tower="lags"),
    "the tower is bought, bob is back in time": Watch(tower="bought"),
    "bob stays away and acts on nothing that the tower does not hold": Watch(away=9, tower="first"),
    "deeper reorganisations, an earlier answer": Watch(depth=2, answer_by=3, window=7),
}

COSTS = {
    "bob stays away without a tower": Watch(away=9),
    "bob stays away, the tower lags": Watch(away=9, tower="lags"),
    "bob stays away, the tower is bought": Watch(away=9, tower="bought"),
    "the window is shorter than bob's absence": Watch(away=6),
    "a contract that takes one answer only": Watch(tower="lags", one_answer=True),
    "an answer in the last moment is undone": Watch(answer_by=1),
    "the tower's answer in the last moment is undone": Watch(away=9, tower="first", answer_by=1),
}


@pytest.mark.parametrize("watch", LEAVES_NOTHING.values(), ids=LEAVES_NOTHING.keys())
def test_an_old_state_is_answered(watch: Watch, counted: list[str]):
    found = watch_over(watch)
    counted.append(f"dispute: {watch.tower}, away {watch.away}: {found.states:,} states, complete: none")
    assert found.loss == 0 and not found.stuck


@pytest.mark.parametrize("watch", COSTS.values(), ids=COSTS.keys())
def test_an_old_state_stands(watch: Watch, counted: list[str]):
    found = watch_over(watch)
    counted.append(f"dispute: bob is short of {found.loss}: {'; '.join(found.story)}")
    assert found.loss > 0


def test_a_challenge_believed_before_it_is_confirmed_leaves_bob_waiting_for_nothing():
    early = {"depth": 2, "answer_by": 3, "window": 7}
    assert watch_over(Watch(head=True, **early)).stuck
    assert not watch_over(Watch(**early)).stuck


def test_a_permit_bounds_what_a_bought_tower_can_start():
    alone = {"tower": "bought", "cheats": False, "away": 9}
    assert not watch_over(Watch(**alone)).below_permit
    assert watch_over(Watch(minimum=False, **alone)).below_permit
