"""What is kept of a transaction, and what is offered for it: without a chain."""

import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.chain.blocks import Block
from channeld.adapters.chain.fees import GWEI, Fees, offer, raised
from channeld.adapters.chain.outbox import Entry, Outbox, OutboxFailed, Request, Stage, Version
from channeld.core.errors import OperationalError, Rejected

HEAD = Block(1, bytes(32), bytes(32), 1, 7 * GWEI, 30_000_000)
WEI = st.integers(0, 10**13)
FULL = ("max_page_count = 8", "max_page_count = 1000000")


@given(tip=WEI, most=WEI, base=st.integers(1, 10**12))
def test_an_offer_is_consistent_and_within_the_limit(tip: int, most: int, base: int) -> None:
    fees = offer(replace(HEAD, base_fee_wei=base), tip, most)
    assert 0 <= fees.tip_wei <= fees.max_fee_wei <= most
    assert fees.max_fee_wei in (most, 2 * base + tip)


@given(tip=WEI, most=WEI, base=st.integers(1, 10**12), old_tip=WEI, old_room=WEI)
def test_a_raised_offer_replaces_the_old_one_at_every_node(
    tip: int, most: int, base: int, old_tip: int, old_room: int
) -> None:
    old = Fees(old_tip, old_tip + old_room)
    new = raised(old, replace(HEAD, base_fee_wei=base), tip, most)
    if new is not None:
        assert new.tip_wei <= new.max_fee_wei <= most
        for before, after in ((old.tip_wei, new.tip_wei), (old.max_fee_wei, new.max_fee_wei)):
            assert 8 * after >= 9 * before and after > before
    else:
        least = max(-(-9 * old.max_fee_wei // 8), old.max_fee_wei + 1)
        assert most < least


def test_an_entry_comes_back_as_it_was_put(tmp_path: Path) -> None:
    versions = tuple(
        Version(bytes([n]) * 32, bytes([n]) * 100, Fees(n * 10**30, n * 10**31)) for n in range(1, 12)
    )
    entry = Entry("a", Stage.SENT, 7, Request(None, b"code", 2**255), 21_000, versions)
    other = Entry("b", Stage.MINED, 3, Request(bytes(20), b""), 1, versions[:1], b"\x01" * 32)
    with closing(Outbox(tmp_path / "box", b"me")) as outbox:
        outbox.put(entry)
        outbox.put(other)
        outbox.put(replace(other, stage=Stage.FINAL))
    with closing(Outbox(tmp_path / "box", b"me")) as outbox:
        assert outbox.get("a") == entry
        assert outbox.get("b") == replace(other, stage=Stage.FINAL)
        assert outbox.unfinished() == [entry]
        outbox.put(other)
        assert outbox.unfinished() == [other, entry]
        outbox.rename("a", replace(entry, intention="c"))
        assert outbox.get("a") is None and outbox.get("c") == replace(entry, intention="c")
        outbox.forget("c")
        assert outbox.get("c") is None and outbox.get("d") is None
    with pytest.raises(Rejected):
        Outbox(tmp_path / "box", b"somebody else")
    (tmp_path / "garbage").write_bytes(b"no database" * 100)
    with pytest.raises(OperationalError, match="outbox"):
        Outbox(tmp_path / "garbage", b"me")


@pytest.mark.parametrize("trouble, cure", [("query_only = 1", "query_only = 0"), FULL])
def test_what_has_failed_once_is_not_written_to_again(tmp_path: Path, trouble: str, cure: str) -> None:
    """What a failed write or sync has left is not known until the file is opened anew."""
    entry = Entry("first", Stage.SENT, 7, Request(None, b""), 21_000, ())
    with closing(Outbox(tmp_path / "box", b"me")) as outbox:
        outbox.put(entry)
        outbox.require_alive()
        outbox._database.execute(f"PRAGMA {trouble}").fetchall()
        large = Request(bytes(20), bytes(100_000))
        with pytest.raises(
            OutboxFailed, match=r"box: expected to store the transaction large: .*(full|read)"
        ):
            outbox.put(replace(entry, intention="large", request=large))
        outbox._database.execute(f"PRAGMA {cure}").fetchall()
        for touch in (
            outbox.require_alive,
            outbox.unfinished,
            lambda: outbox.get("first"),
            lambda: outbox.forget("first"),
            lambda: outbox.put(replace(entry, intention="small")),
        ):
            with pytest.raises(OutboxFailed, match="expected to store the transaction large"):
                touch()
    with closing(Outbox(tmp_path / "box", b"me")) as outbox:
        assert outbox.unfinished() == [entry]


def test_nobody_else_can_read_what_was_signed(tmp_path: Path) -> None:
    path = tmp_path / "transactions.db"
    path.touch(mode=0o644)  # as an older version made it
    request = Request(bytes(20), b"")
    with closing(Outbox(path, b"us")) as outbox:
        outbox.put(Entry("pay", Stage.SENT, 0, request, 21_000, (Version(b"hash", b"raw", Fees(1, 2)),)))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {"transactions.db", "transactions.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
