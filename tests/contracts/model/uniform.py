"""Dice for Hypothesis that fall evenly.

Its own generator repeats itself on purpose (it copies parts of one run into the next, and prefers small
numbers): of 12,000 throws of 24 bits 1,600 were different. Rare paths need all of them. Shrinking stays
as it is.
"""

from typing import Any

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

BACKEND = "even dice"


class EvenDice(HypothesisProvider):
    """Bounded integers from the seeded generator of the run; everything else as always."""

    def draw_integer(self, min_value: int | None = None, max_value: int | None = None, **others: Any) -> int:
        if min_value is None or max_value is None:
            return super().draw_integer(min_value, max_value, **others)
        assert self._random is not None
        return self._random.randint(min_value, max_value)


AVAILABLE_PROVIDERS[BACKEND] = EvenDice
