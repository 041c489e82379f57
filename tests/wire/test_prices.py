"""A signed price is what the contract would publish, and nothing else."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.signer import Signer, recover
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.records import SignedPriceRecord
from channeld.wire.eip712 import Feed, price_digest
from channeld.wire.prices import assembled, price_json, read_price_json, require_publishable, verify

NOW_S = 1_800_000_000
PRICE = 4000 * 10**8

SIGNERS = sorted(
    (Signer(hashlib.sha256(name).digest()) for name in (b"oracle 1", b"oracle 2", b"oracle 3")),
    key=lambda signer: signer.address,
)
FEED = Feed("ETH/USD", 8, 1, 2, 24, tuple(signer.address for signer in SIGNERS))


def signature(signer: Signer) -> bytes:
    return signer.sign_digest(price_digest(FEED.feed_id, NOW_S, PRICE))


def test_a_price_is_read_as_it_was_written() -> None:
    signatures = {signer.address: signature(signer) for signer in SIGNERS}
    document = price_json(FEED.feed_id, NOW_S, PRICE, signatures)
    assert read_price_json(document) == (FEED.feed_id, NOW_S, PRICE, signatures)


def test_a_price_is_refused_unless_the_contract_would_take_it() -> None:
    good = SignedPriceRecord(FEED.feed_id, NOW_S, PRICE, (signature(SIGNERS[0]), signature(SIGNERS[1])))
    verify(FEED, good, recover)
    one, two, three = map(signature, SIGNERS)
    bad = {
        "feed": replace(good, feed=bytes(32)),
        "price": replace(good, price=PRICE + 1),
        "zero": replace(good, price=0),
        "instant": replace(good, expiry_s=NOW_S + 1),
        "too few": replace(good, signatures=(one,)),
        "too many": replace(good, signatures=(one, two, three)),
        "twice": replace(good, signatures=(one, one)),
        "order": replace(good, signatures=(two, one)),
        "stranger": replace(good, signatures=(one, signature(Signer.generate()))),
        "garbage": replace(good, signatures=(one, bytes(64))),
    }
    for what, record in bad.items():
        with pytest.raises(PeerViolation):
            verify(FEED, record, recover)
            raise AssertionError(what)


@given(st.sets(st.sampled_from(SIGNERS)))
def test_any_two_of_three_assemble_into_a_valid_price(chosen: set[Signer]) -> None:
    signatures = {signer.address: signature(signer) for signer in chosen}
    record = assembled(FEED, NOW_S, PRICE, signatures)
    assert (record is not None) == (len(chosen) >= 2)
    if record is not None:
        verify(FEED, record, recover)


@pytest.mark.parametrize(
    "change",
    [
        {"pair": ""},
        {"pair": "x" * 33},
        {"pair": "ETH/€"},
        {"scheme": 2},
        {"threshold": 1},
        {"threshold": 0},
        {"threshold": 4},
        {"grace_h": 0},
        {"grace_h": 256},
        {"signers": ()},
        {"signers": FEED.signers[::-1]},
        {"signers": (FEED.signers[0], FEED.signers[0])},
        {"signers": (bytes(20), *FEED.signers[1:])},
        {"signers": tuple(bytes([n] * 20) for n in range(1, 18)), "threshold": 9},
        {"decimals": 256},
    ],
)
def test_a_feed_that_the_contract_would_not_take_is_rejected(change: dict[str, Any]) -> None:
    require_publishable(FEED)
    with pytest.raises(Rejected, match="feed"):
        require_publishable(replace(FEED, **change))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["feed", "price", "signatures"]), inner)
        ),
    )
)
def test_any_json_is_a_price_or_a_violation(document: object) -> None:
    with pytest.raises(PeerViolation):
        read_price_json(document)
