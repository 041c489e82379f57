"""When to look at claims and channels again, by the chain's clock.

A claim has at most one timer, which goes with the claim: a hub sees thousands of claims a second and
none of their deadlines.
"""

import heapq

from channeld.core.events import ChannelDue, ClaimDue
from channeld.core.records import ClaimRef

Subject = ClaimRef | bytes
"""A claim, or a channel by its id."""


class Timers:
    """The earliest time for each subject; seconds share a bucket, so that forgetting costs nothing."""

    def __init__(self) -> None:
        self._due: dict[Subject, int] = {}
        self._buckets: dict[int, dict[Subject, None]] = {}
        self._seconds: list[int] = []

    def __len__(self) -> int:
        return len(self._due)

    def set(self, at_s: int, subject: Subject) -> None:
        """Look at the subject at `at_s`, or earlier if that was asked for before."""
        known = self._due.get(subject)
        if known is not None:
            if known <= at_s:
                return
            self.forget(subject)
        self._due[subject] = at_s
        bucket = self._buckets.get(at_s)
        if bucket is None:
            bucket = self._buckets[at_s] = {}
            heapq.heappush(self._seconds, at_s)
        bucket[subject] = None

    def forget(self, subject: Subject) -> None:
        """The subject is gone."""
        at_s = self._due.pop(subject, None)
        if at_s is not None:
            del self._buckets[at_s][subject]

    def ring(self, now_s: int) -> list[ClaimDue | ChannelDue]:
        """Everything whose time has come, and forget it."""
        events: list[ClaimDue | ChannelDue] = []
        while self._seconds and self._seconds[0] <= now_s:
            for subject in self._buckets.pop(heapq.heappop(self._seconds)):
                del self._due[subject]
                if isinstance(subject, ClaimRef):
                    events.append(ClaimDue(subject))
                else:
                    events.append(ChannelDue(subject))
        return events
