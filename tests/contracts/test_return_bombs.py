"""A huge answer is paid for by whoever gives it: the contract copies 32 bytes of it at most.

Payees and tokens in raw bytecode answer with 60,000 bytes. To copy them would cost the settler as much memory
as it costs them, and a payment of the copying besides.
"""

import pytest

from bench.evm import NO_SIGNATURE, Channel, Mined, Party
from channeld.core.identity import ETH
from tests.contracts.town import PERIOD_S, PURSE, Town, alice, bob, carol, mallory

HUGE_BYTES = 60_000
WORDS = HUGE_BYTES // 32
OWN_MEMORY_GAS = 3 * WORDS + WORDS**2 // 512
"""What holding the answer costs whoever gives it [yellow paper, appendix G]: 12,491."""

RETURNS, REVERTS = "61ea606000f3", "61ea606000fd"
RETURNS_TRUE = "600160005261ea606000f3"
BRIEF = {RETURNS: "60006000f3", REVERTS: "60006000fd", RETURNS_TRUE: "600160005260206000f3"}
"""The same with nothing, or with one word, instead."""


def answering(town: Town, address: bytes, runtime: str) -> Party:
    """A payee whose code is this, and who has no key."""
    town.arena.ledger.set_code(address, bytes.fromhex(runtime))
    return Party("bomb", bytes(32), address)


def leave(town: Town, who: Party, channel: Channel) -> bytes:
    """The clock of a channel in which nothing was signed; the salt."""
    nothing = (0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE)
    salt: bytes = town.court.send(who, "challenge", channel.words, *nothing).event("Challenged")["salt"]
    return salt


def names(mined: Mined) -> list[str]:
    return [event.name for event in mined.events]


def settled_with(town: Town, runtime: str) -> Mined:
    """Alice leaves a channel with a payee of this code; what she has in it arrives, whatever it answers."""
    with town.arena.rehearsal():
        channel = town.channel(alice, answering(town, b"\xb0" * 20, runtime))
        town.court.deposit(alice, channel, channel.a, 1_000)
        town.court.deposit(alice, channel, channel.b, 500)
        salt = leave(town, alice, channel)
        town.wait(PERIOD_S)
        mined = town.court.settle(alice, channel, 0, salt)
        own = 1_000 if channel.a == alice else 500
        assert town.balance(alice) == PURSE - 1_500 + own
        assert town.balance(town.court.address) == (0 if "Credited" not in names(mined) else 1_500 - own)
        return mined


@pytest.mark.parametrize(
    ("runtime", "said"),
    [(RETURNS, ["Closed"]), (REVERTS, ["Closed", "Credited"])],
    ids=["returns", "reverts"],
)
def test_a_payee_with_a_huge_answer_neither_stops_nor_makes_dear_a_settlement(
    town: Town, runtime: str, said: list[str]
) -> None:
    huge, brief = settled_with(town, runtime), settled_with(town, BRIEF[runtime])
    assert sorted(names(huge)) == sorted(names(brief)) == sorted(said)
    assert huge.gas - brief.gas == OWN_MEMORY_GAS


def closed_in(town: Town, runtime: str) -> Mined:
    """Alice and bob close together in a token whose code has become this since they deposited."""
    with town.arena.rehearsal():
        channel = town.open(a=1_000, b=500, asset=town.token.address)
        town.arena.ledger.set_code(town.token.address, bytes.fromhex(runtime))
        return town.court.send(channel.a, "close", *channel.signed_close(300, town.now_s))


@pytest.mark.parametrize(
    ("runtime", "credits"),
    [(RETURNS, 2), (REVERTS, 2), (RETURNS_TRUE, 0)],
    ids=["returns", "reverts", "returns true"],
)
def test_a_token_with_a_huge_answer_neither_stops_nor_makes_dear_a_close(
    town: Town, runtime: str, credits: int
) -> None:
    """Its first word is read as any other answer; zeros are false, so that both are credited."""
    brief = BRIEF[runtime] if runtime != RETURNS else "60206000f3"  # one word of zeros is false, too
    huge, short = closed_in(town, runtime), closed_in(town, brief)
    assert names(huge).count("Credited") == names(short).count("Credited") == credits
    held = 2 * OWN_MEMORY_GAS
    assert held - 100 <= huge.gas - short.gas <= held  # the short answer holds a word or two itself


def left_at_once(town: Town, codes: list[str]) -> Mined:
    """A hub leaves its channels with bob, carol and payees of these codes; each side gets its 100."""
    with town.arena.rehearsal():
        odd = [answering(town, bytes([0xB1 + n] * 20), code) for n, code in enumerate(codes)]
        listed = []
        for peer in (bob, *odd, carol):
            channel = town.channel(alice, peer)
            for side in (channel.a, channel.b):
                town.court.deposit(mallory, channel, side, 100)
            listed.append((peer.address, channel.params.config, 0, leave(town, alice, channel)))
        town.wait(PERIOD_S)
        mined = town.court.send(alice, "settle_batch", alice.address, ETH, listed)
        assert names(mined).count("Closed") == len(listed)
        assert town.balance(alice) == PURSE + 100 * len(listed)
        assert town.balance(bob) == town.balance(carol) == PURSE + 100
        for payee in odd:
            assert town.balance(payee) + town.court.view("credits", ETH, payee.address) == 100
        return mined


def test_huge_answers_in_a_batch_hold_up_nobody(town: Town) -> None:
    bombs = [RETURNS, REVERTS]
    huge, brief = left_at_once(town, bombs), left_at_once(town, [BRIEF[code] for code in bombs])
    assert names(huge) == names(brief)
    assert huge.gas - brief.gas == len(bombs) * OWN_MEMORY_GAS
