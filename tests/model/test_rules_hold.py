"""Nobody who keeps the rules loses, whatever the others do; and every story comes to an end.

Every state that can be reached is looked at, in each configuration.
"""

import pytest

from tests.model.runs import SAFE, UNHARMED, WALKS, Caught, Run, walks


@pytest.mark.parametrize("run", SAFE, ids=lambda run: run.name)
def test_complete(run: Run, counted: list[str]):
    found = run.search()
    counted.append(f"{run.name:<46} {found.told()}")
    assert not found.fault, [found.fault, *found.trace]
    assert found.complete and found.states == run.states


@pytest.mark.parametrize("variant", UNHARMED, ids=lambda variant: variant.name)
def test_what_the_model_does_not_need(variant: Caught, counted: list[str]):
    found = variant.search()
    counted.append(f"{variant.name:<46} {found.told()}")
    assert found.complete and not found.fault


@pytest.mark.parametrize("run", WALKS, ids=lambda run: run.name)
def test_random_walks(run: Run, counted: list[str]):
    """Not exhaustive: as far as the dice go."""
    found = walks(run, runs=60, steps=60, seed=1)
    counted.append(f"{run.name:<46} {found.told()}")
    assert not found.fault, [found.fault, *found.trace]
    assert found.moves > 1_000
