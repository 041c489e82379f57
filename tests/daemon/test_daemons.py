"""Alice, bob and carol as whole daemons: pay, trade, settle, close."""

import time
from datetime import UTC, datetime

from channeld.core.channel import Phase
from tests.daemon.cluster import ETHER, USD, cluster, eventually


async def test_alice_pays_carol_through_bob(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        await net.connect("alice", "bob")
        await net.connect("bob", "carol")
        ab = await net.open("alice", "bob", "USD", 1_000 * USD, 1_000 * USD)
        bc = await net.open("bob", "carol", "USD", 1_000 * USD, 1_000 * USD)
        await eventually(lambda: len(net["alice"].peering._gossip.known()) == 4)
        (invoice,) = await net["carol"].create_invoice("USD", 5 * USD, "a book", None, 1)
        paid = await net["alice"].pay(invoice.text, None, None, 10.0)
        assert (paid.status, paid.failure, paid.hops) == ("succeeded", "", 2)
        assert (await net["carol"].invoice(invoice.hashlock)).status == "paid"
        at_carol = await net["carol"].channel(bc)
        assert at_carol.ours == 1_005 * USD
        at_alice = await net["alice"].channel(ab)
        assert at_alice.ours == 995 * USD - paid.fee


async def test_alice_buys_a_call_from_carol_through_bob_and_it_settles_without_a_transaction(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        await net.connect("alice", "bob")
        await net.connect("bob", "carol")
        await net.open("alice", "bob", "USD", 5_000 * USD, 5_000 * USD)
        await net.open("bob", "carol", "USD", 5_000 * USD, 5_000 * USD)
        await eventually(lambda: len(net["alice"].peering._gossip.known()) == 4)
        await net.price(int(time.time()) - 60, 4_000)
        expiry_s = int(time.time()) + 3_600
        when = datetime.fromtimestamp(expiry_s, UTC).strftime("%d%b%yT%H%M%S").upper()
        carol = net["carol"].signer.public_key
        quote = await net["alice"].quote_option(f"ETH-{when}-4000-C:5000", 10**8, "USD", carol, 10.0)
        assert quote.hops == 2 and quote.collateral == 1_000 * USD
        trade = await net["alice"].buy_option(quote.quote_id, None, 10.0)
        assert (trade.status, trade.failure) == ("bound", "")
        for name, sides in (("alice", ["long"]), ("bob", ["long", "short"]), ("carol", ["short"])):
            await eventually(lambda name=name: not any_pending(net[name]))
            assert sorted(p.side for p in (await net[name].positions())[0]) == sides
        transactions = net.chain.chain.head.number
        net.advance(3_601)
        await net.price(expiry_s, 4_321)
        for name in ("alice", "bob", "carol"):
            await eventually(lambda name=name: not positions(net[name]), 20.0)
        assert net.chain.chain.head.number == transactions + 1
        (at_alice,), _ = await net["alice"].channels(closed=False)
        assert at_alice.ours == 5_000 * USD - quote.premium - quote.fee + 321 * USD
        (at_carol,), _ = await net["carol"].channels(closed=False)
        assert at_carol.ours == 5_000 * USD + quote.premium - 321 * USD


def positions(daemon):
    return [
        claim
        for channel in daemon.engine.tables.channels()
        for claim in channel.theirs.claims.values()
        if claim.terms is not None
    ]


def any_pending(daemon):
    return any(claim.hashlock is not None for claim in positions(daemon)) or not positions(daemon)


async def test_a_cooperative_close_pays_both(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "ETH", ETHER, 0)
        (invoice,) = await net["bob"].create_invoice("ETH", ETHER // 4, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        before = await net["bob"].funding.balance(bytes(20))
        closed = await net["alice"].close_channel(ab, False, 15.0)
        assert closed.phase == "closed"
        assert await net["bob"].funding.balance(bytes(20)) == before + ETHER // 4


async def test_alice_leaves_alone_when_bob_is_gone(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "ETH", ETHER, 0)
        (invoice,) = await net["bob"].create_invoice("ETH", ETHER // 4, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        await net.stop("bob")
        disputed = await net["alice"].close_channel(ab, True, 15.0)
        assert disputed.phase == "disputed"
        net.reach(net.now_s + 600)
        await eventually(lambda: net["alice"]._channel(ab).phase is Phase.CLOSED)
