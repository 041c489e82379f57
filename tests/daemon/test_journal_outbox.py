"""Transactions kept in the journal: what the file of transactions promises, the journal promises too."""

from dataclasses import replace

import pytest

from channeld.adapters.chain.fees import Fees
from channeld.adapters.chain.outbox import Entry, Request, Stage, Version
from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Put
from channeld.core.errors import OperationalError, Rejected
from channeld.daemon.outbox import LIVE, JournalOutbox

VERSIONS = tuple(
    Version(bytes([n]) * 32, bytes([n]) * 100, Fees(n * 10**30, n * 10**31)) for n in range(1, 12)
)
DEPLOY = Entry("a" * 200, Stage.SENT, 7, Request(None, b"code", 2**255), 21_000, VERSIONS)
CLOSE = Entry("close", Stage.MINED, 3, Request(bytes(20), b""), 1, VERSIONS[:1], b"\x01" * 32)


def test_an_entry_comes_back_as_it_was_put() -> None:
    journal = MemoryJournal()
    outbox = JournalOutbox(journal, b"me")
    outbox.put(DEPLOY)
    outbox.put(CLOSE)
    outbox.put(replace(CLOSE, stage=Stage.FINAL))
    outbox = JournalOutbox(journal, b"me")
    assert outbox.get(DEPLOY.intention) == DEPLOY
    assert outbox.get("close") == replace(CLOSE, stage=Stage.FINAL)
    assert outbox.unfinished() == [DEPLOY]
    outbox.put(CLOSE)
    assert outbox.unfinished() == [CLOSE, DEPLOY], "by nonce"
    outbox.rename(DEPLOY.intention, replace(DEPLOY, intention="c"))
    assert outbox.get(DEPLOY.intention) is None and outbox.get("c") == replace(DEPLOY, intention="c")
    outbox.forget("c")
    assert outbox.get("c") is None and outbox.get("never there") is None


def test_another_key_or_chain_may_not_continue_it() -> None:
    journal = MemoryJournal()
    JournalOutbox(journal, b"me")
    with pytest.raises(Rejected, match="to belong to this key and chain"):
        JournalOutbox(journal, b"somebody else")


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x98\x02" + bytes(7)])
def test_damage_is_found(value: bytes) -> None:
    journal = MemoryJournal()
    outbox = JournalOutbox(journal, b"me")
    journal.commit([Put(LIVE, b"k", value)])
    with pytest.raises(OperationalError, match="damaged"):
        outbox.unfinished()
