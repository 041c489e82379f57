"""[EIP-2612]: approve by signature and deposit in one transaction."""

import pytest

from bench.evm import CHAIN_ID, Contract, Party
from channeld.core.identity import ETH
from tests.contracts import typed_data
from tests.contracts.hostile.build import hostile
from tests.contracts.town import Town, alice, bob, mallory, refused

PERMIT: typed_data.Fields = [
    ("address", "owner"),
    ("address", "spender"),
    ("uint256", "value"),
    ("uint256", "nonce"),
    ("uint256", "deadline"),
]
Permit = tuple[int, int, bytes, bytes]


@pytest.fixture
def token(town: Town) -> Contract:
    made = Contract(town.arena, hostile("permit_token"), town.arena.deploy(hostile("permit_token")))
    for who in (alice, bob, mallory):
        made.send(who, "mint", who.address, 10_000)
    return made


def permit(town: Town, token: Contract, owner: Party, amount: int, nonce: int = 0, late_s: int = 0) -> Permit:
    """Deadline, v, r and s."""
    domain = {"name": "Permit Token", "version": "1", "chainId": CHAIN_ID, "verifyingContract": token.address}
    fields = {
        "owner": owner.address,
        "spender": town.court.address,
        "value": amount,
        "nonce": nonce,
        "deadline": town.now_s - late_s,
    }
    r, vs = owner.sign(typed_data.digest((typed_data.CHAIN_DOMAIN, domain), "Permit", PERMIT, fields))
    return town.now_s - late_s, 27 + (vs[0] >> 7), r, bytes([vs[0] & 127]) + vs[1:]


def test_a_deposit_needs_no_approval_before(town: Town, token: Contract) -> None:
    channel = town.channel(asset=token.address)
    signed = permit(town, token, alice, 700)
    mined = town.court.send(alice, "deposit_with_permit", channel.words, False, 700, *signed)
    assert mined.event("Opened")["amount"] == 700
    signed = permit(town, token, bob, 50, nonce=0)
    town.court.send(bob, "deposit_with_permit", channel.words, True, 50, *signed)
    assert town.deposits(channel) == (700, 50)


def test_a_permit_that_mallory_used_first_does_not_stop_the_deposit(town: Town, token: Contract) -> None:
    channel = town.channel(asset=token.address)
    signed = permit(town, token, alice, 700)
    token.send(mallory, "permit", alice.address, town.court.address, 700, *signed)
    town.court.send(alice, "deposit_with_permit", channel.words, False, 700, *signed)
    assert town.deposits(channel) == (700, 0)


def test_a_permit_is_of_no_use_to_another_sender(town: Town, token: Contract) -> None:
    """The owner is always the sender: nobody deposits the money of others where he likes."""
    channel = town.channel(asset=token.address)
    signed = permit(town, token, alice, 700)
    with refused("execution reverted"):
        town.court.send(mallory, "deposit_with_permit", channel.words, False, 700, *signed)
    token.send(mallory, "permit", alice.address, town.court.address, 700, *signed)
    with refused("execution reverted"):
        town.court.send(mallory, "deposit_with_permit", channel.words, False, 700, *signed)


@pytest.mark.parametrize("fault", ["late", "amount", "nonce"])
def test_without_a_valid_permit_or_approval_nothing_is_deposited(
    town: Town, token: Contract, fault: str
) -> None:
    channel = town.channel(asset=token.address)
    signed = {
        "late": permit(town, token, alice, 700, late_s=1),
        "amount": permit(town, token, alice, 699),
        "nonce": permit(town, token, alice, 700, nonce=1),
    }[fault]
    with refused("execution reverted"):
        town.court.send(alice, "deposit_with_permit", channel.words, False, 700, *signed)


def test_eth_has_no_permits(town: Town) -> None:
    channel = town.channel(asset=ETH)
    with refused("deposit: wrong value"):
        town.court.send(alice, "deposit_with_permit", channel.words, False, 700, 0, 27, bytes(32), bytes(32))
