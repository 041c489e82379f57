"""What every journal does, whatever stores it."""

import pytest

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import MAX_KEY_BYTES, MAX_PAGE, Delete, Journal, JournalFailed, Put
from channeld.core.errors import Rejected


def keys(journal: Journal, kind: str) -> list[bytes]:
    return [key for key, _ in journal.load(kind)]


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert list(journal.load("channel")) == []
    assert journal.get("channel", b"alice-bob") is None
    assert journal.page("payment", None, 10) == []
    assert journal.count("payment") == 0


def test_what_was_committed_can_be_read(journal: Journal) -> None:
    journal.commit([Put("channel", b"alice-bob", b"version 1"), Put("payment", b"coffee", b"sent")])
    journal.commit([Put("channel", b"alice-bob", b"version 2")])
    assert journal.get("channel", b"alice-bob") == b"version 2"
    assert list(journal.load("channel")) == [(b"alice-bob", b"version 2")]
    assert journal.get("payment", b"alice-bob") is None, "kinds do not share keys"
    assert journal.count("channel") == journal.count("payment") == 1


def test_many_records_are_read_at_once(journal: Journal) -> None:
    journal.commit([Put("claim", bytes([n]), b"value %d" % n) for n in range(5)])
    found = journal.get_many("claim", [b"\x03", b"\x01", b"absent", b"\x03"])
    assert found == {b"\x03": b"value 3", b"\x01": b"value 1"}
    assert journal.get_many("claim", []) == {}
    assert journal.get_many("never", [b"\x01"]) == {}


def test_records_load_in_the_order_of_their_first_insertion(journal: Journal) -> None:
    journal.commit([Put("payment", key, b"sent") for key in (b"tea", b"coffee", b"cake")])
    journal.commit([Put("payment", b"tea", b"settled")])
    assert keys(journal, "payment") == [b"tea", b"coffee", b"cake"]


def test_a_deleted_record_is_gone_and_comes_back_as_the_newest(journal: Journal) -> None:
    journal.commit([Put("payment", key, b"sent") for key in (b"tea", b"coffee", b"cake")])
    journal.commit([Delete("payment", b"coffee"), Delete("payment", b"never there")])
    assert keys(journal, "payment") == [b"tea", b"cake"]
    journal.commit([Put("payment", b"coffee", b"again")])
    assert keys(journal, "payment") == [b"tea", b"cake", b"coffee"]
    assert journal.count("payment") == 3


def test_writes_of_one_commit_apply_in_their_order(journal: Journal) -> None:
    journal.commit(
        [
            Put("secret", b"s", b"1"),
            Put("other", b"s", b"untouched"),
            Delete("secret", b"s"),
            Put("secret", b"t", b"2"),
            Put("secret", b"s", b"3"),
            Put("secret", b"t", b"4"),
            Delete("secret", b"u"),
        ]
    )
    assert list(journal.load("secret")) == [(b"t", b"4"), (b"s", b"3")]
    assert journal.get("other", b"s") == b"untouched"


def test_history_is_paged_newest_first(journal: Journal) -> None:
    journal.commit([Put("payment", bytes([n]), b"sent") for n in range(1, 8)])
    journal.commit([Delete("payment", b"\x04"), Put("payment", b"\x01", b"settled")])
    seen = []
    before = None
    while page := journal.page("payment", before, 2):
        seen.append([record.key[0] for record in page])
        assert [record.sequence for record in page] == sorted({r.sequence for r in page}, reverse=True)
        before = page[-1].sequence
    assert seen == [[7, 6], [5, 3], [2, 1]], "a rewritten record keeps its place"
    assert journal.page("payment", before, 2) == []


def test_a_page_that_began_before_new_records_came_goes_on_where_it_was(journal: Journal) -> None:
    journal.commit([Put("payment", bytes([n]), b"") for n in range(1, 5)])
    first = journal.page("payment", None, 2)
    journal.commit([Put("payment", b"new", b"")])
    assert [record.key for record in journal.page("payment", first[-1].sequence, 2)] == [b"\x02", b"\x01"]


