"""How long the state machines run: the usual minute, or CHANNELD_SOAK times as many examples."""

import os
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SOAK = float(os.environ.get("CHANNELD_SOAK", "1"))
SEED = os.environ.get("CHANNELD_SEED")
"""Hypothesis prints the seed of a failure; `pytest --hypothesis-seed` runs it again."""

LONGER_ROUNDS = (2, 4, 8, 16)
"""A round with the same dice goes on where a shorter one ended."""


def examples(usual: int, steps: int) -> settings:
    """Settings of one machine. No deadline: nothing here is timed."""
    return settings(
        max_examples=max(1, int(usual * SOAK)),
        stateful_step_count=steps,
        deadline=None,
        derandomize=SOAK == 1,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
        print_blob=True,
    )


class Fired:
    """Counts what a machine did, so that a test can say that nothing was left out."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, what: str) -> None:
        self.counts[what] += 1

    def missing(self, *names: str) -> list[str]:
        return [name for name in names if not self.counts[name]]

    def require(self, *names: str) -> None:
        missing = self.missing(*names)
        assert not missing, f"never happened: {missing}; {dict(self.counts)}"

    def live_until(self, machine: type[RuleBasedStateMachine], *names: str) -> None:
        """Longer rounds of a machine that left something out; the usual dice fall everywhere the same."""
        usual = machine.TestCase.settings
        for factor in LONGER_ROUNDS:
            if not self.missing(*names):
                break
            more = settings(usual, max_examples=factor * usual.max_examples, database=None)
            run_state_machine_as_test(machine, settings=more)
        self.require(*names)
