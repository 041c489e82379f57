"""What goes wrong around a daemon must not stop it, and what it cannot work with it says at once."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.core.channel import Reestablish, Update
from channeld.core.errors import OperationalError, Rejected
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import Hello
from channeld.core.operations import Fail
from channeld.daemon.app import running
from channeld.daemon.peering import PROTOCOL
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import channel_id
from channeld.wire.messages import encode
from contracts.artifacts import erc20_test_token
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.mortal import Mortal
from tests.daemon.mortal_life import until
from tests.daemon.town import STAKE, channels_through_bob, is_quiet
from tests.transport.transport_cast import Node

FAST = TransactionSettings(poll_s=0.02)


async def test_a_stranger_opens_channels_that_alice_does_not_take(tmp_path):
    """Also when the first deposit is for her side: the terms are the stranger's all the same."""
    async with cluster(tmp_path, "alice", "mallory", running=["alice"]) as net:
        mallory, alice = Signer(development_account("mallory").key), net["alice"].signer
        a, b = sorted((alice.address, mallory.address))
        async with open_transactor(net.rpc, mallory, tmp_path / "mallory.db", FAST) as transactor:
            token = await deploy(transactor, net.rpc, "token", erc20_test_token().bytecode)
            mint = bytes.fromhex("40c10f19") + bytes(12) + mallory.address + (100).to_bytes(32, "big")
            await transactor.execute("mint", Request(token, mint))
            await transactor.execute("approve", Request(token, calls.approve(net.adjudicator)))
            too_long = ChannelParams(a, b, ETH, 8 * 86_400, 1)
            unknown_asset = ChannelParams(a, b, token, 600, 2)
            legal = ChannelParams(a, b, ETH, 600, 3)
            for params in (too_long, unknown_asset, legal):
                for to_b in (True, False):
                    data = calls.deposit(params, to_b=to_b, amount=5)
                    value_wei = 5 if params.asset == ETH else 0
                    name = f"deposit {params.salt} {to_b}"
                    await transactor.execute(name, Request(net.adjudicator, data, value_wei))
        known = net["alice"].engine.tables
        await eventually(lambda: [c.params for c in known.channels()] == [legal])
        assert [info.channel_id for info in (await net["alice"].channels(closed=True))[0]] == [
            channel_id(legal, net["alice"].domain)
        ]


