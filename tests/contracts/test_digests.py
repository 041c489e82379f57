"""One digest, three ways: the product's, the contract's, and one taken from the text of EIP-712."""

from hypothesis import given
from hypothesis import strategies as st

from bench.evm import CHAIN_ID
from channeld.core.claims import Claim, State
from channeld.wire.eip712 import (
    claims_hash,
    close_digest,
    price_digest,
    start_digest,
    state_digest,
    withdraw_digest,
)
from tests.contracts import typed_data
from tests.contracts.town import Town, bob, mallory, refused, secret

TOWN = Town()
CHANNEL = TOWN.open()
DOMAIN = (
    typed_data.CHAIN_DOMAIN,
    {
        "name": "channeld",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": TOWN.court.address,
    },
)
PRICE_DOMAIN = (typed_data.FREE_DOMAIN, {"name": "channeld price", "version": "1"})
NETS = st.integers(-(2**127), 2**127 - 1)


def test_the_domain_is_that_of_chain_and_contract() -> None:
    expected = typed_data.hash_struct("EIP712Domain", *DOMAIN)
    assert TOWN.court.view("DOMAIN") == TOWN.court.domain == expected


@given(st.integers(1, 2**64 - 1), NETS, st.integers(0, 1))
def test_a_state(version: int, net: int, claims: int) -> None:
    listed = {0: Claim(0, 5, secret("x").hash, 9)} if claims else {}
    state = State(version, net, listed)
    digest = typed_data.digest(
        DOMAIN,
        "State",
        typed_data.STATE,
        {
            "channel": CHANNEL.id,
            "version": version,
            "net": net,
            "claims": claims_hash(listed.values()),
        },
    )
    assert state_digest(TOWN.court.domain, CHANNEL.id, state) == digest
    with TOWN.arena.rehearsal():
        mined = TOWN.court.send(CHANNEL.a, "challenge", *CHANNEL.signed_state(state))
        assert mined.event("Challenged")["version"] == version
        assert mined.event("Challenged")["net"] == net


@given(st.integers(0, 2**22 - 1), NETS, st.integers(TOWN.now_s, 2**40 - 1))
def test_a_close(counter: int, net: int, until_s: int) -> None:
    fields = {"channel": CHANNEL.id, "counter": counter, "net": net, "until": until_s}
    digest = typed_data.digest(DOMAIN, "Close", typed_data.CLOSE, fields)
    assert close_digest(TOWN.court.domain, CHANNEL.id, counter, net, until_s) == digest
    with TOWN.arena.rehearsal():
        if counter:
            with refused("not signed by"):
                TOWN.court.send(mallory, "close", *CHANNEL.signed_close(net, until_s, counter))
        else:
            closed = TOWN.court.send(mallory, "close", *CHANNEL.signed_close(net, until_s)).event("Closed")
            assert closed["to_a"] == min(max(1_000 - net, 0), 1_000)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(TOWN.now_s, 2**40 - 1))
def test_a_withdrawal(to_a: int, to_b: int, until_s: int) -> None:
    fields = {"channel": CHANNEL.id, "counter": 0, "to_a": to_a, "to_b": to_b, "until": until_s}
    digest = typed_data.digest(DOMAIN, "Withdraw", typed_data.WITHDRAW, fields)
    assert withdraw_digest(TOWN.court.domain, CHANNEL.id, 0, to_a, to_b, until_s) == digest
    with TOWN.arena.rehearsal():
        mined = TOWN.court.send(mallory, "withdraw", *CHANNEL.signed_withdrawal(to_a, to_b, until_s))
        assert mined.event("DepositsWithdrawn")["to_b"] == to_b


@given(st.integers(1, 2**64 - 1), st.integers(TOWN.now_s, 2**40 - 1))
def test_a_permit_to_start(minimum: int, until_s: int) -> None:
    fields = {"channel": CHANNEL.id, "holder": mallory.address, "minimum": minimum, "until": until_s}
    digest = typed_data.digest(DOMAIN, "Start", typed_data.START, fields)
    assert start_digest(TOWN.court.domain, CHANNEL.id, mallory.address, minimum, until_s) == digest
    permit = CHANNEL.permit(bob, mallory, minimum, until_s)
    with TOWN.arena.rehearsal():
        state = CHANNEL.signed_state(State(minimum))
        TOWN.court.send(mallory, "challenge_for", *state, *permit)


@given(st.integers(0, TOWN.now_s), st.integers(1, 2**128 - 1))
def test_a_price(instant_s: int, price: int) -> None:
    feed = TOWN.feed.feed_id
    fields = {"feed": feed, "timestamp": instant_s, "price": price}
    digest = typed_data.digest(PRICE_DOMAIN, "Price", typed_data.PRICE, fields)
    assert price_digest(feed, instant_s, price) == digest
    with TOWN.arena.rehearsal():
        assert TOWN.publish(instant_s, price).event("PricePublished")["price"] == price


def test_a_signature_made_with_the_reference_digest_is_accepted() -> None:
    fields = {"channel": CHANNEL.id, "version": 3, "net": -4, "claims": bytes(32)}
    digest = typed_data.digest(DOMAIN, "State", typed_data.STATE, fields)
    proofs = CHANNEL.a.sign(digest), CHANNEL.b.sign(digest)
    with TOWN.arena.rehearsal():
        TOWN.court.send(bob, "challenge", CHANNEL.words, 3, -4, bytes(32), *proofs)
