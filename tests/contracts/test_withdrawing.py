"""Partial withdrawals: what both agree on leaves, the channel goes on, and no signature works twice."""

import pytest

from bench.evm import NO_SIGNATURE, Court
from channeld.core.claims import State
from tests.contracts.hostile.build import hostile
from tests.contracts.town import CAST, HOUR_S, PURSE, Town, mallory, refused


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_both_take_a_part_and_the_channel_goes_on(town: Town, asset: str) -> None:
    address = bytes(20) if asset == "eth" else town.token.address
    channel = town.open(a=1_000, b=500, asset=address)
    mined = town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(300, 200, town.now_s))
    assert mined.event("DepositsWithdrawn") == {
        "channel": channel.id,
        "to_a": 300,
        "to_b": 200,
        "slot": town.court.view("channels", channel.id),
    }
    assert town.deposits(channel) == (700, 300)
    assert town.status(channel) == 1
    assert town.counter(channel) == 1
    assert town.balance(channel.a, address) == PURSE - 700
    assert town.balance(channel.b, address) == PURSE - 300
    closed = town.leave(channel, State(3, 100)).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (600, 400)


def test_a_side_takes_what_it_has_earned_and_no_state_changes_its_worth(town: Town) -> None:
    """Deposits are signed: with unsigned ones either the state before or the one after would be theft."""
    channel = town.open(a=1_000, b=0)
    earned = State(7, 600)
    town.court.send(channel.b, "withdraw", *channel.signed_withdrawal(0, 600, town.now_s))
    assert town.deposits(channel) == (1_000, -600)
    closed = town.leave(channel, earned).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (400, 0)


def test_a_top_up_brings_a_negative_deposit_back(town: Town) -> None:
    channel = town.open(a=1_000, b=0)
    town.court.send(channel.b, "withdraw", *channel.signed_withdrawal(0, 600, town.now_s))
    town.court.deposit(channel.b, channel, channel.b, 700)
    assert town.deposits(channel) == (1_000, 100)
    closed = town.leave(channel, State(7, 600)).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (400, 700)


def test_everything_may_leave_and_come_back(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(0, 1_500, town.now_s))
    assert town.deposits(channel) == (1_000, -1_000)
    town.court.deposit(channel.a, channel, channel.a, 5)
    closed = town.leave(channel, State(1, 1_000)).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (5, 0)


@pytest.mark.parametrize("side", [0, 1])
def test_no_deposit_outgrows_its_word_however_small_the_pot(town: Town, side: int) -> None:
    most = 2**95 - 1
    for who in CAST:
        town.arena.fund(who.address, 2**97)
    channel = town.open(a=most if side == 0 else 0, b=most if side == 1 else 0)
    mine, other = (channel.a, channel.b) if side == 0 else (channel.b, channel.a)
    earned = (0, 10) if side == 0 else (10, 0)
    town.court.send(other, "withdraw", *channel.signed_withdrawal(*earned, town.now_s))
    with refused("deposits: too large"):
        town.court.deposit(mine, channel, mine, 1)
    town.court.deposit(mine, channel, other, 10)
    assert town.deposits(channel) == ((most, 0) if side == 0 else (0, most))


def test_no_more_leaves_than_is_there(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    town.open(a=10**6, salt=2)
    with refused("deposits: below zero"):
        town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(1_000, 501, town.now_s))
    with refused("deposits: below zero"):
        town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(2**96 - 1, 2**96 - 1, town.now_s))


def test_a_withdrawal_works_once_even_if_a_top_up_restores_the_deposits(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    signed = channel.signed_withdrawal(300, 0, town.now_s + HOUR_S)
    town.court.send(channel.a, "withdraw", *signed)
    with refused("not signed by b"):
        town.court.send(channel.a, "withdraw", *signed)
    town.court.deposit(channel.a, channel, channel.a, 300)
    assert town.deposits(channel) == (1_000, 500)
    with refused("not signed by b"):
        town.court.send(channel.a, "withdraw", *signed)
    town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(300, 0, town.now_s, counter=1))


