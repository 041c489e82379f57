"""What was: live records and archived ones, newest first, a page at a time; what must not happen twice."""

from collections.abc import Callable, Collection, Container, Iterator
from typing import TypeVar

from channeld.adapters.journal.records import Journal
from channeld.api.commands import Page
from channeld.core.draft import Record
from channeld.core.errors import Rejected
from channeld.core.records import Forward, Invoice, Payment, PaymentStatus, Stream, Trade
from channeld.wire.records import decode_record

MAX_PAGE = 1_000

MAX_LOOKED_AT = 2_000
"""Records that a page looks at in vain: 15 ms."""

PAID = "payment_paid"
"""Kind: the hashes of payments that succeeded and were pruned, with when they began."""

LONGEST_INVOICE_S = 366 * 86_400
"""Invoices that are valid for longer are not paid: that they are must be remembered until they expire."""

T = TypeVar("T", Forward, Invoice, Payment, Trade, Stream)


class PaymentsMade(Container[bytes]):
    """The hashes of the payments that succeeded, looked up on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._read: dict[bytes, bool] = {}
        self._failed: set[bytes] = set()

    def look_up(self, hashlocks: Collection[bytes]) -> None:
        """Read what will be asked for before anything else is written; forget what was read before."""
        done = self._journal.get_many("payment_done", hashlocks)
        pruned = self._journal.get_many(PAID, hashlocks)
        self._read = {each: each in pruned or _succeeded(done.get(each)) for each in hashlocks}
        self._failed = {each for each in done if not self._read[each]}

    def failed_before(self, record: Record) -> bool:
        """Whether this is a payment of those looked up, and history has one of the same hash that failed."""
        return isinstance(record, Payment) and record.hashlock in self._failed

    def __contains__(self, hashlock: object) -> bool:
        assert isinstance(hashlock, bytes)
        known = self._read.get(hashlock)
        if known is not None:
            return known
        done = self._journal.get("payment_done", hashlock)
        return _succeeded(done) or self._journal.get(PAID, hashlock) is not None


def _succeeded(row: bytes | None) -> bool:
    return row is not None and typed("payment", row, Payment).status is PaymentStatus.SUCCEEDED


def page_of(
    journal: Journal,
    kind: str,
    record: type[T],
    before: int | None,
    limit: int,
    fits: Callable[[T], bool] | None = None,
) -> tuple[list[T], Page]:
    """Records that are still open, newest first, then those that are history; with `fits`, only such.

    `before` is where the last page ended (None: from the newest). The cost does not depend on the length
    of the history: a page for which too many records were looked at in vain is short, and the next one
    goes on there.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise Rejected(f"expected a limit of 1 to {MAX_PAGE}, got {limit}")
    rows: list[T] = []
    place: int | None = None
    for looked_at, (here, value) in enumerate(_newest_first(journal, kind, before, limit)):
        if len(rows) == limit or looked_at == MAX_LOOKED_AT:
            return rows, Page(place)
        place = here
        found = typed(kind, value, record)
        if fits is None or fits(found):
            rows.append(found)
    return rows, Page(None)


def payments_page(
    journal: Journal, before: int | None, limit: int, status: str
) -> tuple[list[Payment], Page]:
    """A page of payments, of all or of one status. Raises Rejected for a status that there is not."""
    if not status:
        return page_of(journal, "payment", Payment, before, limit)
    known = {each.name.lower(): each for each in PaymentStatus}
    if status not in known:
        raise Rejected(f"expected a status of {', '.join(known)}, got {status!r}")
    wanted = known[status]
    return page_of(journal, "payment", Payment, before, limit, lambda payment: payment.status is wanted)


def _newest_first(journal: Journal, kind: str, before: int | None, limit: int) -> Iterator[tuple[int, bytes]]:
    """(place, value) of all records: open ones have odd places, those of history even ones."""
    steps = min(limit + 1, MAX_PAGE)
    open_ones = before is None or before % 2 == 1
    for table, odd in ((kind, 1), (f"{kind}_done", 0)) if open_ones else ((f"{kind}_done", 0),):
        below = before // 2 if before is not None and before % 2 == odd else None
        while rows := journal.page(table, below, steps):
            for row in rows:
                yield 2 * row.sequence + odd, row.value
            if len(rows) < steps:
                break
            below = rows[-1].sequence


def typed(kind: str, value: bytes, record: type[T]) -> T:
    """The record in a journal's value. Raises DamagedRecord."""
    found = decode_record(kind, value)
    assert isinstance(found, record)
    return found
