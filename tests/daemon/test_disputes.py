"""Leaving alone: what the chain pays when somebody is gone, silent, or plays an odd state."""

from channeld.core.channel import Phase
from channeld.core.effects import RegisterSecret
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import (
    PURSE,
    STAKE,
    assert_same_books,
    buy,
    channels_through_bob,
    closed,
    is_quiet,
    leave_alone,
    unanswered_payment,
    window_end_s,
)


async def test_bob_vanishes_with_an_option_open_and_a_payment_in_flight(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, bc = await channels_through_bob(net)
        await net.price(net.now_s - 60, 4_000)
        expiry_s = net.now_s + 500
        trade = await buy(net, "alice", "carol", "4000-C:5000", expiry_s)
        _, paying = await unanswered_payment(net, "carol", "alice", ab, 70 * USD)
        await net.stop("bob")
        # alice's challenge takes her secret to the chain, where carol finds it.
        await leave_alone(net, "alice", ab)
        paid = await paying
        assert paid.status == "succeeded"
        await leave_alone(net, "carol", bc)
        net.reach(expiry_s)
        await net.price(expiry_s, 4_321)
        net.reach(max(window_end_s(net, "alice", ab), window_end_s(net, "carol", bc)))
        await closed(net, "alice", ab)
        await closed(net, "carol", bc)
        assert await net.dollars("alice") == PURSE - trade.premium - trade.fee + 321 * USD + 70 * USD
        assert await net.dollars("carol") == PURSE + trade.premium - 321 * USD - 70 * USD - paid.fee
        assert await net.dollars("bob") == PURSE + trade.fee + paid.fee


async def test_carol_leaves_with_a_payment_in_flight_and_bob_collects_from_alice(tmp_path):
    """On chain stands a proposal of bob's that carol never answered off-chain, and her secret."""
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, bc = await channels_through_bob(net)
        hashlock, paying = await unanswered_payment(net, "alice", "carol", bc, 70 * USD)
        await leave_alone(net, "carol", bc)
        paid = await paying
        assert (paid.status, paid.hashlock) == ("succeeded", hashlock)
        await eventually(lambda: net.dispute("bob", bc) is not None)
        assert net.dispute("bob", bc).version == net.state("bob", bc).mine.version
        assert net.state("bob", bc).mine.version > net.state("bob", bc).theirs.version
        net.reach(window_end_s(net, "bob", bc))
        await closed(net, "bob", bc)
        assert await net.dollars("carol") == PURSE + 70 * USD
        assert await net.dollars("bob") == PURSE - STAKE - 70 * USD
        await eventually(lambda: is_quiet(net.state("alice", ab)) and is_quiet(net.state("bob", ab)))
        assert_same_books(net, "alice", "bob", ab)
        closing = await net["alice"].close_channel(ab, False, 15.0)
        assert closing.phase == "closed"
        assert await net.dollars("alice") == PURSE - 70 * USD - paid.fee
        assert await net.dollars("bob") == PURSE + paid.fee


async def test_bob_plays_a_proposal_of_alice_that_he_never_answered_and_vanishes(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        _, paying = await unanswered_payment(net, "alice", "bob", ab, 70 * USD)
        await leave_alone(net, "bob", ab)
        assert (await paying).status == "succeeded"
        await net.stop("bob")
        net.reach(window_end_s(net, "alice", ab))
        await closed(net, "alice", ab)
        assert await net.dollars("alice") == PURSE - 70 * USD
        assert await net.dollars("bob") == PURSE + 70 * USD


async def test_bob_plays_a_proposal_and_keeps_his_secret_until_it_is_worth_nothing(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        _, paying = await unanswered_payment(net, "alice", "bob", ab, 70 * USD)
        (claim,) = net.state("bob", ab).theirs.claims.values()
        net.silence("bob", RegisterSecret)
        await leave_alone(net, "bob", ab)
        await eventually(lambda: getattr(net.dispute("alice", ab), "known", False))  # she looks for herself
        await net.stop("bob")
        net.reach(window_end_s(net, "alice", ab))
        net.reach(claim.deadline_s + 61)
        await closed(net, "alice", ab)
        assert (await paying).status == "failed"
        assert await net.dollars("alice") == PURSE == await net.dollars("bob")


async def test_alice_does_not_wait_for_an_answer_that_never_comes(tmp_path):
    """Her proposal is in no state that she can prove: on chain stands the one before."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        _, paying = await unanswered_payment(net, "alice", "bob", ab, 70 * USD)
        (claim,) = net.state("bob", ab).theirs.claims.values()
        await net.stop("bob")
        await leave_alone(net, "alice", ab)
        assert net.dispute("alice", ab).version == 0
        net.reach(window_end_s(net, "alice", ab))
        await closed(net, "alice", ab)
        net.reach(claim.deadline_s + 61)
        assert (await paying).status == "failed"
        assert await net.dollars("alice") == PURSE == await net.dollars("bob")


async def test_the_chain_pays_what_is_decided_and_later_the_rest(tmp_path):
    """A payment is decided in minutes, an option in a day: nobody's free money waits for it."""
    async with cluster(tmp_path, "alice", "bob", "carol", clock_skew_limit_s=10**6) as net:
        ab, bc = await channels_through_bob(net)
        await net.price(net.now_s - 60, 4_000)
        expiry_s = net.now_s + 20_000
        trade = await buy(net, "alice", "carol", "4000-C:5000", expiry_s)
        _, paying = await unanswered_payment(net, "carol", "alice", ab, 70 * USD)
        await net.stop("bob")
        await leave_alone(net, "alice", ab)
        paid = await paying
        net.reach(window_end_s(net, "alice", ab))
        await eventually(lambda: net.dispute("alice", ab).remaining is not None)
        # bob's collateral for the call stays, everything else is out.
        spent = trade.premium + trade.fee
        assert await net.dollars("alice") == PURSE - spent + 70 * USD
        assert await net.dollars("bob") == PURSE - 2 * STAKE + (STAKE + spent - 70 * USD - 1_000 * USD)
        net.reach(expiry_s)
        await net.price(expiry_s, 4_321)
        await closed(net, "alice", ab)
        assert await net.dollars("alice") == PURSE - spent + 70 * USD + 321 * USD
        assert paid.status == "succeeded"
        assert net.state("carol", bc).phase is Phase.OPEN


async def test_free_money_does_not_wait_for_an_option_that_expires_far_away(tmp_path):
    async with cluster(tmp_path, "alice", "bob", clock_skew_limit_s=10**6) as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        await net.price(net.now_s - 60, 4_000)
        expiry_s = net.now_s + 80_000
        trade = await buy(net, "alice", "bob", "4000-P", expiry_s)
        await net.stop("bob")
        await leave_alone(net, "alice", ab)
        net.reach(window_end_s(net, "alice", ab))
        await eventually(lambda: net.dispute("alice", ab).remaining is not None)
        assert await net.dollars("alice") == PURSE - trade.premium
        assert await net.dollars("bob") == PURSE + trade.premium - 4_000 * USD
        net.reach(expiry_s)
        await net.price(expiry_s, 3_900)
        await closed(net, "alice", ab)
        assert await net.dollars("alice") == PURSE - trade.premium + 100 * USD
