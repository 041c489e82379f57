"""Bob's data directory is replaced by an old copy of it: once by mallory, once by an accident."""

from dataclasses import dataclass

import pytest

from channeld.core.channel import Phase
from channeld.core.errors import Rejected
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.town import (
    PURSE,
    assert_same_books,
    buy,
    channels_through_bob,
    closed,
    is_quiet,
    leave_alone,
    window_end_s,
)


@dataclass(frozen=True, slots=True)
class Town:
    """The channels of alice and carol with bob, and what everybody must own in the end."""

    ab: bytes
    bc: bytes
    owed: dict[str, int]


async def pay(net: Cluster, payer: str, payee: str, amount: int) -> int:
    """One payment that succeeds; the fee."""
    (invoice,) = await net[payee].create_invoice("USD", amount, "", None, 1)
    paid = await net[payer].pay(invoice.text, None, None, 10.0)
    assert (paid.status, paid.failure) == ("succeeded", "")
    return paid.fee


async def quiet_everywhere(net: Cluster) -> None:
    for name in net.daemons:
        for channel in net[name].engine.tables.channels():
            await eventually(lambda n=name, c=channel.channel_id: is_quiet(net.state(n, c)))


async def reconnect(net: Cluster, town: Town) -> None:
    for name, channel in (("alice", town.ab), ("carol", town.bc)):
        await net.connect(name, "bob")
        await eventually(lambda n=name, c=channel: c in net[n].engine.tables.online)


async def bob_with_an_old_copy(net: Cluster) -> Town:
    """bob runs from a copy of before most of the payments; nobody can reach him yet."""
    ab, bc = await channels_through_bob(net)
    alice_fees = await pay(net, "alice", "carol", 100 * USD)
    await quiet_everywhere(net)
    await net.stop("bob")
    net.keep_copy("bob")
    await net.start("bob")
    await reconnect(net, Town(ab, bc, {}))
    alice_fees += await pay(net, "alice", "carol", 200 * USD)
    alice_fees += await pay(net, "alice", "carol", 400 * USD)
    carol_fees = await pay(net, "carol", "alice", 50 * USD)
    await quiet_everywhere(net)
    await net.stop("bob")
    net.bring_back_copy("bob")
    await net.start("bob")
    assert net.state("bob", bc).theirs.version < net.state("carol", bc).theirs.version
    assert net.state("bob", ab).theirs.version < net.state("alice", ab).theirs.version
    owed = {
        "alice": PURSE - 650 * USD - alice_fees,
        "bob": PURSE + alice_fees + carol_fees,
        "carol": PURSE + 650 * USD - carol_fees,
    }
    return Town(ab, bc, owed)


async def test_mallory_challenges_with_a_stale_state_and_carol_answers_by_herself(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        town = await bob_with_an_old_copy(net)
        honest = (("alice", town.ab), ("carol", town.bc))
        for name, channel in honest:
            await leave_alone(net, "bob", channel)
            newest = net.state(name, channel).theirs.version
            await eventually(lambda n=name, c=channel, v=newest: standing(net, n, c) == v)
        net.reach(max(window_end_s(net, name, channel) for name, channel in honest))
        for name, channel in honest:
            await closed(net, name, channel)
            await closed(net, "bob", channel)
        for name, dollars in town.owed.items():
            assert await net.dollars(name) == dollars, name


def standing(net: Cluster, name: str, channel: bytes) -> int | None:
    """The version that stands on chain, as a daemon has seen it."""
    dispute = net.dispute(name, channel)
    return dispute.version if dispute is not None and dispute.known else None


async def test_mallory_challenges_while_carol_is_away_and_she_is_back_in_time(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        town = await bob_with_an_old_copy(net)
        newest = net.state("carol", town.bc).theirs.version
        await net.stop("carol")
        await leave_alone(net, "bob", town.bc)
        end_s = window_end_s(net, "bob", town.bc)
        net.reach(end_s - 60)
        await net.start("carol")
        await eventually(lambda: standing(net, "carol", town.bc) == newest)
        assert window_end_s(net, "carol", town.bc) == end_s == window_end_s(net, "bob", town.bc)
        net.reach(end_s)
        await closed(net, "carol", town.bc)
        assert await net.dollars("carol") == town.owed["carol"]


async def test_honest_bob_recovers_and_closes_together_with_his_peers(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        town = await bob_with_an_old_copy(net)
        await net.connect("alice", "bob")
        await net.connect("carol", "bob")
        for name, channel in (("alice", town.ab), ("carol", town.bc)):
            await closed(net, name, channel)
            await closed(net, "bob", channel)
        for name, dollars in town.owed.items():
            assert await net.dollars(name) == dollars, name


async def test_bob_who_has_lost_data_never_challenges(tmp_path):
    """With a position open the channel cannot close together, and what bob holds may not be the newest."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", 5_000 * USD, 5_000 * USD)
        await net.stop("bob")
        net.keep_copy("bob")
        await net.start("bob")
        await net.connect("alice", "bob")
        await eventually(lambda: ab in net["alice"].engine.tables.online)
        await net.price(net.now_s - 60, 4_000)
        expiry_s = net.now_s + 500
        trade = await buy(net, "alice", "bob", "4000-C:5000", expiry_s)
        await net.stop("bob")
        net.bring_back_copy("bob")
        await net.start("bob")
        await net.connect("alice", "bob")
        await eventually(lambda: net.state("bob", ab).phase is Phase.RECOVERED)
        assert_same_books(net, "alice", "bob", ab)
        (shown,), _ = await net["bob"].channels(False)
        assert shown.note == (
            "data was lost here; 1 open claims are decided on chain only: waiting for the peer to leave alone"
        )
        with pytest.raises(Rejected, match="only a cooperative close is safe"):
            await net["bob"].close_channel(ab, True, 5.0)
        # alice lost nothing: she may leave, and the option is paid on chain.
        await leave_alone(net, "alice", ab)
        net.reach(expiry_s)
        await net.price(expiry_s, 4_321)
        net.reach(window_end_s(net, "alice", ab))
        await closed(net, "alice", ab)
        await closed(net, "bob", ab)
        assert await net.dollars("alice") == PURSE - trade.premium + 321 * USD
        assert await net.dollars("bob") == PURSE + trade.premium - 321 * USD
