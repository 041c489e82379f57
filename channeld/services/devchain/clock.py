"""The chain's clock: the wall's, plus an offset that only the development calls move."""

from collections.abc import Callable

from channeld.core.errors import Rejected

# Block times are 64-bit; a century per call keeps the sum of many calls far inside.
ADVANCE_LIMIT_S = 100 * 366 * 86_400
LATEST_TIMESTAMP_S = 2**63


class Clock:
    """Block times never go backwards and grow from block to block, as the rules since the merge demand.

    A burst of blocks within one second therefore runs ahead of the wall; the clock waits there until the wall
    has caught up.
    """

    def __init__(self, now_s: Callable[[], float], offset_s: int = 0) -> None:
        self._now_s = now_s
        self.offset_s = offset_s
        self.forced_timestamp_s: int | None = None

    def advance(self, seconds: int) -> int:
        """Move later blocks ahead by so many seconds; return the whole offset."""
        if not 0 <= seconds <= ADVANCE_LIMIT_S:
            raise Rejected(f"time moves forward by 0 to {ADVANCE_LIMIT_S} s at once, not {seconds}")
        if self.forced_timestamp_s is not None:
            self.forced_timestamp_s += seconds
        self.offset_s += seconds
        return self.offset_s

    def force_next(self, timestamp_s: int, parent_timestamp_s: int) -> None:
        """Give the next block exactly this time; the clock runs on from there."""
        if not parent_timestamp_s < timestamp_s < LATEST_TIMESTAMP_S:
            raise Rejected(
                f"Timestamp error: {timestamp_s} is lower than or equal to previous block's timestamp "
                f"{parent_timestamp_s}"
                if timestamp_s <= parent_timestamp_s
                else f"Timestamp error: {timestamp_s} is not below 2^63"
            )
        self.forced_timestamp_s = timestamp_s

    def peek_s(self, parent_timestamp_s: int) -> int:
        """The time that a block would have if it were mined now."""
        if self.forced_timestamp_s is not None:
            return max(self.forced_timestamp_s, parent_timestamp_s + 1)
        return max(int(self._now_s()) + self.offset_s, parent_timestamp_s + 1)

    def take_s(self, parent_timestamp_s: int) -> int:
        """The time of the block that is being mined."""
        timestamp_s = self.peek_s(parent_timestamp_s)
        if self.forced_timestamp_s is not None:
            self.offset_s = timestamp_s - int(self._now_s())
            self.forced_timestamp_s = None
        return timestamp_s
