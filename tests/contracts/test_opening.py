"""Deposits: the first opens the channel, anyone may pay, only what arrives counts."""

import pytest

from channeld.core.claims import State
from channeld.core.identity import ETH, ChannelParams
from channeld.wire.eip712 import channel_id
from tests.contracts.town import PURSE, Town, alice, bob, carol, refused

MOST = 2**95 - 1


def test_the_first_deposit_opens_the_channel(town: Town) -> None:
    channel = town.channel()
    mined = town.court.deposit(channel.a, channel, channel.a, 700)
    assert mined.event("Opened") == {
        "channel": channel_id(channel.params, town.court.domain),
        "a": "0x" + channel.a.address.hex(),
        "b": "0x" + channel.b.address.hex(),
        "asset": "0x" + ETH.hex(),
        "config": channel.params.config,
        "amount": 700,
    }
    assert town.status(channel) == 1
    assert town.deposits(channel) == (700, 0)
    assert town.counter(channel) == 0


def test_a_first_deposit_for_b_is_told_by_its_sign(town: Town) -> None:
    channel = town.channel()
    mined = town.court.deposit(carol, channel, channel.b, 700)
    assert mined.event("Opened")["amount"] == -700
    assert town.deposits(channel) == (0, 700)


def test_anyone_may_top_up_either_side(town: Town) -> None:
    channel = town.open(a=100, b=50)
    mined = town.court.deposit(carol, channel, channel.a, 7)
    assert mined.event("Deposited") == {
        "channel": channel.id,
        "slot": town.court.view("channels", channel.id),
    }
    town.court.deposit(carol, channel, channel.b, 9)
    assert town.deposits(channel) == (107, 59)
    assert town.balance(town.court.address) == 166


def test_tokens_are_fetched_from_the_sender(town: Town) -> None:
    channel = town.open(a=300, b=40, asset=town.token.address)
    assert town.deposits(channel) == (300, 40)
    assert town.balance(channel.a, town.token.address) == PURSE - 300
    assert town.balance(town.court.address, town.token.address) == 340


def test_the_value_must_be_the_amount(town: Town) -> None:
    channel = town.channel()
    with refused("deposit: wrong value"):
        town.court.send(alice, "deposit", channel.words, False, 100, value_wei=99)
    with refused("deposit: wrong value"):
        town.court.send(alice, "deposit", channel.words, False, 100, value_wei=101)


def test_eth_sent_with_a_token_deposit_would_be_lost(town: Town) -> None:
    channel = town.channel(asset=town.token.address)
    with refused("deposit: no ETH here"):
        town.court.send(alice, "deposit", channel.words, False, 100, value_wei=1)


def test_nothing_is_no_deposit(town: Town) -> None:
    with refused("deposit: nothing or too large"):
        town.court.deposit(alice, town.channel(), alice, 0)


def test_a_token_that_is_not_approved_opens_nothing(town: Town) -> None:
    channel = town.channel(asset=town.token.address)
    town.token.send(alice, "approve", town.court.address, 99)
    with refused("execution reverted"):
        town.court.deposit(alice, channel, alice, 100)
    assert town.status(channel) == 0


def test_an_asset_without_code_opens_nothing(town: Town) -> None:
    channel = town.channel(asset=carol.address)
    with refused("execution reverted"):
        town.court.deposit(alice, channel, alice, 100)


@pytest.mark.parametrize("period_s", [600, 2_592_000])
def test_the_bounds_of_the_period_are_within(town: Town, period_s: int) -> None:
    channel = town.open(period_s=period_s)
    assert town.status(channel) == 1


@pytest.mark.parametrize("period_s", [0, 599, 2_592_001, 2**40 - 1])
def test_no_channel_opens_with_a_window_too_short_or_too_long(town: Town, period_s: int) -> None:
    """2^40 - 1 would overflow into the status of the slot when the clock starts: nothing ever paid."""
    with refused("open: period"):
        town.open(period_s=period_s)


def test_a_is_below_b_so_that_two_ids_never_mean_the_same_pair(town: Town) -> None:
    channel = town.channel()
    swapped = (channel.params.b, channel.params.a, ETH, channel.params.config)
    with refused("open: a must be below b"):
        town.court.send(alice, "deposit", swapped, False, 100, value_wei=100)
    same = (channel.params.a, channel.params.a, ETH, channel.params.config)
    with refused("open: a must be below b"):
        town.court.send(alice, "deposit", same, False, 100, value_wei=100)


def test_nobody_opens_a_channel_with_the_zero_address(town: Town) -> None:
    """An invalid signature recovers to the zero address: mallory could sign for it."""
    params = ChannelParams(bytes(20), bob.address, ETH, 86_400, 1)
    words = (params.a, params.b, params.asset, params.config)
    with refused("open: no address"):
        town.court.send(bob, "deposit", words, True, 100, value_wei=100)


def test_the_pot_fits_one_signed_deposit(town: Town) -> None:
    """A partial settlement stores the whole rest as the deposit of a."""
    for who in (alice, bob, carol):
        town.arena.fund(who.address, 2**97)
    channel = town.open(a=MOST - 5, b=5)
    for side in (channel.a, channel.b):
        with refused("deposits: too large"):
            town.court.deposit(carol, channel, side, 1)
    with refused("deposit: nothing or too large"):
        town.court.deposit(carol, town.channel(salt=9), alice, MOST + 1)
    town.court.deposit(carol, town.channel(salt=9), alice, MOST)
    assert town.deposits(channel) == (MOST - 5, 5)


def test_no_deposit_during_a_dispute_nor_after_the_end(town: Town) -> None:
    channel = town.open()
    town.challenge(channel.a, channel, State())
    with refused("deposit: not open"):
        town.court.deposit(carol, channel, channel.a, 1)
    town.wait(86_400)
    with refused("deposit: not open"):
        town.court.deposit(carol, channel, channel.a, 1)


def test_channels_differ_by_salt_asset_period_and_pair(town: Town) -> None:
    ids = {
        town.open().id,
        town.open(salt=2).id,
        town.open(period_s=601).id,
        town.open(asset=town.token.address).id,
        town.open(other=carol).id,
    }
    assert len(ids) == 5
