"""Payouts never hold up a settlement: what cannot be pushed is credited, and nobody else pays for it."""

import pytest

from bench.evm import Channel, Contract, Party, call_data
from channeld.core.claims import State
from channeld.core.identity import ETH
from tests.contracts.hostile.build import hostile
from tests.contracts.town import PURSE, Town, alice, bob, carol, mallory, refused

GOOD = (False, False, 1, False, False)


@pytest.fixture
def wallet(town: Town) -> Contract:
    return Contract(town.arena, hostile("wallet"), town.arena.deploy(hostile("wallet")))


def token(town: Town, name: str = "hostile_token") -> Contract:
    return town.erc20_like(hostile(name))


def with_wallet(town: Town, wallet: Contract, salt: int = 1) -> tuple[Channel, Party]:
    """A channel of alice and the wallet, funded by alice. The wallet's key does not exist."""
    owner = Party("wallet", bytes(32), wallet.address)
    channel = town.channel(alice, owner, salt=salt)
    town.court.deposit(alice, channel, alice, 1_000)
    town.court.deposit(alice, channel, owner, 500)
    return channel, owner


def leave(town: Town, channel: Channel) -> bytes:
    salt = town.court.send(
        alice, "challenge", channel.words, 0, 0, bytes(32), (bytes(32),) * 2, (bytes(32),) * 2
    ).event("Challenged")["salt"]
    town.wait(86_400)
    return bytes(salt)


def test_a_wallet_that_accepts_is_paid(town: Town, wallet: Contract) -> None:
    wallet.send(alice, "behave", True, False)
    channel, _ = with_wallet(town, wallet)
    town.court.settle(alice, channel, 0, leave(town, channel))
    assert town.balance(wallet.address) == 500


@pytest.mark.parametrize("burns", [False, True])
def test_a_wallet_that_refuses_or_burns_is_credited(town: Town, wallet: Contract, burns: bool) -> None:
    wallet.send(alice, "behave", False, burns)
    channel, _ = with_wallet(town, wallet)
    mined = town.court.settle(alice, channel, 0, leave(town, channel))
    assert mined.event("Credited") == {
        "asset": "0x" + ETH.hex(),
        "to": "0x" + wallet.address.hex(),
        "amount": 500,
    }
    assert town.balance(alice) == PURSE - 500
    assert town.court.view("credits", ETH, wallet.address) == 500
    assert mined.gas < 160_000  # burning costs the settler no more than the cap


def test_who_gets_nothing_is_not_called(town: Town, wallet: Contract) -> None:
    wallet.send(alice, "behave", False, True)
    channel = town.channel(alice, Party("wallet", bytes(32), wallet.address))
    town.court.deposit(alice, channel, alice, 1_000)
    mined = town.court.settle(alice, channel, 0, leave(town, channel))
    assert [event.name for event in mined.events] == ["Closed"]


def test_a_credit_is_fetched_to_any_address_once(town: Town, wallet: Contract) -> None:
    channel, _ = with_wallet(town, wallet)
    town.court.settle(alice, channel, 0, leave(town, channel))
    claim = call_data(town.court.artifact, "claim_credit", ETH, carol.address)
    mined = wallet.send(alice, "run", town.court.address, claim, 0)
    assert mined.event("Withdrawn") == {
        "asset": "0x" + ETH.hex(),
        "owner": "0x" + wallet.address.hex(),
        "to": "0x" + carol.address.hex(),
        "amount": 500,
    }
    assert town.balance(carol) == PURSE + 500
    with refused("credit: nothing owed"):
        wallet.send(alice, "run", town.court.address, claim, 0)
    with refused("credit: nothing owed"):
        town.court.send(mallory, "claim_credit", ETH, mallory.address)


def test_a_credit_that_cannot_be_paid_stays(town: Town, wallet: Contract) -> None:
    channel, _ = with_wallet(town, wallet)
    town.court.settle(alice, channel, 0, leave(town, channel))
    claim = call_data(town.court.artifact, "claim_credit", ETH, wallet.address)
    with refused("no thanks"):
        wallet.send(alice, "run", town.court.address, claim, 0)
    assert town.court.view("credits", ETH, wallet.address) == 500


def test_credits_of_several_channels_add_up(town: Town, wallet: Contract) -> None:
    for salt in (1, 2, 3):
        channel, _ = with_wallet(town, wallet, salt)
        town.court.settle(alice, channel, 0, leave(town, channel))
    assert town.court.view("credits", ETH, wallet.address) == 1_500


