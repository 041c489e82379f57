"""Each variant that loses money or freezes a channel is caught within a few lives."""

import pytest

from tests.simulator.life import Broken, run_life
from tests.simulator.mutants import MUTANTS, Mutant

MOST_LIVES = 40
"""Of a mutant, until it is caught."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_variant_that_loses_money_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch):
    mutant(monkeypatch)
    with pytest.raises(Broken):
        for seed in range(1, MOST_LIVES):
            run_life(seed)
            run_life(seed, schemes=True)
