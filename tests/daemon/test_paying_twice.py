"""An invoice is paid once, however often and however fast one asks."""

import asyncio

import pytest

from channeld.core.errors import Rejected
from channeld.core.records import Invoice, Payment
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE, assert_same_books, channels_through_bob, is_quiet, locked


async def test_carol_asks_again_while_the_answer_is_under_way(tmp_path):
    """Her second offer would be under a secret that bob knows: he could take it and pay nobody."""
    async with cluster(tmp_path, "bob", "carol") as net:
        await net.connect("carol", "bob")
        channel = await net.open("carol", "bob", "USD", STAKE, STAKE)
        (invoice,) = await net["bob"].create_invoice("USD", 70 * USD, "", None, 1)
        engine = net["carol"].engine
        honest = engine.turn
        # Once she has made her offer her loop stands still, so that bob's answer waits in the queue.
        engine.turn = lambda **how: None if engine.tables.records[Payment] else honest(**how)
        paying = asyncio.create_task(net["carol"].pay(invoice.text, None, None, 10.0))
        await eventually(lambda: engine.tables.records[Payment] and engine._queue)
        again = asyncio.create_task(net["carol"].pay(invoice.text, None, None, 10.0))
        questions = len(engine._queue) + 1
        await eventually(lambda: len(engine._queue) >= questions)
        del engine.turn
        assert (await paying).status == "succeeded"
        with pytest.raises(Rejected, match="paid already"):
            await again
        with pytest.raises(Rejected, match="paid already"):
            await net["carol"].pay(invoice.text, None, None, 10.0)
        await eventually(
            lambda: is_quiet(net.state("carol", channel)) and is_quiet(net.state("bob", channel))
        )
        assert_same_books(net, "bob", "carol", channel)
        assert (await net["bob"].channel(channel)).ours == STAKE + 70 * USD


async def test_a_question_asked_ten_times_at_once_pays_once(tmp_path):
    async with cluster(tmp_path, "bob", "carol") as net:
        await net.connect("carol", "bob")
        channel = await net.open("carol", "bob", "USD", STAKE, STAKE)
        (invoice,) = await net["bob"].create_invoice("USD", 70 * USD, "", None, 1)
        asked = [net["carol"].pay(invoice.text, None, None, 10.0) for _ in range(10)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [a.status for a in answers if not isinstance(a, Rejected)] == ["succeeded"]
        await eventually(
            lambda: is_quiet(net.state("carol", channel)) and is_quiet(net.state("bob", channel))
        )
        assert (await net["bob"].channel(channel)).ours == STAKE + 70 * USD


async def test_a_payment_tried_again_stands_once_and_bob_keeps_no_failures(tmp_path):
    """The hub forgets what earned it nothing; the payer's list shows the payment once, as it is now."""
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        _, bc = await channels_through_bob(net)
        (invoice,) = await net["carol"].create_invoice("USD", 70 * USD, "", None, 1)
        open_ones = net["carol"].engine.tables.records[Invoice]
        kept = open_ones.pop(invoice.hashlock)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "failed"
        alice, bob = net["alice"].engine.journal, net["bob"].engine.journal
        assert alice.count("payment_done") == 1
        await eventually(lambda: bob.count("forward") == 0)
        assert bob.count("forward_done") == 0
        open_ones[invoice.hashlock] = kept
        net.mute("carol")
        paying = asyncio.create_task(net["alice"].pay(invoice.text, None, None, 60.0))
        await eventually(lambda: locked(net.state("carol", bc)))
        rows, _ = await net["alice"].payments(None, 10)
        assert [row.status for row in rows] == ["pending"]
        assert (alice.count("payment"), alice.count("payment_done")) == (1, 0)
        await net.stop("carol")
        await net.start("carol")
        assert (await paying).status == "succeeded"
        assert (alice.count("payment"), alice.count("payment_done")) == (0, 1)
        await eventually(lambda: bob.count("forward_done") == 1)
