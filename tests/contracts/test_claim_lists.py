"""Lists of claims that make no sense, or not at once: they are read in one way only, and hold up nothing."""

import pytest

from channeld.core.claims import Claim, PayoffKind, State
from channeld.wire.eip712 import claim_words
from tests.contracts.town import USD, Town, lock, refused, secret
from tests.contracts.valuation import words_of


def settled_words(town: Town, words: bytes) -> tuple[int, int]:
    channel = town.open(a=1_000, salt=town.arena.block_number)
    salt = town.dispute_words(channel, 0, words)
    closed = town.court.settle(channel.a, channel, 0, salt, words).event("Closed")
    return closed["to_a"], closed["to_b"]


@pytest.mark.parametrize("kind", [7, 8, 63])
@pytest.mark.parametrize("locked", [False, True])
def test_an_unknown_kind_is_void(town: Town, kind: int, locked: bool) -> None:
    head = (kind << 250 | locked << 249 | 500).to_bytes(32, "big")
    assert settled_words(town, head + bytes(96 if locked else 64) + claim_words(Claim(0, 3))) == (997, 3)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_claim_cut_off_by_the_end_is_void(town: Town, kept: int) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, 3_500 * USD)
    key = secret("x")
    town.reveal(key)
    option = Claim(0, 1, key.hash, expiry_s, town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000))
    words = claim_words(Claim(2, 3)) + claim_words(option)[: 32 * kept]
    assert settled_words(town, words) == (997, 3)


def test_a_transfer_cut_off_before_its_hashlock_is_void(town: Town) -> None:
    words = claim_words(lock(0, 500, secret("x"), town.now_s + 10**6))[:32]
    assert settled_words(town, words) == (1_000, 0)


def test_a_list_is_whole_words(town: Town) -> None:
    channel = town.open(a=1_000)
    salt = town.dispute(channel, State(1, 0))
    with refused("claims: not whole words"):
        town.court.settle(channel.a, channel, 0, salt, words=b"\0")
    with refused("claims: not whole words"):
        town.court.settle(channel.a, channel, 0, salt, words=bytes(33))


def test_the_list_must_be_the_signed_one_claim_by_claim(town: Town) -> None:
    one, other = Claim(0, 5), Claim(2, 7)
    channel = town.open(a=1_000)
    salt = town.dispute_words(channel, 0, words_of([one, other]))
    for wrong in ([one], [other, one], [one, other, other], [one, Claim(2, 8)], [one, Claim(3, 7)]):
        with refused("settle: not the state"):
            town.court.settle(channel.a, channel, 0, salt, words_of(wrong))
    town.court.settle(channel.a, channel, 0, salt, words_of([one, other]))


def test_two_claims_cannot_be_read_as_one(town: Town) -> None:
    """The links of the chain have the lengths that the heads say: no other reading has the same hash."""
    two = claim_words(Claim(0, 5)) + claim_words(Claim(0, 7))
    channel = town.open(a=1_000)
    salt = town.dispute_words(channel, 0, two)
    locked = bytearray(two)
    locked[0] |= 2  # the first now claims the second as its hashlock
    with refused("settle: not the state"):
        town.court.settle(channel.a, channel, 0, salt, bytes(locked))


def test_what_follows_a_transfer_without_a_hashlock_is_not_its_hashlock(town: Town) -> None:
    """Not even if it is the hash of a secret that was shown before the time that the head names."""
    shown = next(key for key in map(secret, map(str, range(100))) if key.hash[0] >> 2 > 6)
    town.reveal(shown)
    head = 2**40 - 1 << 96 | 300
    assert settled_words(town, head.to_bytes(32, "big") + shown.hash) == (700, 300)
    by_b = head | 1 << 248
    assert settled_words(town, by_b.to_bytes(32, "big") + shown.hash) == (1_000, 0)


def test_bits_without_a_meaning_change_nothing(town: Town) -> None:
    """Between the expiry and the kind; the times of a transfer without a hashlock; the deadline of an option
    without one."""
    expiry_s, shown = town.now_s, secret("shown")
    town.reveal(shown)
    town.publish(expiry_s, 3_500 * USD)
    idle = 2**248 - 2**176
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    for claim, bits in (
        (Claim(0, 300), idle | 2**176 - 2**96),
        (lock(0, 300, shown, expiry_s), idle | 2**176 - 2**136),
        (Claim(0, 1, terms=terms), idle | 2**136 - 2**96),
    ):
        words = claim_words(claim)
        head = int.from_bytes(words[:32], "big") | bits
        worth = 500 if claim.terms else 300
        assert settled_words(town, head.to_bytes(32, "big") + words[32:]) == (1_000 - worth, worth)


def test_a_group_that_does_not_stand_together_is_valued_run_by_run(town: Town) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, 3_000 * USD + USD // 2)
    town.publish(expiry_s - 1, USD)
    half = Claim(0, 1, terms=town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000))
    other = Claim(2, 1, terms=town.terms(PayoffKind.CALL, expiry_s - 1, 3_000, 4_000))
    assert settled_words(town, words_of([half, half])) == (999, 1)
    assert settled_words(town, words_of([half, other, half])) == (1_000, 0)
    assert settled_words(town, words_of([half, Claim(4, 0), half])) == (999, 1)
