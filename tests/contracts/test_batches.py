"""What a hub does often it does at once; what is already done is skipped, so that nobody can spoil it."""

import pytest

from bench.evm import Channel, Contract, Party, party
from channeld.core.claims import Claim, State
from channeld.core.identity import ETH
from tests.contracts.hostile.build import hostile
from tests.contracts.town import CAST, PERIOD_S, PURSE, Town, alice, bob, carol, mallory, refused

PEERS = (bob, carol, mallory)

Exit = tuple[bytes, int, int, bytes]


def exits(town: Town, asset: bytes, nets: list[int]) -> tuple[list[Channel], list[Exit]]:
    """Channels of alice with each peer in dispute, in which she put 1,000 and has paid `net` to b."""
    channels, listed = [], []
    for peer, net in zip(PEERS, nets, strict=True):
        channel = town.channel(alice, peer, asset, salt=len(channels) + 5)
        town.court.deposit(alice, channel, channel.a, 1_000)
        town.court.deposit(peer, channel, channel.b, 1_000)
        salt = town.challenge(channel.a, channel, State(3, net))
        channels.append(channel)
        listed.append((peer.address, channel.params.config, net, salt))
    return channels, listed


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_a_hub_settles_many_channels_and_is_paid_once(town: Town, asset: str) -> None:
    address = ETH if asset == "eth" else town.token.address
    before = {who: town.balance(who, address) for who in CAST}
    channels, listed = exits(town, address, [100, -200, 2_000])
    town.wait(PERIOD_S)
    mined = town.court.send(mallory, "settle_batch", alice.address, address, listed)
    paid = dict.fromkeys(CAST, 0)
    for event, channel in zip([e for e in mined.events if e.name == "Closed"], channels, strict=True):
        paid[channel.a] += event.args["to_a"]
        paid[channel.b] += event.args["to_b"]
    for channel, net in zip(channels, [100, -200, 1_000], strict=True):
        assert town.status(channel) == 3
        assert town.court.view("disputes", channel.id) == 0
        before[channel.a] -= net
        before[channel.b] += net
    assert {who: town.balance(who, address) for who in CAST} == before
    assert town.balance(town.court.address, address) == 0


def test_a_hub_settles_what_was_withdrawn_from_at_the_last_second(town: Town) -> None:
    """Whatever the counter, and whether the expiry is even or odd."""
    for odd in (0, 1):
        channel = town.open(a=1_000, b=500, salt=20 + odd)
        town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(100, 0, town.now_s))
        town.wait(odd)
        salt = town.challenge(channel.a, channel, State(3, 40))
        listed = [(channel.b.address, channel.params.config, 40, salt)]
        town.wait(PERIOD_S - 1)
        early = town.court.send(mallory, "settle_batch", channel.a.address, ETH, listed)
        assert early.events == ()
        town.wait(1)
        mined = town.court.send(mallory, "settle_batch", channel.a.address, ETH, listed)
        assert (mined.event("Closed")["to_a"], mined.event("Closed")["to_b"]) == (860, 540)


def test_what_is_settled_already_is_skipped(town: Town) -> None:
    channels, listed = exits(town, ETH, [1, 2, 3])
    town.wait(PERIOD_S)
    town.court.settle(mallory, channels[1], 2, listed[1][3])
    mined = town.court.send(alice, "settle_batch", alice.address, ETH, [*listed, listed[0]])
    assert [event.args["channel"] for event in mined.events] == [channels[0].id, channels[2].id]
    assert town.court.send(alice, "settle_batch", alice.address, ETH, listed).events == ()
    assert town.balance(town.court.address) == 0


def test_what_cannot_be_settled_yet_or_so_is_skipped(town: Town) -> None:
    (early, wrong, fine), listed = exits(town, ETH, [1, 2, 3])
    town.wait(PERIOD_S - 1)
    assert town.court.send(alice, "settle_batch", alice.address, ETH, listed).events == ()
    town.wait(1)
    late = town.channel(alice, bob, salt=99)
    town.court.deposit(alice, late, late.a, 10)
    fresh = (bob.address, late.params.config, 0, bytes(32))
    peer, config, net, salt = listed[1]
    bent = [
        listed[0],
        (peer, config, net + 1, salt),
        (peer, config, net, bytes(32)),
        (peer, config + 1, net, salt),
        (bob.address, config, net, salt),
        (alice.address, config, net, salt),
        fresh,
        listed[2],
    ]
    mined = town.court.send(alice, "settle_batch", alice.address, ETH, bent)
    assert [event.args["channel"] for event in mined.events] == [early.id, fine.id]
    assert town.status(wrong) == 2
    assert town.status(late) == 1