def test_nobody_can_starve_a_push_into_a_credit(town: Town, wallet: Contract) -> None:
    """With too little gas the whole settlement reverts; with enough, the push has all of its own."""
    wallet.send(alice, "behave", True, False)
    channel, _ = with_wallet(town, wallet)
    salt = leave(town, channel)
    data = call_data(town.court.artifact, "settle", channel.words, 0, salt)
    outcomes = set()
    for gas in range(60_000, 190_000, 2_500):
        with town.arena.rehearsal():
            try:
                mined = town.arena.send(mallory.address, town.court.address, data, gas=gas)
            except Exception:
                outcomes.add("reverted")
                continue
            names = [event.name for event in mined.events]
            assert names == ["Closed"], f"credited at {gas} gas"
            outcomes.add("paid")
    assert outcomes == {"reverted", "paid"}


def test_a_payee_that_calls_back_gets_nowhere(town: Town, wallet: Contract) -> None:
    """Every call that moves money is locked while another runs."""
    channel, owner = with_wallet(town, wallet)
    other, _ = with_wallet(town, wallet, salt=2)
    wallet.send(alice, "behave", True, False)
    salt, other_salt = leave(town, channel), leave(town, other)
    calls = [
        call_data(town.court.artifact, "settle", other.words, 0, other_salt),
        call_data(town.court.artifact, "settle_claims", other.words, 0, other_salt),
        call_data(town.court.artifact, "claim_credit", ETH, wallet.address),
        call_data(town.court.artifact, "deposit", other.words, False, 0),
        call_data(town.court.artifact, "settle", channel.words, 0, salt),
    ]
    for data in calls:
        with town.arena.rehearsal():
            wallet.send(alice, "call_back", town.court.address, data)
            town.court.settle(alice, channel, 0, salt)
            assert town.balance(wallet.address) + town.court.view("credits", ETH, owner.address) == 500
            assert town.balance(town.court.address) - town.court.view("credits", ETH, owner.address) == 1_500


def test_a_new_payee_is_paid(town: Town) -> None:
    """A call with value to an account that does not exist costs 25,000 gas more."""
    fresh = Party("fresh", bytes(32), b"\xff" * 20)
    channel = town.channel(alice, fresh)
    town.court.deposit(alice, channel, fresh, 500)
    town.court.settle(alice, channel, 0, leave(town, channel))
    assert town.balance(fresh) == 500


# -- tokens --


def test_a_token_that_returns_nothing(town: Town) -> None:
    usdt = token(town, "silent_token")
    channel = town.open(a=1_000, b=500, asset=usdt.address)
    mined = town.court.send(channel.a, "close", *channel.signed_close(300, town.now_s))
    assert [event.name for event in mined.events] == ["Closed"]
    assert usdt.view("balanceOf", channel.b.address) == PURSE + 300


def test_a_deposit_that_a_token_denies_is_none(town: Town) -> None:
    liar = token(town)
    liar.send(alice, "behave", False, True, 1, False, False)
    with refused("deposit: transfer failed"):
        town.open(asset=liar.address)


def test_a_deposit_that_did_not_arrive_is_none(town: Town) -> None:
    thief = token(town)
    thief.send(alice, "behave", False, False, 1, False, True)
    with refused("deposit: nothing or too large"):
        town.open(asset=thief.address)


def test_what_arrives_of_a_token_with_a_fee_is_the_deposit(town: Town) -> None:
    dear = token(town)
    dear.send(alice, "behave", True, False, 1, False, False)
    channel = town.open(a=1_000, b=500, asset=dear.address)
    assert town.deposits(channel) == (900, 450)
    town.court.send(channel.a, "close", *channel.signed_close(0, town.now_s))
    assert dear.view("balanceOf", town.court.address) == 0
    assert dear.view("balanceOf", channel.a.address) == PURSE - 1_000 + 810


@pytest.mark.parametrize("answer", [1, 2, 2**256 - 1])
def test_only_false_means_unpaid(town: Town, answer: int) -> None:
    """A credit for money that went out would be paid from the deposits of others."""
    odd = token(town)
    channel = town.open(a=1_000, asset=odd.address)
    odd.send(alice, "behave", False, False, answer, False, False)
    mined = town.court.send(channel.a, "close", *channel.signed_close(0, town.now_s))
    assert [event.name for event in mined.events] == ["Closed"]
    assert odd.view("balanceOf", town.court.address) == 0


