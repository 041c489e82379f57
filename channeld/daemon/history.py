"""What was: live records and archived ones, newest first, a page at a time; what must not happen twice."""

from collections.abc import Container
from typing import TypeVar

from channeld.adapters.journal.records import Journal
from channeld.api.commands import Page
from channeld.core.errors import Rejected
from channeld.core.records import Forward, Invoice, Payment, PaymentStatus, Stream, Trade
from channeld.wire.records import decode_record

MAX_PAGE = 1_000

PAID = "payment_paid"
"""Kind: the hashes of payments that succeeded and were pruned, with when they began."""

LONGEST_INVOICE_S = 366 * 86_400
"""Invoices that are valid for longer are not paid: that they are must be remembered until they expire."""

T = TypeVar("T", Forward, Invoice, Payment, Trade, Stream)


class PaymentsMade(Container[bytes]):
    """The hashes of the payments that succeeded, looked up on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __contains__(self, hashlock: object) -> bool:
        assert isinstance(hashlock, bytes)
        row = self._journal.get("payment_done", hashlock)
        if row is not None and typed("payment", row, Payment).status is PaymentStatus.SUCCEEDED:
            return True
        return self._journal.get(PAID, hashlock) is not None


def page_of(
    journal: Journal, kind: str, record: type[T], before: int | None, limit: int
) -> tuple[list[T], Page]:
    """A page of archived records, preceded on the first page by the live ones.

    `before` is where the last page ended (None: from the newest). The cost does not depend on the
    length of the history.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise Rejected(f"expected a limit of 1 to {MAX_PAGE}, got {limit}")
    rows: list[T] = []
    if before is None:
        for row in journal.page(kind, None, limit):
            rows.append(typed(kind, row.value, record))
    past = journal.page(f"{kind}_done", before, limit)
    rows += [typed(kind, row.value, record) for row in past]
    return rows, Page(past[-1].sequence if len(past) == limit else None)


def typed(kind: str, value: bytes, record: type[T]) -> T:
    """The record in a journal's value. Raises DamagedRecord."""
    found = decode_record(kind, value)
    assert isinstance(found, record)
    return found
