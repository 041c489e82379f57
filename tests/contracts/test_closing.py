"""Cooperative closes: final at once, only as both have agreed, never twice."""

import pytest

from bench.evm import CHAIN_ID, NO_SIGNATURE, Court, Party
from channeld.core.claims import State
from channeld.wire.eip712 import close_digest, domain_separator
from tests.contracts.town import HOUR_S, PERIOD_S, PURSE, Town, carol, mallory, refused

HALF_ORDER = 57896044618658097711785492504343953926418782139537452191302581570759080747168
ORDER = 2 * HALF_ORDER + 1


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_both_are_paid_by_the_agreed_net(town: Town, asset: str) -> None:
    address = bytes(20) if asset == "eth" else town.token.address
    channel = town.open(a=1_000, b=500, asset=address)
    mined = town.court.send(channel.a, "close", *channel.signed_close(300, town.now_s))
    assert mined.event("Closed") == {"channel": channel.id, "to_a": 700, "to_b": 800}
    assert town.balance(channel.a, address) == PURSE - 300
    assert town.balance(channel.b, address) == PURSE + 300
    assert town.balance(town.court.address, address) == 0
    assert town.court.view("channels", channel.id) == 3 << 232


@pytest.mark.parametrize(("net", "to_a"), [(1_501, 0), (1_500, 0), (-501, 1_500), (2**127 - 1, 0)])
def test_a_net_beyond_the_deposits_is_clamped(town: Town, net: int, to_a: int) -> None:
    """Signing a net instead of amounts: a stranger's deposit of 1 wei cannot make the close fail."""
    channel = town.open(a=1_000, b=500)
    town.court.deposit(mallory, channel, channel.a, 1)
    closed = town.court.send(channel.a, "close", *channel.signed_close(net, town.now_s)).event("Closed")
    assert closed["to_a"] + closed["to_b"] == 1_501
    assert abs(closed["to_a"] - to_a) <= 1


def test_a_party_that_calls_need_not_sign(town: Town) -> None:
    for mine in ("a", "b"):
        channel = town.open(salt=ord(mine))
        words, net, until_s, sig_a, sig_b = channel.signed_close(1, town.now_s)
        proofs = (NO_SIGNATURE, sig_b) if mine == "a" else (sig_a, NO_SIGNATURE)
        town.court.send(getattr(channel, mine), "close", words, net, until_s, *proofs)
        assert town.status(channel) == 3


def test_a_stranger_needs_both_signatures(town: Town) -> None:
    channel = town.open()
    words, net, until_s, sig_a, sig_b = channel.signed_close(1, town.now_s)
    with refused("not signed by a"):
        town.court.send(mallory, "close", words, net, until_s, NO_SIGNATURE, sig_b)
    with refused("not signed by b"):
        town.court.send(mallory, "close", words, net, until_s, sig_a, NO_SIGNATURE)
    with refused("not signed by a"):
        town.court.send(mallory, "close", words, net, until_s, sig_b, sig_a)
    town.court.send(mallory, "close", words, net, until_s, sig_a, sig_b)


def test_a_close_dies_at_its_until(town: Town) -> None:
    """Else an unused close would be a final state without a window for ever."""
    channel = town.open()
    close = channel.signed_close(1, town.now_s + HOUR_S)
    town.wait(HOUR_S + 1)
    with refused("close: too late"):
        town.court.send(channel.a, "close", *close)
    town.wait(-1)
    town.court.send(channel.a, "close", *close)


def test_nothing_in_it_can_be_changed(town: Town) -> None:
    channel = town.open()
    words, net, until_s, sig_a, sig_b = channel.signed_close(1, town.now_s)
    for changed in ((2, until_s), (net, town.now_s + 1)):
        with refused("not signed by b"):
            town.court.send(channel.a, "close", words, *changed, sig_a, sig_b)


def test_a_close_is_for_one_channel_one_contract_one_chain(town: Town) -> None:
    channel, other = town.open(), town.open(salt=2)
    _, *signed = channel.signed_close(1, town.now_s)
    with refused("not signed by b"):
        town.court.send(channel.a, "close", other.words, *signed)
    second = Court(town.arena)
    twin = second.channel(channel.a, channel.b)
    second.deposit(channel.a, twin, channel.a, 1_000)
    with refused("not signed by b"):
        second.send(channel.a, "close", *channel.signed_close(1, town.now_s))
    elsewhere = domain_separator(CHAIN_ID + 1, town.court.address)
    digest = close_digest(elsewhere, channel.id, 0, 1, town.now_s)
    proofs = channel.a.sign(digest), channel.b.sign(digest)
    with refused("not signed by b"):
        town.court.send(channel.a, "close", channel.words, 1, town.now_s, *proofs)


