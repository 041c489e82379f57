"""What lives did, counted; and one life's trace as a digest."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

from channeld.core.effects import Effect, WakeChannel, WakeClaim
from channeld.core.messages import Message
from channeld.core.operations import Operation

TIMERS = {WakeClaim.__name__, WakeChannel.__name__}
"""Effects that the engine keeps to itself: they show in everything that happens at its time."""


@dataclass
class Ledger:
    """Counts by what they count: `act`, `fault`, `mischief`, `message`, `operation`, `effect`, `chain`."""

    lives: int = 0
    steps: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, what: str, name: str, times: int = 1) -> None:
        self.counts.setdefault(what, Counter())[name] += times

    def of(self, what: str) -> Counter[str]:
        return self.counts.setdefault(what, Counter())

    def add(self, other: "Ledger") -> None:
        self.lives += other.lives
        self.steps += other.steps
        for what, counts in other.counts.items():
            self.of(what).update(counts)

    def missing(self, wanted: dict[str, tuple[str, ...]]) -> list[str]:
        every = [(what, name) for what, names in wanted.items() for name in names]
        return [f"{what} {name}" for what, name in every if not self.of(what)[name]]

    def told(self) -> str:
        lines = [f"{self.lives} lives, {self.steps} steps"]
        for what, counts in sorted(self.counts.items()):
            lines.append(f"{what}:")
            lines += [f"  {count:>9,}  {name}" for name, count in sorted(counts.items())]
        return "\n".join(lines)


def kinds() -> dict[str, tuple[str, ...]]:
    """Every message, operation and effect that there is in the code."""
    effects = tuple(each.__name__ for each in get_args(Effect) if each.__name__ not in TIMERS)
    return {
        "message": tuple(each.__name__ for each in get_args(Message)),
        "operation": tuple(each.__name__ for each in get_args(Operation)),
        "effect": effects,
    }


class Trace:
    """Every step of a life, as lines or only as their digest."""

    def __init__(self, *, loud: bool = False) -> None:
        self._digest = hashlib.sha256()
        self._loud = loud
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self._digest.update(line.encode() + b"\n")
        if self._loud:
            print(line)
        self.lines.append(line)
        if len(self.lines) > 4_000:
            del self.lines[:2_000]

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()
