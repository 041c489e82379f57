"""Logs by address and by first topic, so that a query costs what it returns and not what the chain holds."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge

from channeld.services.devchain.blocks import LogEntry
from channeld.services.devchain.errors import QueryTooLarge

# What providers allow: a client written against this chain must page as it must elsewhere, and an answer
# stays below 10 MB.
RESULT_LIMIT = 10_000
# Wide enough for any test, narrow enough that nobody scans a long chain by accident.
RANGE_LIMIT_BLOCKS = 100_000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Blocks `first` to `last`, both included. No addresses: any. A topic position of None: any."""

    first: int
    last: int
    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes] | None, ...] = ()

    def admits(self, entry: LogEntry) -> bool:
        if not self.first <= entry.block_number <= self.last:
            return False
        if self.addresses and entry.address not in self.addresses:
            return False
        if len(self.topics) > len(entry.topics):
            return False
        return all(
            wanted is None or topic in wanted
            for wanted, topic in zip(self.topics, entry.topics, strict=False)
        )


class LogIndex:
    """Each list is in chain order; blocks are added and removed at its end only."""

    def __init__(self) -> None:
        self._all: list[LogEntry] = []
        self._by_address: dict[bytes, list[LogEntry]] = {}
        self._by_topic: dict[bytes, list[LogEntry]] = {}

    def add(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            for listed in self._lists(entry):
                listed.append(entry)

    def drop(self, entries: Iterable[LogEntry]) -> None:
        """Remove the last logs; `entries` in chain order."""
        for entry in reversed(list(entries)):
            for listed in self._lists(entry):
                assert listed[-1] is entry, "logs are dropped from the end"
                listed.pop()

    def _lists(self, entry: LogEntry) -> Iterator[list[LogEntry]]:
        yield self._all
        yield self._by_address.setdefault(entry.address, [])
        if entry.topics:
            yield self._by_topic.setdefault(entry.topics[0], [])

    def find(self, wanted: LogFilter) -> list[LogEntry]:
        """In chain order; QueryTooLarge if there are more than an answer may hold."""
        if wanted.last - wanted.first >= RANGE_LIMIT_BLOCKS:
            raise QueryTooLarge(
                f"exceed maximum block range: {wanted.last - wanted.first + 1} blocks, "
                f"limit {RANGE_LIMIT_BLOCKS}; ask in parts"
            )
        found: list[LogEntry] = []
        for entry in self._candidates(wanted):
            if wanted.admits(entry):
                if len(found) == RESULT_LIMIT:
                    raise QueryTooLarge(
                        f"query returned more than {RESULT_LIMIT} results; "
                        f"try a range ending before block {found[-1].block_number}"
                    )
                found.append(entry)
        return found

    def _candidates(self, wanted: LogFilter) -> Iterable[LogEntry]:
        """The shortest set of lists that holds every match, cut to the range."""
        choices = [[self._all]]
        if wanted.addresses:
            choices.append([self._by_address.get(address, []) for address in wanted.addresses])
        if wanted.topics and wanted.topics[0] is not None:
            choices.append([self._by_topic.get(topic, []) for topic in wanted.topics[0]])
        cut = [[_cut(listed, wanted.first, wanted.last) for listed in lists] for lists in choices]
        lists = min(cut, key=lambda some: sum(map(len, some)))
        return merge(*lists, key=lambda entry: (entry.block_number, entry.log_index))


def _cut(listed: list[LogEntry], first: int, last: int) -> list[LogEntry]:
    start = bisect_left(listed, first, key=lambda entry: entry.block_number)
    end = bisect_left(listed, last + 1, lo=start, key=lambda entry: entry.block_number)
    return listed[start:end]