def test_a_batch_of_another_asset_or_hub_settles_nothing(town: Town) -> None:
    _, listed = exits(town, ETH, [1, 2, 3])
    town.wait(PERIOD_S)
    assert town.court.send(alice, "settle_batch", alice.address, town.token.address, listed).events == ()
    assert town.court.send(alice, "settle_batch", carol.address, ETH, listed).events == ()


def test_a_channel_with_claims_is_not_settled_without_them(town: Town) -> None:
    channel = town.open(a=1_000)
    salt = town.dispute(channel, State(3, 0, {0: Claim(0, 900)}))
    peer = channel.b if channel.a == alice else channel.a
    listed = [(peer.address, channel.params.config, 0, salt)]
    assert town.court.send(alice, "settle_batch", alice.address, ETH, listed).events == ()


def test_a_peer_that_cannot_be_paid_does_not_hold_up_the_others(town: Town) -> None:
    bad = town.erc20_like(hostile("hostile_token"))
    _, listed = exits(town, bad.address, [0, 0, 0])
    town.wait(PERIOD_S)
    bad.send(mallory, "ban", carol.address, True)
    mined = town.court.send(alice, "settle_batch", alice.address, bad.address, listed)
    assert mined.event("Credited")["amount"] == 1_000
    assert bad.view("balanceOf", alice.address) == PURSE


def test_credits_of_many_assets_are_fetched_at_once(town: Town) -> None:
    tokens = [town.erc20_like(hostile("hostile_token")) for _ in range(3)]
    for token in tokens:
        channel = town.open(a=700, asset=token.address)
        token.send(mallory, "ban", channel.a.address, True)
        town.court.send(channel.a, "close", *channel.signed_close(0, town.now_s))
    owner = channel.a
    assets = [tokens[0].address, ETH, tokens[2].address, tokens[0].address]
    mined = town.court.send(owner, "claim_credits", assets, carol.address)
    assert [event.args["amount"] for event in mined.events] == [700, 700]
    assert [token.view("balanceOf", carol.address) for token in tokens] == [PURSE + 700, PURSE, PURSE + 700]
    assert town.court.view("credits", tokens[1].address, owner.address) == 700
    assert town.court.send(mallory, "claim_credits", assets, mallory.address).events == ()


def test_a_credit_in_eth_is_fetched_in_a_batch_too(town: Town) -> None:
    wallet = Contract(town.arena, hostile("wallet"), town.arena.deploy(hostile("wallet")))
    owner = Party("wallet", bytes(32), wallet.address)
    channel = town.channel(alice, owner)
    town.court.deposit(alice, channel, owner, 500)
    none = (bytes(32), bytes(32))
    started = town.court.send(alice, "challenge", channel.words, 0, 0, bytes(32), none, none)
    town.wait(PERIOD_S)
    town.court.settle(alice, channel, 0, started.event("Challenged")["salt"])
    fresh = party("fresh")
    data = town.court.call("claim_credits", [ETH], fresh.address)
    wallet.send(alice, "run", town.court.address, data, 0)
    assert town.balance(fresh) == 500


def test_batches_have_limits(town: Town) -> None:
    with refused("execution reverted"):
        town.court.send(alice, "claim_credits", [ETH] * 33, alice.address)
    assert town.court.send(alice, "claim_credits", [ETH] * 32, alice.address).events == ()
    row = (bob.address, 0, 0, bytes(32))
    with refused("execution reverted"):
        town.court.send(alice, "settle_batch", alice.address, ETH, [row] * 129)
    assert town.court.send(alice, "settle_batch", alice.address, ETH, [row] * 128).events == ()
