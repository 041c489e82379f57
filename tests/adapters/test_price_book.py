"""The book in which an oracle keeps what it signed: one price an instant, for its operator's eyes."""

import stat
from contextlib import closing
from pathlib import Path

import pytest

from channeld.core.errors import Rejected
from channeld.services.oracle import PriceBook

FEED_ID = bytes(32)
NOW_S = 1_800_000_000


def test_two_processes_on_one_book_cannot_both_be_first(tmp_path: Path) -> None:
    with closing(PriceBook(tmp_path / "book")) as one, closing(PriceBook(tmp_path / "book")) as other:
        one.commit(FEED_ID, NOW_S, 1)
        with pytest.raises(Rejected):
            other.commit(FEED_ID, NOW_S, 2)
        assert other.price(FEED_ID, NOW_S) == 1


def test_nobody_else_can_read_the_price_book(tmp_path: Path) -> None:
    with closing(PriceBook(tmp_path / "prices.db")) as book:
        book.commit(FEED_ID, NOW_S, 2)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {"prices.db", "prices.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