def test_a_withdrawal_ends_every_close_and_withdrawal_signed_before(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    close = channel.signed_close(100, town.now_s)
    other = channel.signed_withdrawal(1, 1, town.now_s)
    town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(0, 0, town.now_s))
    for call, signed in (("close", close), ("withdraw", other)):
        with refused("not signed by b"):
            town.court.send(channel.a, call, *signed)
    town.court.send(channel.a, "close", *channel.signed_close(100, town.now_s, counter=1))


def test_a_withdrawal_dies_at_its_until(town: Town) -> None:
    channel = town.open()
    signed = channel.signed_withdrawal(1, 0, town.now_s)
    town.wait(1)
    with refused("withdraw: too late"):
        town.court.send(channel.a, "withdraw", *signed)


def test_there_is_no_withdrawal_but_from_an_open_channel(town: Town) -> None:
    channel = town.open()
    signed = channel.signed_withdrawal(1, 0, town.now_s + 10**7)
    never = town.channel(salt=3)
    with refused("withdraw: not open"):
        town.court.send(never.a, "withdraw", *never.signed_withdrawal(0, 0, town.now_s))
    salt = town.challenge(channel.a, channel, State())
    with refused("withdraw: not open"):
        town.court.send(channel.a, "withdraw", *signed)
    town.wait(86_400)
    town.court.settle(channel.a, channel, 0, salt)
    with refused("withdraw: not open"):
        town.court.send(channel.a, "withdraw", *signed)


def test_both_must_have_signed_just_this(town: Town) -> None:
    channel, other = town.open(a=1_000), town.open(a=1_000, salt=2)
    words, to_a, to_b, until_s, sig_a, sig_b = channel.signed_withdrawal(30, 20, town.now_s)
    with refused("not signed by a"):
        town.court.send(channel.b, "withdraw", words, 30, 20, until_s, NO_SIGNATURE, sig_b)
    with refused("not signed by a"):
        town.court.send(mallory, "withdraw", words, 30, 20, until_s, NO_SIGNATURE, sig_b)
    for changed in ((31, 20, town.now_s), (30, 21, town.now_s), (30, 20, town.now_s + 1)):
        with refused("not signed by b"):
            town.court.send(channel.a, "withdraw", words, *changed, sig_a, sig_b)
    with refused("not signed by b"):
        town.court.send(channel.a, "withdraw", other.words, to_a, to_b, until_s, sig_a, sig_b)
    second = Court(town.arena)
    second.deposit(channel.a, second.channel(channel.a, channel.b), channel.a, 1_000)
    with refused("not signed by b"):
        second.send(channel.a, "withdraw", words, to_a, to_b, until_s, sig_a, sig_b)


def test_withdrawals_stop_long_before_the_counter_wraps(town: Town) -> None:
    """A counter that wrapped around would make everything valid again that was ever signed."""
    channel = town.open(a=1_000)
    slot = town.court.view("channels", channel.id)
    place = next(
        key
        for key, value in town.arena.ledger.cells.items()
        if isinstance(key, tuple) and key[0] == town.court.address and value == slot
    )
    assert isinstance(place, tuple)
    town.arena.ledger.set_storage(*place, slot | (2**21 - 1) << 234)
    last = channel.signed_withdrawal(1, 0, town.now_s, counter=2**21 - 1)
    town.court.send(channel.a, "withdraw", *last)
    with refused("withdraw: too often"):
        town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(1, 0, town.now_s, counter=2**21))
    town.court.send(channel.a, "close", *channel.signed_close(0, town.now_s, counter=2**21))


def test_a_payee_that_cannot_be_paid_is_credited(town: Town) -> None:
    bad = town.erc20_like(hostile("hostile_token"))
    channel = town.open(a=1_000, b=500, asset=bad.address)
    bad.send(mallory, "ban", channel.b.address, True)
    mined = town.court.send(channel.a, "withdraw", *channel.signed_withdrawal(10, 20, town.now_s))
    assert mined.event("Credited")["amount"] == 20
    assert town.deposits(channel) == (990, 480)
