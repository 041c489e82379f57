"""Leaving alone: one window, the latest co-signed state stands, nobody can bring another."""

import pytest

from bench.evm import NO_SIGNATURE, Court, Party
from channeld.core.claims import State
from channeld.wire.eip712 import keccak, state_digest
from tests.contracts.town import PERIOD_S, PURSE, Town, carol, lock, mallory, refused, secret


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_whoever_deposited_can_leave_alone_without_any_signature(town: Town, asset: str) -> None:
    address = bytes(20) if asset == "eth" else town.token.address
    channel = town.open(a=1_000, b=0, asset=address)
    salt = town.court.send(
        channel.a, "challenge", channel.words, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE
    ).event("Challenged")["salt"]
    town.wait(PERIOD_S)
    closed = town.court.settle(channel.a, channel, 0, salt).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (1_000, 0)
    assert town.balance(channel.a, address) == PURSE


def test_the_event_has_what_settling_needs(town: Town) -> None:
    channel = town.open()
    state = State(7, -5, {0: lock(0, 9, secret("x"), town.now_s)})
    mined = town.court.send(channel.b, "challenge", *channel.signed_state(state))
    event = mined.event("Challenged")
    salt = keccak(b"block" + town.arena.block_number.to_bytes(8, "big"))
    assert event == {
        "channel": channel.id,
        "version": 7,
        "net": -5,
        "claims": channel.signed_state(state)[3],
        "salt": salt,
    }
    slot = town.court.view("disputes", channel.id)
    assert slot >> 192 == 7
    struct = keccak(
        keccak(b"State(bytes32 channel,uint64 version,int128 net,bytes32 claims)")
        + channel.id
        + (7).to_bytes(32, "big")
        + (-5).to_bytes(32, "big", signed=True)
        + event["claims"]
    )
    assert slot & (2**192 - 1) == int.from_bytes(keccak(struct + salt), "big") & (2**192 - 1)


def test_mallory_brings_a_stale_state_and_is_answered(town: Town) -> None:
    channel = town.open(a=1_000)
    town.challenge(channel.a, channel, State(3, 0))
    town.wait(PERIOD_S - 1)
    answer = town.court.send(mallory, "respond", *channel.signed_state(State(9, 800)))
    town.wait(1)
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 0, answer.event("Challenged")["salt"])
    closed = town.court.settle(mallory, channel, 800, answer.event("Challenged")["salt"]).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (200, 800)


def test_only_a_party_starts_the_clock(town: Town) -> None:
    channel = town.open()
    for state in (State(), State(5, 1)):
        with refused("challenge: not a party"):
            town.court.send(mallory, "challenge", *channel.signed_state(state))


def test_the_clock_starts_once(town: Town) -> None:
    channel = town.open()
    town.challenge(channel.a, channel, State())
    town.wait(PERIOD_S // 2)
    with refused("challenge: not open"):
        town.court.send(channel.b, "challenge", *channel.signed_state(State(2, 1)))
    town.court.send(channel.b, "respond", *channel.signed_state(State(2, 1)))
    slot = town.court.view("channels", channel.id)
    assert slot >> 192 & (2**40 - 1) == town.now_s + PERIOD_S // 2


def test_an_answer_must_be_later(town: Town) -> None:
    channel = town.open()
    town.challenge(channel.a, channel, State(4, 10))
    for version in (3, 4):
        with refused("respond: not later"):
            town.court.send(channel.b, "respond", *channel.signed_state(State(version, 20)))
    town.court.send(channel.b, "respond", *channel.signed_state(State(5, 20)))


@pytest.mark.parametrize("later_first", [False, True])
def test_of_two_answers_in_one_block_the_later_state_stands_whichever_goes_first(
    town: Town, later_first: bool
) -> None:
    """Whoever orders a block's transactions chooses nothing by it: one order or the other, b is paid 800."""
    channel = town.open(a=1_000)
    town.challenge(channel.a, channel, State(3, 0))
    older, later = channel.signed_state(State(8, 100)), channel.signed_state(State(9, 800))
    with town.arena.one_block():
        if later_first:
            answer = town.court.send(channel.b, "respond", *later)
            with refused("respond: not later"):
                town.court.send(channel.a, "respond", *older)
        else:
            town.court.send(channel.a, "respond", *older)
            answer = town.court.send(channel.b, "respond", *later)
    town.wait(PERIOD_S)
    salt = answer.event("Challenged")["salt"]
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 100, salt)
    closed = town.court.settle(channel.a, channel, 800, salt).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (200, 800)


