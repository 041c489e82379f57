"""What was: live records and archived ones, newest first, a page at a time; what must not happen twice."""

from collections.abc import Container
from typing import TypeVar

from channeld.adapters.journal.records import Journal
from channeld.api.commands import Page
from channeld.core.errors import Rejected
from channeld.core.records import Invoice, Payment, PaymentStatus, Trade
from channeld.wire.records import decode_record

MAX_PAGE = 1_000

T = TypeVar("T", Invoice, Payment, Trade)


class PaymentsMade(Container[bytes]):
    """The hashes of the payments that succeeded, looked up on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __contains__(self, hashlock: object) -> bool:
        assert isinstance(hashlock, bytes)
        row = self._journal.get("payment_done", hashlock)
        return row is not None and _typed("payment", row, Payment).status is PaymentStatus.SUCCEEDED


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
            rows.append(_typed(kind, row.value, record))
    past = journal.page(f"{kind}_done", before, limit)
    rows += [_typed(kind, row.value, record) for row in past]
    return rows, Page(past[-1].sequence if len(past) == limit else None)


def _typed(kind: str, value: bytes, record: type[T]) -> T:
    found = decode_record(kind, value)
    assert isinstance(found, record)
    return found
