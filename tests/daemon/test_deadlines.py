"""What time decides: deadlines of payments, the grace of prices."""

from channeld.core.claims import State
from tests.daemon.cluster import USD, Cluster, cluster, eventually
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

REGISTER_S = 120
REORGANISATION_S = 60
"""The margins of the configuration's defaults."""

GRACE_S = 24 * 3_600
PUBLISH_BEFORE_END_S = 1_800


def deadline_of(state: State) -> int:
    return max(claim.deadline_s for claim in state.claims.values() if claim.hashlock is not None)


async def agreed(net: Cluster, one: str, other: str, channel: bytes) -> None:
    for name in (one, other):
        await eventually(lambda n=name: is_quiet(net.state(n, channel)))
    assert_same_books(net, one, other, channel)


async def test_carol_shows_her_secret_on_chain_when_bob_does_not_hear_her(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, bc = await channels_through_bob(net)
        hashlock, paying = await unanswered_payment(net, "alice", "carol", bc, 70 * USD)
        net.reach(deadline_of(net.state("carol", bc).theirs) - REGISTER_S)
        assert (await paying).status == "succeeded"
        await eventually(lambda: hashlock in net["bob"].engine.tables.registered_s)
        await agreed(net, "alice", "bob", ab)
        # Her answer is late, and counts because the chain has heard it in time.
        await net.stop("carol")
        await net.start("carol")
        await agreed(net, "bob", "carol", bc)
        assert (await net["carol"].channel(bc)).ours == STAKE + 70 * USD


async def test_a_payment_that_nobody_answers_fails_back_after_its_deadline(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, bc = await channels_through_bob(net)
        _, paying = await unanswered_payment(net, "alice", "carol", bc, 70 * USD)
        deadline_s = deadline_of(net.state("carol", bc).theirs)
        await net.stop("carol")
        net.reach(deadline_s + REORGANISATION_S)
        await eventually(lambda: net["bob"].engine.tables.confirmed_s >= deadline_s + REORGANISATION_S)
        assert not paying.done(), "bob must not answer while a reorganisation may still bring the secret"
        net.reach(deadline_s + REORGANISATION_S + 1)
        failed = await paying
        assert (failed.status, failed.failure[:29]) == ("failed", "nobody answered before the de")
        await agreed(net, "alice", "bob", ab)
        assert (await net["alice"].channel(ab)).ours == STAKE
        # carol comes back with an answer that bob must refuse, and the channel goes on without it.
        await net.start("carol")
        await agreed(net, "bob", "carol", bc)
        assert (await net["carol"].channel(bc)).ours == STAKE
        (invoice,) = await net["carol"].create_invoice("USD", 5 * USD, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"


async def test_bob_wakes_up_after_the_deadline_of_a_payment_that_he_carried(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        ab, bc = await channels_through_bob(net)
        _, paying = await unanswered_payment(net, "alice", "carol", bc, 70 * USD)
        deadline_s = deadline_of(net.state("carol", bc).theirs)
        await net.stop("carol")
        await net.stop("bob")
        net.reach(deadline_s + REORGANISATION_S + 1)
        await net.start("bob")
        await net.connect("alice", "bob")
        assert (await paying).status == "failed"
        await agreed(net, "alice", "bob", ab)
        assert (await net["alice"].channel(ab)).ours == STAKE


async def option_of_alice_and_nobody_else_there(net: Cluster) -> tuple[bytes, int, int]:
    """The channel, the option's expiry and the premium; bob is gone."""
    await net.connect("alice", "bob")
    ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
    await net.price(net.now_s - 60, 4_000)
    expiry_s = net.now_s + 500
    trade = await buy(net, "alice", "bob", "4000-C:5000", expiry_s)
    await net.stop("bob")
    return ab, expiry_s, trade.premium


async def test_alice_publishes_the_price_before_the_grace_ends_although_bob_plays_dead(tmp_path):
    async with cluster(tmp_path, "alice", "bob", clock_skew_limit_s=10**6) as net:
        ab, expiry_s, premium = await option_of_alice_and_nobody_else_there(net)
        key = (net.feed.feed().feed_id, expiry_s)
        published = net["alice"].engine.tables.published
        net.reach(expiry_s)
        await net.price(expiry_s, 4_321)
        await eventually(lambda: key in net["alice"].engine.tables.signed_prices)
        net.reach(expiry_s + GRACE_S - PUBLISH_BEFORE_END_S - 60)
        before = net.chain.chain.head.number
        net.reach(expiry_s + GRACE_S - PUBLISH_BEFORE_END_S)
        await eventually(lambda: key in published)
        assert net.chain.chain.head.number == before + 2
        # The grace is over when she leaves; the price that came in time counts for ever.
        net.reach(expiry_s + GRACE_S + 60)
        await leave_alone(net, "alice", ab)
        net.reach(window_end_s(net, "alice", ab))
        await closed(net, "alice", ab)
        assert await net.dollars("alice") == PURSE - premium + 321 * USD
        assert await net.dollars("bob") == PURSE + premium - 321 * USD


async def test_without_a_price_the_option_is_void_after_the_grace(tmp_path):
    async with cluster(tmp_path, "alice", "bob", clock_skew_limit_s=10**6) as net:
        ab, expiry_s, premium = await option_of_alice_and_nobody_else_there(net)
        await leave_alone(net, "alice", ab)
        net.reach(window_end_s(net, "alice", ab))
        await eventually(lambda: net.dispute("alice", ab).remaining is not None)
        assert await net.dollars("bob") == PURSE + premium - 1_000 * USD, "his collateral waits for a price"
        net.reach(expiry_s + GRACE_S + 1)
        await closed(net, "alice", ab)
        assert await net.dollars("alice") == PURSE - premium
        assert await net.dollars("bob") == PURSE + premium


async def test_alice_and_bob_agree_that_an_option_is_void(tmp_path):
    async with cluster(tmp_path, "alice", "bob", clock_skew_limit_s=10**6) as net:
        ab, expiry_s, premium = await option_of_alice_and_nobody_else_there(net)
        await net.start("bob")
        await net.connect("alice", "bob")
        net.reach(expiry_s + GRACE_S)
        await eventually(lambda: net["alice"].engine.tables.confirmed_s >= expiry_s + GRACE_S)
        assert net.state("alice", ab).theirs.claims
        net.reach(expiry_s + GRACE_S + 20)
        await eventually(lambda: not net.state("alice", ab).theirs.claims)
        await agreed(net, "alice", "bob", ab)
        assert (await net["alice"].channel(ab)).ours == STAKE - premium
