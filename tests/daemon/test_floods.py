"""mallory talks a lot: what she says costs bob neither memory nor disk."""

import logging

from channeld.core.claims import OptionTerms, PayoffKind
from channeld.core.draft import MAX_QUOTES, Draft, Tables
from channeld.core.messages import Complaint
from channeld.core.records import OptionLeg, Quote
from tests.daemon.cluster import ETHER, cluster, eventually

CALL = OptionTerms(PayoffKind.CALL, b"\x05" * 32, 1_800_000_000, 4_000, 8_000)


def give_quote(tables: Tables, number: int, accept_by_s: int) -> None:
    draft = Draft(tables)
    quote_id = number.to_bytes(16, "big")
    draft.quotes.append(Quote(quote_id, OptionLeg(CALL, 10**18), bytes(20), 1, accept_by_s, bytes(33)))
    tables.commit(draft)


def test_a_quote_that_nobody_took_is_forgotten_when_it_has_lapsed():
    tables = Tables(now_s=1_000)
    give_quote(tables, 1, accept_by_s=1_010)
    give_quote(tables, 2, accept_by_s=1_012)
    tables.now_s = 1_011
    give_quote(tables, 3, accept_by_s=1_021)
    assert [int.from_bytes(quote_id, "big") for quote_id in tables.quotes] == [2, 3]


def test_mallory_asks_for_more_quotes_than_anybody_can_answer():
    tables = Tables(now_s=1_000)
    for number in range(MAX_QUOTES + 10):
        give_quote(tables, number, accept_by_s=1_010)
    assert len(tables.quotes) == MAX_QUOTES
    assert (9).to_bytes(16, "big") not in tables.quotes


async def test_mallory_complains_and_the_log_does_not_grow(tmp_path, caplog):
    async with cluster(tmp_path, "alice", "bob", "mallory") as net:
        for name in ("alice", "mallory"):
            await net.connect(name, "bob")
        shared = await net.open("alice", "bob", "ETH", ETHER, 0)
        bob = net["bob"]
        await eventually(lambda: net.state("bob", shared).peer == net.node_id("alice"))
        with caplog.at_level(logging.INFO, "channeld"):
            for _ in range(100):
                net["mallory"].peering.send(bob.signer.public_key, Complaint(bytes(32), "x" * 500))
                net["mallory"].peering.send(bob.signer.public_key, Complaint(shared, "not hers"))
                net["alice"].peering.send(bob.signer.public_key, Complaint(shared, "one\nINFO two \x1b[31m"))
            # Messages of a connection are taken in order: who breaks the protocol last was heard out.
            for name in ("alice", "mallory"):
                net[name].peering.send(bob.signer.public_key, net[name].peering._hello)
            await eventually(lambda: caplog.text.count("another") == 2)
        said = [record.getMessage() for record in caplog.records if "complains" in record.getMessage()]
        assert 1 <= len(said) <= 3
        assert all("not hers" not in line and "x" * 500 not in line for line in said)
        assert all("\n" not in line and "\x1b" not in line for line in said)