async def test_the_ethereum_node_goes_away_and_returns(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, _ = await channels_through_bob(net)
        await net.chain_goes_away()
        await eventually(lambda: net["alice"].watch.lost and net["bob"].watch.lost)
        # What needs no chain goes on without it.
        (invoice,) = await net["carol"].create_invoice("USD", 5 * USD, "", None, 1)
        paid = await net["alice"].pay(invoice.text, None, None, 10.0)
        assert paid.status == "succeeded"
        with pytest.raises(OperationalError):
            await net["alice"].deposit(ab, 5 * USD, 1.0)
        alone = await net["alice"].info()
        assert not alone.synced and "127.0.0.1" in alone.chain_error
        assert [(a.on_chain, a.credit, a.in_channels) for a in alone.assets] == [
            (None, None, 0),
            (None, None, STAKE - paid.amount - paid.fee),
        ]
        await net.chain_returns()
        await eventually(lambda: not net["alice"].watch.lost and not net["bob"].watch.lost)
        again = await net["alice"].info()
        assert again.synced and not again.chain_error and all(a.on_chain for a in again.assets)
        await net["alice"].deposit(ab, 5 * USD, 10.0)
        await eventually(lambda: net.state("bob", ab).deposits == net.state("alice", ab).deposits)
        assert sorted(_deposits(net, "bob", ab)) == [STAKE, STAKE + 5 * USD]


def _deposits(net: Cluster, name: str, channel: bytes) -> tuple[int, int]:
    deposits = net.state(name, channel).deposits
    return deposits.a, deposits.b


async def test_a_daemon_on_another_chain_or_without_its_contract_does_not_start(tmp_path):
    async with cluster(tmp_path, "alice", running=()) as net:
        right = net.config("alice")
        signer = Signer(development_account("alice").key)
        wrong = (
            (replace(right.chain, chain_id=1), "expected chain 1 behind the RPC URL, got chain"),
            (replace(right.chain, adjudicator=bytes(range(20))), "expected a contract at 0x000102"),
            (replace(right.chain, adjudicator=None), "expected .chain. adjudicator to name the contract"),
        )
        for chain, complaint in wrong:
            with pytest.raises(Rejected, match=complaint):
                async with running(replace(right, chain=chain), signer):
                    pass
        with pytest.raises(OperationalError):
            async with running(
                replace(right, chain=replace(right.chain, rpc_url="http://127.0.0.1:9")), signer
            ):
                pass


async def test_two_daemons_do_not_share_a_data_directory(tmp_path):
    async with cluster(tmp_path, "alice") as net:
        with pytest.raises(Rejected, match="is in use by process"):
            async with running(net.config("alice"), net["alice"].signer):
                pass
        await net.stop("alice")
        await net.start("alice")


async def test_a_daemon_does_not_continue_what_another_key_has_begun(tmp_path):
    async with cluster(tmp_path, "alice") as net:
        await net.stop("alice")
        with pytest.raises(Rejected):
            async with running(net.config("alice"), Signer(development_account("bob").key)):
                pass


async def greeted_by(net: Cluster, name: str, mallory: Node, *words: bytes) -> str:
    """mallory proves her key, says her words, and hears why she is dropped."""
    mallory.story.clear()
    target = net[name]
    mallory.greet = lambda peer_id: [mallory.transport.send(peer_id, word) for word in words] and None
    await mallory.transport.connect(target.signer.public_key, f"ws://127.0.0.1:{target.listen_port}/")
    await mallory.until_heard("down")
    (reason,) = mallory.heard("down")
    assert isinstance(reason, str)
    return reason


async def test_mallory_proves_her_key_and_talks_nonsense(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, 0)
        hello = net["alice"].peering._hello
        mallory = Node(77)
        try:
            for words in (
                (b"\xc1",),
                (os.urandom(200),),
                (encode(hello), os.urandom(5_000)),
                (encode(hello), encode(hello)),
                (encode(Reestablish(ab, 0, 0, 0, 0)),),
                (encode(Hello(PROTOCOL, 1, hello.adjudicator, "x")),),
                (encode(Hello(PROTOCOL, hello.chain_id, bytes(20), "x")),),
                (encode(Hello(PROTOCOL + 1, hello.chain_id, hello.adjudicator, "x")),),
            ):
                await greeted_by(net, "bob", mallory, *words)
        finally:
            await mallory.transport.close()
        (invoice,) = await net["bob"].create_invoice("USD", 5 * USD, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"


async def test_mallory_meddles_with_a_channel_that_is_not_hers(tmp_path):
    """She is not even dropped: to whoever is no end of it the channel does not exist."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, 0)
        mallory = Node(77)
        target = net["bob"]
        hello = encode(target.peering._hello)
        try:
            mallory.greet = lambda peer_id: mallory.transport.send(peer_id, hello) and None
            await mallory.transport.connect(target.signer.public_key, f"ws://127.0.0.1:{target.listen_port}/")
            before = net.state("bob", ab)
            for word in (
                Reestablish(ab, 9, 9, 0, 0),
                Update(ab, 1, 0, (Fail(0, b""),), bytes(64)),
                Reestablish(bytes(32), 0, 0, 0, 0),
            ):
                mallory.transport.send(target.signer.public_key, encode(word))
            mallory.transport.send(target.signer.public_key, hello)  # the second one ends it
            await mallory.until_heard("down")
            assert net.state("bob", ab) == before
        finally:
            await mallory.transport.close()


async def test_connecting_to_a_node_of_another_adjudicator_says_why(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        net["bob"].peering._hello = replace(net["bob"].peering._hello, adjudicator=bytes(20))
        bob = f"{net.node_id('bob').hex()}@127.0.0.1:{net['bob'].listen_port}"
        with pytest.raises(OperationalError, match="is it on the same chain"):
            await net["alice"].connect(bob)
        assert not net["alice"].peering.is_connected(net.node_id("bob"))


async def test_while_the_clocks_disagree_no_new_risk_is_taken(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol", clock_skew_limit_s=1_000) as net:
        ab, _ = await channels_through_bob(net)
        (invoice,) = await net["carol"].create_invoice("USD", 5 * USD, "", 86_400, 1)
        net.reach(net.now_s + 2_000)
        await eventually(lambda: not net["alice"].engine.tables.clock_trusted)
        assert not (await net["alice"].info()).clock_trusted
        with pytest.raises(Rejected, match="disagree"):
            await net["alice"].pay(invoice.text, None, None, 10.0)
        # alice would, bob would not.
        net["alice"].engine.clock.skew_limit_s = 10**6
        await eventually(lambda: net["alice"].engine.tables.clock_trusted)
        refused = await net["alice"].pay(invoice.text, None, None, 10.0)
        assert (refused.status, refused.failure[:38]) == ("failed", "a node on the way does not trust its c")
        await eventually(lambda: is_quiet(net.state("alice", ab)) and is_quiet(net.state("bob", ab)))
        # Leaving is always possible.
        assert (await net["alice"].close_channel(ab, False, 15.0)).phase == "closed"


@pytest.mark.parametrize("how", ["api", "SIGTERM", "SIGINT"])
async def test_a_daemon_is_asked_to_stop(tmp_path, how):
    """It ends with exit code 0, its directory is free at once, and it starts again."""
    async with cluster(tmp_path, "alice", running=()) as net:
        alice = Mortal(net.config("alice"), development_account("alice").key)
        try:
            for _ in range(2):
                await alice.start()
                await until(lambda: _synced(alice))
                if how == "api":
                    await alice.commands.stop()
                else:
                    os.kill(alice.pid, getattr(signal, how))
                async with asyncio.timeout(10):
                    await alice.ended()
                assert alice.exit_code == 0
        finally:
            alice.destroy()


async def _synced(daemon: Mortal) -> bool:
    return (await daemon.commands.info()).synced
