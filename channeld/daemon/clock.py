"""The chain's time between its blocks, and whether it can be trusted.

What counts is the time of the chain's latest block; the computer's clock only estimates how far it
has moved on since, because the contract that judges deadlines knows no other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class ChainClock:
    """`skew_limit_s`: by how much the chain's time and the computer's may differ.

    `monotonic` and `wall` are the computer's clocks (seconds).
    """

    skew_limit_s: int
    head_s: int = 0
    seen_at_s: float = 0.0
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def head_seen(self, timestamp_s: int) -> None:
        """A block arrived, or is still the newest; the chain's time never goes back, also not in a
        reorganisation."""
        if timestamp_s > self.head_s:
            self.head_s = timestamp_s
            self.seen_at_s = self.monotonic()

    @property
    def now_s(self) -> int:
        """The estimate: the latest block's time, moved on by our own clock. 0 before the first block."""
        return self.head_s + int(self.monotonic() - self.seen_at_s) if self.head_s else 0

    @property
    def trusted(self) -> bool:
        """Whether chain and computer agree. A node that hides new blocks from us shows old times."""
        return self.head_s != 0 and abs(self.head_s - self.wall()) <= self.skew_limit_s