@pytest.mark.parametrize("odd", [0, 1])
def test_the_window_is_over_at_its_last_second_and_settling_begins_there(town: Town, odd: int) -> None:
    town.wait(odd)
    channel = town.open(a=1_000)
    town.challenge(channel.a, channel, State(1, 10))
    town.wait(PERIOD_S - 1)
    answer = town.court.send(channel.b, "respond", *channel.signed_state(State(2, 20)))
    salt = answer.event("Challenged")["salt"]
    with refused("settle: too early"):
        town.court.settle(channel.a, channel, 20, salt)
    town.wait(1)
    with refused("respond: too late"):
        town.court.send(channel.b, "respond", *channel.signed_state(State(3, 30)))
    assert town.court.settle(channel.a, channel, 20, salt).event("Closed")["to_b"] == 20


def test_there_is_nothing_to_answer_or_settle_in_an_open_channel(town: Town) -> None:
    channel = town.open()
    with refused("respond: no dispute"):
        town.court.send(channel.b, "respond", *channel.signed_state(State(2, 20)))
    with refused("settle: no dispute"):
        town.court.settle(channel.a, channel, 0, bytes(32))


def test_version_0_is_empty(town: Town) -> None:
    channel = town.open()
    for net, claims in ((1, bytes(32)), (0, b"\1" * 32)):
        with refused("state: version 0 is empty"):
            town.court.send(channel.a, "challenge", channel.words, 0, net, claims, NO_SIGNATURE, NO_SIGNATURE)


def test_nothing_in_a_state_can_be_changed(town: Town) -> None:
    channel = town.open()
    words, version, net, claims, sig_a, sig_b = channel.signed_state(State(5, 10))
    assert isinstance(version, int) and isinstance(net, int)
    for changed in ((version + 1, net, claims), (version, net - 1, claims), (version, net, b"\1" * 32)):
        with refused("not signed by b"):
            town.court.send(channel.a, "challenge", words, *changed, sig_a, sig_b)
    with refused("not signed by b"):
        town.court.send(channel.a, "challenge", words, version, net, claims, sig_b, sig_a)


def test_a_state_of_another_channel_or_contract_means_nothing(town: Town) -> None:
    channel, other = town.open(), town.open(salt=2)
    _, *signed = other.signed_state(State(5, 10))
    with refused("not signed by b"):
        town.court.send(channel.a, "challenge", channel.words, *signed)
    second = Court(town.arena)
    second.deposit(channel.a, second.channel(channel.a, channel.b), channel.a, 1_000)
    with refused("not signed by b"):
        second.send(channel.a, "challenge", *channel.signed_state(State(5, 10)))


@pytest.mark.parametrize("thief", [mallory, carol], ids=["mallory", "carol"])
def test_nobody_signs_for_a_party(town: Town, thief: Party) -> None:
    channel = town.open()
    digest = state_digest(town.court.domain, channel.id, State(5, 999))
    forged = thief.sign(digest)
    with refused("not signed by a"):
        town.court.send(channel.b, "challenge", channel.words, 5, 999, bytes(32), forged, forged)
    with refused("not signed by b"):
        town.court.send(channel.a, "challenge", channel.words, 5, 999, bytes(32), forged, forged)


def test_a_settlement_needs_the_state_and_the_salt_that_stand(town: Town) -> None:
    channel = town.open()
    salt = town.dispute(channel, State(5, 10))
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 11, salt)
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 10, bytes(32))
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 10, salt, words=bytes(64))
    town.court.settle(channel.a, channel, 10, salt)


def test_a_state_with_claims_cannot_be_settled_without_them(town: Town) -> None:
    channel = town.open(a=1_000)
    state = State(5, 10, {0: lock(0, 500, secret("x"), town.now_s + 10)})
    salt = town.dispute(channel, state)
    with refused("settle: not the state"):
        town.court.settle(channel.b, channel, 10, salt)
    with refused("settle: not the state"):
        town.court.settle(channel.b, channel, 10, salt, words=b"")


def test_a_dispute_is_paid_once(town: Town) -> None:
    channel = town.open(a=1_000)
    town.open(a=1_000, salt=2)
    salt = town.dispute(channel, State(5, 10))
    town.court.settle(channel.a, channel, 10, salt)
    with refused("settle: no dispute"):
        town.court.settle(channel.a, channel, 10, salt)
    assert town.balance(town.court.address) == 1_000
    assert town.court.view("disputes", channel.id) == 0


def test_deposits_of_both_and_a_top_up_after_signing_go_home(town: Town) -> None:
    channel = town.open(a=1_000, b=0)
    state = State(5, 300)
    town.court.deposit(channel.a, channel, channel.a, 50)
    town.court.deposit(channel.b, channel, channel.b, 70)
    closed = town.leave(channel, state).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (750, 370)
