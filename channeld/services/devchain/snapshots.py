"""Moments to return to (`evm_snapshot`)."""

from dataclasses import dataclass

from channeld.services.devchain.transactions import Transaction

# A test-suite takes one for each test and reverts it; a client that only takes them is refused nothing, but
# the oldest are forgotten.
SNAPSHOTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    depth: int
    offset_s: int
    forced_timestamp_s: int | None
    waiting: tuple[Transaction, ...]


class Snapshots:
    def __init__(self) -> None:
        self._taken: dict[int, Snapshot] = {}
        self._next = 1

    def take(self, snapshot: Snapshot) -> int:
        number = self._next
        self._next += 1
        self._taken[number] = snapshot
        if len(self._taken) > SNAPSHOTS_KEPT:
            del self._taken[next(iter(self._taken))]
        return number

    def use(self, number: int) -> Snapshot | None:
        """The snapshot, which with all later ones is then gone."""
        snapshot = self._taken.get(number)
        if snapshot is not None:
            self._taken = {taken: one for taken, one in self._taken.items() if taken < number}
        return snapshot

    def forget_above(self, depth: int) -> None:
        """A reorganisation went below these; going back to them is no longer possible."""
        self._taken = {number: one for number, one in self._taken.items() if one.depth <= depth}
