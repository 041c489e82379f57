"""A daemon that was away catches up with its channels, its peers and the chain."""

import asyncio
from itertools import count

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.scanner import ReorganisedTooDeep, Scanner
from channeld.adapters.chain.transactions import TransactionSettings, open_transactor
from channeld.adapters.signer import Signer
from channeld.adapters.transport.peers import PeerTransport
from channeld.core.channel import Phase
from channeld.core.errors import OperationalError
from channeld.core.identity import ETH, ChannelParams
from channeld.daemon import app
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import channel_id
from tests.daemon.cluster import ETHER, cluster, eventually
from tests.daemon.town import buy, channels_through_bob, closed, leave_alone

CHALLENGE_PERIOD_S = 600


async def test_alice_hears_of_a_deposit_that_was_made_after_her_restart(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "ETH", ETHER, 0)
        await net.stop("alice")
        await net.start("alice")
        await net.connect("alice", "bob")
        await net["bob"].deposit(ab, ETHER, 10.0)
        await eventually(lambda: net.state("alice", ab).deposits == net.state("bob", ab).deposits)


async def test_a_neighbour_who_is_away_is_listed_under_the_name_that_she_had(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "ETH", ETHER, 0)
        alice = net["alice"].signer.public_key
        await net.stop("alice")
        await eventually(lambda: not net["bob"].peering.is_connected(alice))
        (listed,), _ = await net["bob"].peers()
        assert (listed.node_id, listed.alias, listed.connected) == (alice, "alice", False)


async def test_alice_finds_a_challenge_that_was_made_while_she_was_away(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "ETH", ETHER, ETHER)
        await net.stop("alice")
        await leave_alone(net, "bob", ab)
        await net.start("alice")
        await eventually(lambda: net.state("alice", ab).phase is Phase.DISPUTED)
        assert net.dispute("alice", ab).expires_s == net.dispute("bob", ab).expires_s
        net.reach(net.dispute("alice", ab).expires_s)
        await closed(net, "alice", ab)
        await closed(net, "bob", ab)


@pytest.mark.parametrize("away", ["from her peers", "from everybody", "and her node answers late"])
async def test_alice_hears_of_the_chain_before_she_hears_of_bob(tmp_path, monkeypatch, away):
    """Else he could go on paying in a channel that he has left, and her clock would be years behind his."""
    known = []
    listen, look = PeerTransport.listen, Scanner._round

    async def listening(transport, host, port):
        tables = transport._events._engine.tables
        known.append((tables.now_s, tables.confirmed_s, [c.phase for c in tables.channels()]))
        return await listen(transport, host, port)

    looks = count()

    async def looking(scanner, place):
        if away == "and her node answers late" and next(looks) < 3:
            raise OperationalError("the node is being restarted")
        await asyncio.sleep(0.1)  # a node across the world
        return await look(scanner, place)

    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "ETH", ETHER, ETHER)
        await net.stop("alice")
        await leave_alone(net, "bob", ab)
        net.chain.chain.mine(100)
        head_s = net.now_s
        monkeypatch.setattr(PeerTransport, "listen", listening)
        monkeypatch.setattr(Scanner, "_round", looking)
        monkeypatch.setattr(app, "STILL_READING_S", 0.05)
        if away == "from her peers":
            signer = Signer(development_account("alice").key)
            async with app.running(net.config("alice"), signer, offline=True) as alice:
                tables = alice.engine.tables
                assert tables.confirmed_s >= head_s and [c.phase for c in tables.channels()] == [
                    Phase.DISPUTED
                ]
                assert tables.now_s >= head_s and not known, "she listens to nobody"
        else:
            await net.start("alice")
            ((now_s, confirmed_s, phases),) = known
            assert now_s >= confirmed_s >= head_s and phases == [Phase.DISPUTED]
            await eventually(lambda: net["alice"].peering.is_connected(net.node_id("bob")))


async def test_a_node_that_is_behind_is_waited_for_and_another_chain_ends_the_start(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(app, "STILL_READING_S", 0.05)
    async with cluster(tmp_path, "alice") as net:
        before = net.chain.chain.snapshot()
        net.chain.chain.mine(3)
        head = net.chain.chain.head
        await eventually(lambda: net["alice"].watch.head.number == head.number)
        await net["alice"].engine.caught_up()
        await net.stop("alice")
        assert net.chain.chain.revert(before)
        starting = asyncio.create_task(net.start("alice"))
        await eventually(lambda: "its node shows nothing new to us yet" in caplog.text)
        assert not starting.done()
        net.chain.chain.mine(5, timestamp_s=head.timestamp_s + 1_000)
        with pytest.raises(ExceptionGroup) as ended:
            await starting
        assert ended.group_contains(ReorganisedTooDeep)


async def test_alice_buys_through_bob_although_her_clock_is_ahead_of_his(tmp_path):
    """A daemon that has just started knows only the time of the latest block, which may be old."""
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        await channels_through_bob(net)
        await net.price(net.now_s - 60, 4_000)
        net["alice"].engine.clock.seen_at_s -= 10  # well within the 30 s for which a quote holds
        trade = await buy(net, "alice", "carol", "4000-C:5000", net.now_s + 30_000)
        assert trade.fee > 0


async def test_mallory_opens_a_channel_to_alice_and_challenges_in_the_same_block(tmp_path):
    """Nothing that a stranger does on chain may stop a daemon."""
    async with cluster(tmp_path, "alice") as net:
        mallory, alice = Signer(development_account("mallory").key), net["alice"].signer
        net.chain.chain.fund(mallory.address, ETHER)
        a, b = sorted((alice.address, mallory.address))
        params = ChannelParams(a, b, ETH, CHALLENGE_PERIOD_S, 1)
        channel = channel_id(params, net["alice"].domain)
        deposit = calls.deposit(params, to_b=mallory.address == b, amount=5)
        challenge = calls.challenge(params, 0, 0, bytes(32), bytes(64), bytes(64))
        fast = TransactionSettings(poll_s=0.02)
        async with open_transactor(net.rpc, mallory, tmp_path / "mallory.db", fast) as transactor:
            net.chain.chain.set_automine(False)
            await transactor.submit("open", Request(net.adjudicator, deposit, 5))
            await transactor.submit("challenge", Request(net.adjudicator, challenge), gas_limit=200_000)
            net.chain.chain.set_automine(True)
            assert (await transactor.result("challenge")).succeeded
        await eventually(lambda: net.dispute("alice", channel) is not None)
        assert net.dispute("alice", channel).expires_s == net.now_s + CHALLENGE_PERIOD_S
        net.reach(net.now_s + CHALLENGE_PERIOD_S)
        await closed(net, "alice", channel)
