"""One lock for all that moves money: while any of it is going on, nothing else of it can begin.

The hostile token calls the contract back in the middle of a deposit. Each call that it tries there succeeds
when it makes it by itself, so that the lock alone can be what stops it.
"""

import pytest

from bench.evm import NO_SIGNATURE, Channel, Contract, Party, call_data
from channeld.core.claims import State
from channeld.core.identity import ETH
from tests.contracts.hostile.build import hostile
from tests.contracts.town import PERIOD_S, Town, alice, bob, carol

LOCKED = (
    "deposit",
    "deposit_with_permit",
    "close",
    "withdraw",
    "settle",
    "settle_batch",
    "settle_claims",
    "claim_credit",
    "claim_credits",
)


def hostile_token(town: Town) -> Contract:
    """A token that owns plain tokens and has approved the adjudicator for them, and is owed 500 wei."""
    made = town.erc20_like(hostile("hostile_token"))
    town.token.send(alice, "mint", made.address, 1_000)
    approve = call_data(town.token.artifact, "approve", town.court.address, 1_000)
    made.send(alice, "call_back", town.token.address, approve)
    made.send(alice, "transfer", bob.address, 0)
    assert made.view("hook_worked")
    owner = Party("the token", bytes(32), made.address)
    channel = town.channel(alice, owner, salt=77)
    town.court.deposit(alice, channel, owner, 500)
    nothing = (channel.words, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE)
    salt = town.court.send(alice, "challenge", *nothing).event("Challenged")["salt"]
    town.wait(PERIOD_S)
    town.court.settle(alice, channel, 0, salt)
    assert town.court.view("credits", ETH, made.address) == 500
    return made


def prepared(town: Town, call: str) -> tuple[Channel, tuple[object, ...]]:
    """What a stranger may call with success, and its arguments."""
    asset = town.token.address if call.startswith("deposit") else ETH
    channel = town.open(a=1_000, b=500, asset=asset)
    match call:
        case "deposit":
            return channel, (channel.words, False, 100)
        case "deposit_with_permit":
            return channel, (channel.words, False, 100, 0, 27, bytes(32), bytes(32))
        case "close":
            return channel, channel.signed_close(300, town.now_s)
        case "withdraw":
            return channel, channel.signed_withdrawal(300, 0, town.now_s)
        case "settle" | "settle_claims":
            return channel, (channel.words, 0, town.dispute(channel, State()))
        case "settle_batch":
            salt = town.dispute(channel, State())
            listed = [(channel.b.address, channel.params.config, 0, salt)]
            return channel, (channel.a.address, ETH, listed)
        case "claim_credit":
            return channel, (ETH, carol.address)
        case _:
            return channel, ([ETH], carol.address)


@pytest.mark.parametrize("call", LOCKED)
def test_nothing_that_moves_money_begins_within_a_deposit(town: Town, call: str) -> None:
    token = hostile_token(town)
    channel, args = prepared(town, call)
    with town.arena.rehearsal():
        assert town.court.send(token.address, call, *args).events
    slot = town.court.view("channels", channel.id)
    token.send(alice, "call_back", town.court.address, call_data(town.court.artifact, call, *args))
    outer = town.open(a=200, one=bob, other=carol, asset=token.address)
    assert not token.view("hook_worked")
    assert town.deposits(outer) == (200, 0)
    assert town.court.view("channels", channel.id) == slot


def test_a_challenge_is_not_locked_out(town: Town) -> None:
    """It moves nothing, and a deposit in progress must not keep anybody from leaving."""
    token = hostile_token(town)
    owner = Party("the token", bytes(32), token.address)
    channel = town.channel(alice, owner, salt=3)
    town.court.deposit(alice, channel, alice, 1_000)
    args = (channel.words, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE)
    token.send(alice, "call_back", town.court.address, call_data(town.court.artifact, "challenge", *args))
    town.open(a=200, one=bob, other=carol, asset=token.address)
    assert token.view("hook_worked")
    assert town.status(channel) == 2