def test_a_token_that_lies_or_burns_leaves_credits_that_can_be_fetched_later(town: Town) -> None:
    bad = token(town)
    for salt, habit in ((1, (False, True, 1, False, False)), (2, (False, False, 1, True, False))):
        channel = town.open(a=1_000, b=500, asset=bad.address, salt=salt)
        bad.send(alice, "behave", *habit)
        mined = town.court.send(channel.a, "close", *channel.signed_close(300, town.now_s))
        assert [event.name for event in mined.events] == ["Closed", "Credited", "Credited"]
        assert mined.gas < 500_000
        with refused("credit: transfer failed" if salt == 1 else ""):
            town.court.send(channel.a, "claim_credit", bad.address, channel.a.address, gas=300_000)
        bad.send(alice, "behave", *GOOD)
        town.court.send(channel.a, "claim_credit", bad.address, carol.address)
        town.court.send(channel.b, "claim_credit", bad.address, carol.address)
    assert bad.view("balanceOf", carol.address) == PURSE + 3_000
    assert bad.view("balanceOf", town.court.address) == 0


def test_a_blacklisted_payee_names_another_receiver_and_the_peer_is_not_held_up(town: Town) -> None:
    usdc = token(town)
    channel = town.open(a=1_000, b=500, asset=usdc.address)
    usdc.send(alice, "ban", channel.b.address, True)
    town.leave(channel, State(1, 300))
    assert usdc.view("balanceOf", channel.a.address) == PURSE - 300
    with refused("banned"):
        town.court.send(channel.b, "claim_credit", usdc.address, channel.b.address)
    town.court.send(channel.b, "claim_credit", usdc.address, mallory.address)
    assert usdc.view("balanceOf", mallory.address) == PURSE + 800


def test_a_hook_cannot_deposit_the_same_tokens_twice(town: Town) -> None:
    """[ERC-777]: while one deposit is measured, a second one inside would be counted in both."""
    hooked = token(town)
    inner = town.channel(alice, carol, asset=hooked.address)
    data = call_data(town.court.artifact, "deposit", inner.words, False, 100)
    hooked.send(alice, "call_back", town.court.address, data)
    channel = town.open(a=200, asset=hooked.address)
    assert not hooked.view("hook_worked")
    assert town.deposits(channel) == (200, 0)
    assert town.status(inner) == 0


def test_a_challenge_from_a_hook_is_not_overwritten_by_the_deposit(town: Town) -> None:
    """The slot is read after the token was called: a clock that started inside keeps running."""
    hooked = token(town)
    owner = Party("hooked", bytes(32), hooked.address)
    channel = town.channel(alice, owner, asset=hooked.address)
    town.court.deposit(alice, channel, alice, 100)
    none = (bytes(32), bytes(32))
    data = call_data(town.court.artifact, "challenge", channel.words, 0, 0, bytes(32), none, none)
    hooked.send(alice, "call_back", town.court.address, data)
    with refused("deposit: not open"):
        town.court.deposit(alice, channel, alice, 100)
    assert town.status(channel) == 1


def test_a_hook_during_a_payout_cannot_take_more(town: Town) -> None:
    hooked = token(town)
    channel = town.open(a=1_000, b=500, asset=hooked.address)
    other = town.open(a=700, asset=hooked.address, salt=2)
    for function, *args in (
        ("close", *channel.signed_close(0, town.now_s)),
        ("close", *other.signed_close(0, town.now_s)),
        ("claim_credit", hooked.address, alice.address),
    ):
        with town.arena.rehearsal():
            hooked.send(
                alice, "call_back", town.court.address, call_data(town.court.artifact, str(function), *args)
            )
            town.court.send(bob, "close", *channel.signed_close(300, town.now_s))
            assert not hooked.view("hook_worked")
            assert hooked.view("balanceOf", town.court.address) == 700


def test_money_that_nobody_deposited_belongs_to_nobody(town: Town) -> None:
    channel = town.open(a=1_000, asset=town.token.address)
    town.token.send(mallory, "transfer", town.court.address, 77)
    town.leave(channel, State())
    assert town.balance(town.court.address, town.token.address) == 77
    with refused("execution reverted"):
        town.arena.send(mallory.address, town.court.address, b"", value_wei=1)


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_a_payout_with_too_little_gas_says_so(town: Town, asset: str) -> None:
    channel = town.open(a=1_000, asset=ETH if asset == "eth" else town.token.address)
    data = call_data(town.court.artifact, "close", *channel.signed_close(0, town.now_s))
    with refused("payout: too little gas"):
        town.arena.send(channel.a.address, town.court.address, data, gas=90_000)
