"""What alice is shown: everything, a page at a time, and the same wherever she looks."""

import pytest

from channeld.core.errors import Rejected
from tests.daemon.cluster import ETHER, USD, Cluster, cluster
from tests.daemon.town import channels_through_bob


async def test_a_payment_looks_the_same_in_its_receipt_and_in_lists(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        await channels_through_bob(net)
        alice = net["alice"]
        (near,) = await net["bob"].create_invoice("USD", 3 * USD, "", None, 1)
        (far,) = await net["carol"].create_invoice("USD", 7 * USD, "", None, 1)
        (dear,) = await net["carol"].create_invoice("USD", 10**6 * USD, "", None, 1)
        paid = [await alice.pay(each.text, None, None, 10.0) for each in (near, far)]
        assert [(each.hops, each.attempts) for each in paid] == [(1, 1), (2, 1)]
        with pytest.raises(Rejected, match="no route"):
            await alice.pay(dear.text, None, None, 10.0)
        listed, page = await alice.payments(None, 10)
        assert (listed, page.next_before) == (paid[::-1], None)
        assert await alice.payment(far.hashlock) == paid[1]
        assert (await alice.payments(None, 10, "failed"))[0] == []
        assert (await alice.payments(None, 10, "succeeded"))[0] == listed
        with pytest.raises(Rejected, match="expected a status of pending, succeeded, failed, got 'lost'"):
            await alice.payments(None, 10, "lost")


async def test_every_open_invoice_is_on_some_page_and_then_those_that_were_paid(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "ETH", ETHER, 0)
        bob = net["bob"]
        made = await bob.create_invoice("ETH", 7, "", None, 5)
        assert (await net["alice"].pay(made[1].text, None, None, 10.0)).status == "succeeded"
        seen, texts, before = [], {}, None
        while True:
            rows, page = await bob.invoices(before, 2)
            assert len(rows) <= 2
            seen += [row.hashlock for row in rows]
            texts |= {row.hashlock: row.text for row in rows}
            if (before := page.next_before) is None:
                break
        assert seen == [made[n].hashlock for n in (4, 3, 2, 0, 1)]
        assert [texts[one.hashlock] for one in made] == [
            one.text if one is not made[1] else "" for one in made
        ]
        assert (await bob.invoice(made[1].hashlock)).text == made[1].text


async def pages_of_channels(net: Cluster, **narrowed: object) -> list[bytes]:
    seen: list[bytes] = []
    before = None
    while True:
        rows, page = await net["alice"].channels(before=before, limit=2, **narrowed)
        seen += [row.channel_id for row in rows]
        if (before := page.next_before) is None:
            return seen


async def test_channels_come_newest_first_and_by_the_beginning_of_their_ids(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ids = [await net.open("alice", "bob", "ETH", ETHER, 0) for _ in range(4)]
        await net["alice"].close_channel(ids[2], False, 15.0)
        with pytest.raises(Rejected, match="is closed already"):
            await net["alice"].close_channel(ids[2], False, 15.0)
        assert await pages_of_channels(net, closed=True) == ids[::-1]
        assert await pages_of_channels(net, closed=False) == [ids[3], ids[1], ids[0]]
        for channel_id in ids:
            assert await pages_of_channels(net, closed=True, begins=channel_id.hex()) == [channel_id]
        bob = net["bob"].signer.public_key
        for named in ("bob", bob.hex()[:8], bob.hex()[:8].upper()):
            (peer,), page = await net["alice"].peers(named)
            assert (peer.node_id, peer.channels, page.next_after) == (bob, 4, None)
        assert (await net["alice"].peers("nobody"))[0] == []
        assert (await net["alice"].peers("", bob))[0] == []
