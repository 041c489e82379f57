"""bob has channels with forty people who are asleep: nothing he does with alice and carol looks at theirs.

What is counted is what is touched, not how long it takes: a loop over all channels touches those of the
sleepers.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from bench.past import idle_channels
from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.transactions import TransactionSettings, open_transactor
from channeld.adapters.journal.records import Identity, Put
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.adapters.signer import Signer
from channeld.core.channel import Channel
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import domain_separator
from routing.edge import Asset
from routing.graph import ChannelGraph
from routing.policy import Policy
from routing.route import Query
from routing.search import find_route
from tests.daemon.cluster import ETHER, USD, Cluster, cluster, eventually
from tests.daemon.town import is_quiet

SLEEPERS = 40


class Watched(dict[Any, Any]):
    """A table that remembers which of its keys were read."""

    def __init__(self, table: dict[Any, Any]) -> None:
        super().__init__(table)
        self.touched: set[Any] = set()

    def __getitem__(self, key: Any) -> Any:
        self.touched.add(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.touched.add(key)
        return super().get(key, default)

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.touched.add(key)
            yield key

    def keys(self) -> Any:
        return iter(self)

    def values(self) -> Any:
        return (super(Watched, self).__getitem__(key) for key in self)

    def items(self) -> Any:
        return ((key, super(Watched, self).__getitem__(key)) for key in self)


class Sleepers:
    """Watches the tables in which bob keeps the channels of those who sleep."""

    def __init__(self, net: Cluster, ids: set[bytes]) -> None:
        self._ids = ids
        bob = net["bob"]
        records = bob.engine.tables.records
        self._channels = records[Channel] = Watched(records[Channel])
        gossip = bob.peering._gossip
        self._policies = gossip._policies = Watched(gossip._policies)

    def woken(self) -> set[bytes]:
        """Whose channels were looked at since the last time this was asked."""
        touched = self._channels.touched | {channel for channel, _ in self._policies.touched}
        self._channels.touched.clear()
        self._policies.touched.clear()
        return touched & self._ids


def put_to_sleep(net: Cluster, *names: str) -> set[bytes]:
    """Before they start: forty open channels of bob, which all of `names` know of; their ids."""
    domain = domain_separator(net.chain.chain.settings.chain_id, net.adjudicator)
    bob = Signer(development_account("bob").key)
    rows = idle_channels(bob, domain, SLEEPERS, net.now_s)
    for name in names:
        identity = Identity(net.chain.chain.settings.chain_id, net.node_id(name))
        kinds = rows if name == "bob" else {kind: rows[kind] for kind in ("graph_channel", "graph_policy")}
        with closing(SqliteJournal(net.directory / name, identity)) as journal:
            journal.commit([Put(kind, key, value) for kind in kinds for key, value in rows[kind]])
    return {key for key, _ in rows["channel"]}


async def test_bob_does_his_work_and_nobody_who_sleeps_is_woken(tmp_path):
    names = ("alice", "bob", "carol")
    async with cluster(tmp_path, *names, running=()) as net:
        asleep = put_to_sleep(net, *names)
        for name in names:
            await net.start(name)
        await net.connect("alice", "bob")
        await net.connect("carol", "bob")
        ab = await net.open("alice", "bob", "USD", 5_000 * USD, 5_000 * USD)
        bc = await net.open("bob", "carol", "USD", 5_000 * USD, 5_000 * USD)
        every = 2 * (SLEEPERS + 2)
        for name in names:
            await eventually(lambda name=name: len(net[name].peering._gossip.known()) == every)
        bob = net["bob"]
        assert len((await bob.channels(closed=False))[0]) == SLEEPERS + 2
        assert (await bob.info()).channels == SLEEPERS + 2
        sleepers = Sleepers(net, asleep)

        (for_alice,) = await net["alice"].create_invoice("USD", 5 * USD, "", None, 1)
        (for_bob,) = await bob.create_invoice("USD", 5 * USD, "", None, 1)
        (for_carol,) = await net["carol"].create_invoice("USD", 5 * USD, "", None, 1)
        for payer, invoice in (("bob", for_alice), ("alice", for_bob), ("alice", for_carol)):
            assert (await net[payer].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        assert sleepers.woken() == set(), "payments: out, in, and carried on"

        assert (await bob.info()).channels == SLEEPERS + 2
        await bob.channel(ab)
        await bob.payments(None, 10)
        await bob.invoices(None, 10)
        await bob.positions()
        assert sleepers.woken() == set(), "questions about something else"

        await net.price(net.now_s, 4_000)
        expiry_s = net.now_s + 3_600
        when = datetime.fromtimestamp(expiry_s, UTC).strftime("%d%b%yT%H%M%S").upper()
        name, carol = f"ETH-{when}-4000-C:5000", net.node_id("carol")
        quote = await net["alice"].quote_option(name, 10**8, "USD", carol, 10.0)
        assert (await net["alice"].buy_option(quote.quote_id, None, 10.0)).status == "bound"
        for channel_id in (ab, bc):
            await eventually(lambda it=channel_id: is_quiet(net.state("bob", it)))
        assert len((await bob.positions())[0]) == 2
        net.reach(expiry_s + 1)
        await net.price(expiry_s, 4_500)
        for channel_id in (ab, bc):
            await eventually(lambda it=channel_id: not net.state("bob", it).theirs.claims)
        assert sleepers.woken() == set(), "an option is bought, expires and is settled"

        head = bob.watch.head.number
        fast = TransactionSettings(poll_s=0.02)
        deployer = Signer(development_account("0").key)
        async with open_transactor(net.rpc, deployer, tmp_path / "deployer.db", fast) as transactor:
            await transactor.execute("secret", Request(net.adjudicator, calls.register_secret(b"s" * 32)))
        await eventually(lambda: bob.watch.head.number > head)
        for _ in range(3):
            bob.engine.turn()
        assert sleepers.woken() == set(), "blocks arrive, one with somebody's secret in it; time passes"

        alice = net["alice"]
        await alice.peering.transport.disconnect(net.node_id("bob"), "a walk")
        await eventually(lambda: ab not in bob.engine.tables.online)
        await net.connect("alice", "bob")
        await eventually(lambda: ab in bob.engine.tables.online)
        assert sleepers.woken() == set(), "alice goes and comes back"

        left = await net["carol"].close_channel(bc, False, 15.0)
        assert left.phase == "closed"
        await eventually(lambda: len(bob.peering._gossip._policies) == every - 2)
        assert sleepers.woken() == set(), "a channel is closed"


async def test_whoever_watches_the_table_sees_a_look_at_a_sleeper(tmp_path):
    """The proof that the story above could fail."""
    async with cluster(tmp_path, "bob", running=()) as net:
        asleep = put_to_sleep(net, "bob")
        await net.start("bob")
        sleepers = Sleepers(net, asleep)
        assert sleepers.woken() == set()
        await net["bob"].channels(closed=False)
        assert sleepers.woken() == asleep
        assert len(net["bob"].peering._gossip.known()) == 2 * SLEEPERS
        assert sleepers.woken() == asleep


@contextmanager
def calls_counted() -> Iterator[list[int]]:
    """How many Python functions are entered in the block."""
    counted = [0]

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        counted[0] += event == "call"

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def star(leaves: int) -> tuple[ChannelGraph, Callable[[int], bytes]]:
    """A hub with channels to so many others, and who the others are."""

    def node(n: int) -> bytes:
        return b"\x02" + n.to_bytes(32, "big")

    graph = ChannelGraph(lambda node_id: node_id[-20:])
    for n in range(1, leaves + 1):
        name = n.to_bytes(32, "big")
        graph.channel_opened(name, node(0)[-20:], node(n)[-20:], bytes(20), 10 * ETHER, 1)
        for end in (0, n):
            graph.policy_set(name, node(end), Policy(0, 0, 0, 1, 10 * ETHER, 0, True, 1))
    return graph, node


def calls_for_a_route(leaves: int, payer: int, payee: int) -> int:
    graph, node = star(leaves)
    query = Query(node(payer), node(payee), Asset(1, bytes(20)), 100, 0)
    find_route(graph, query)  # the first search builds what later ones share
    with calls_counted() as counted:
        assert len(find_route(graph, query).hops) == (1 if 0 in (payer, payee) else 2)
    return counted[0]


def test_the_hub_finds_its_way_as_fast_among_many_as_among_few():
    few, many = calls_for_a_route(5, 0, 3), calls_for_a_route(500, 0, 3)
    assert few == many > 0
    assert calls_for_a_route(5, 1, 3) == calls_for_a_route(500, 1, 3)