def test_a_signature_with_high_s_is_refused(town: Town) -> None:
    """Nearly every twin does not even fit: the compact form has 255 bits for s."""
    channel = town.open()
    words, net, until_s, sig_a, (r, vs) = channel.signed_close(1, town.now_s)
    for s in (HALF_ORDER + 1, 2**255 - 1):
        with refused("signature: high s"):
            town.court.send(channel.a, "close", words, net, until_s, sig_a, (r, s.to_bytes(32, "big")))
    s, parity = int.from_bytes(vs, "big") & (2**255 - 1), vs[0] >> 7
    twin = (ORDER - s) & (2**255 - 1) | (1 - parity) << 255
    with refused("not signed by b"):
        town.court.send(channel.a, "close", words, net, until_s, sig_a, (r, twin.to_bytes(32, "big")))


def test_a_close_ends_a_dispute_too(town: Town) -> None:
    channel = town.open(a=1_000)
    town.challenge(channel.a, channel, State(1, 900))
    town.wait(2 * PERIOD_S)
    closed = town.court.send(channel.b, "close", *channel.signed_close(400, town.now_s)).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (600, 400)
    assert town.court.view("disputes", channel.id) == 0


def test_a_closed_channel_never_lives_again(town: Town) -> None:
    channel = town.open()
    close = channel.signed_close(1, town.now_s)
    town.court.send(channel.a, "close", *close)
    for again, words in (
        (("close", *close), "close: no such channel"),
        (("challenge", *channel.signed_state(State())), "challenge: not open"),
        (("respond", *channel.signed_state(State(1))), "respond: no dispute"),
        (("settle", channel.words, 0, bytes(32)), "settle: no dispute"),
        (("settle_claims", channel.words, 0, bytes(32)), "settle: no dispute"),
    ):
        with refused(words):
            town.court.send(channel.a, *again)
    with refused("deposit: not open"):
        town.court.deposit(channel.a, channel, channel.a, 1_000)


def test_a_channel_that_never_was_pays_nothing(town: Town) -> None:
    channel = town.channel()
    with refused("close: no such channel"):
        town.court.send(channel.a, "close", *channel.signed_close(0, town.now_s))
    with refused("challenge: not open"):
        town.court.send(channel.a, "challenge", *channel.signed_state(State()))
    zero = (bytes(20), channel.b.address, bytes(20), 0)
    with refused("close: no such channel"):
        town.court.send(mallory, "close", zero, 0, town.now_s, NO_SIGNATURE, NO_SIGNATURE)


@pytest.mark.parametrize("thief", [mallory, carol], ids=["mallory", "carol"])
def test_parties_of_another_channel_cannot_close_this_one(town: Town, thief: Party) -> None:
    channel = town.open()
    digest = close_digest(town.court.domain, channel.id, 0, -1_000, town.now_s)
    with refused("not signed by a"):
        town.court.send(
            thief, "close", channel.words, -1_000, town.now_s, thief.sign(digest), thief.sign(digest)
        )


def test_what_was_signed_as_one_thing_is_not_another(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    words, net, until_s, *close = channel.signed_close(1, town.now_s)
    *_, state_a, state_b = channel.signed_state(State(1, 1))
    *_, withdraw_a, withdraw_b = channel.signed_withdrawal(1, 0, town.now_s)
    for one, other in ((state_a, state_b), (withdraw_a, withdraw_b)):
        with refused("not signed by a"):
            town.court.send(mallory, "close", words, net, until_s, one, other)
    for one, other in ((state_a, state_b), close):
        with refused("not signed by a"):
            town.court.send(mallory, "withdraw", words, 1, 0, until_s, one, other)
    for one, other in ((withdraw_a, withdraw_b), close):
        with refused("not signed by b"):
            town.court.send(channel.a, "challenge", words, 1, 1, bytes(32), one, other)