def test_history_is_read_on_from_the_oldest(journal: Journal) -> None:
    journal.commit([Put("payment", bytes([n]), b"sent") for n in range(1, 6)])
    journal.commit([Delete("payment", b"\x01")])
    first = journal.since("payment", 0, 2)
    assert [record.key[0] for record in first] == [2, 3]
    journal.commit([Delete("payment", record.key) for record in first])
    assert [record.key[0] for record in journal.since("payment", first[-1].sequence, 2)] == [4, 5]
    assert journal.since("payment", journal.page("payment", None, 1)[0].sequence, 2) == []
    journal.reclaim()
    assert journal.size_bytes() > 0
    assert [record.key[0] for record in journal.since("payment", 0, 9)] == [4, 5]
    journal.commit([Put("payment", b"\x06", b"")])
    journal.check()


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1])
def test_a_page_of_no_size_or_too_large_is_rejected(journal: Journal, limit: int) -> None:
    with pytest.raises(Rejected, match=f"expected a limit of 1 to 1000 records a page, got {limit}"):
        journal.page("payment", None, limit)
    with pytest.raises(Rejected, match=f"expected a limit of 1 to 1000 records a page, got {limit}"):
        journal.since("payment", 0, limit)


def test_no_writes_are_no_commit(journal: Journal) -> None:
    journal.commit([])
    assert journal.count("channel") == 0


def test_loading_bears_commits_meanwhile(journal: Journal) -> None:
    journal.commit([Put("payment", n.to_bytes(2, "big"), b"sent") for n in range(600)])
    loaded = 0
    for key, _ in journal.load("payment"):
        journal.commit([Put("channel", b"alice-bob", key)])
        loaded += 1
    assert loaded == 600


@pytest.mark.parametrize(
    "write",
    [
        Put("Robert'); DROP TABLE", b"k", b""),
        Put("", b"k", b""),
        Put("payment", b"", b""),
        Put("payment", bytes(MAX_KEY_BYTES + 1), b""),
        Delete("pay ment", b"k"),
    ],
)
def test_a_write_out_of_bounds_is_a_bug_and_stores_nothing(journal: Journal, write: Put | Delete) -> None:
    with pytest.raises(AssertionError):
        journal.commit([Put("payment", b"tea", b"sent"), write])
    assert journal.count("payment") == 0
    journal.commit([Put("payment", b"tea", b"sent")])  # a bug of the caller is not a failure of the disk


def test_an_undamaged_journal_passes_its_check(journal: Journal) -> None:
    journal.commit([Put("payment", b"tea", b"sent"), Put("payment", b"cake", b"sent")])
    journal.commit([Delete("payment", b"tea")])
    journal.check()


def test_large_values_keep_every_byte(journal: Journal) -> None:
    state = bytes(range(256)) * 280  # 480 claims
    for length in (len(state), 1, len(state) - 1, 0):
        journal.commit([Put("channel", b"alice-bob", state[:length])])
        assert journal.get("channel", b"alice-bob") == state[:length]


def test_the_journal_in_memory_fails_where_it_is_told_to_and_stays_so() -> None:
    journal = MemoryJournal(fail_at=2)
    journal.commit([Put("channel", b"alice-bob", b"1")])
    for _ in range(2):
        with pytest.raises(JournalFailed, match="told to fail at commit 2"):
            journal.commit([Put("channel", b"alice-bob", b"2")])
    assert journal.get("channel", b"alice-bob") == b"1"


def test_the_kinds_that_were_written_are_known(journal: Journal) -> None:
    assert journal.kinds() == []
    journal.commit([Put("payment", b"tea", b"sent"), Put("channel", b"alice-bob", b"version 1")])
    assert journal.kinds() == ["channel", "payment"]
