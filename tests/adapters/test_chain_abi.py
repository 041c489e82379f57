"""Calls and events are those of the committed contract, byte for byte."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.chain import calls
from channeld.adapters.chain.events import (
    EVENT_SIGNATURES,
    AdjudicatorEvent,
    Challenged,
    ChannelClosed,
    ChannelOpened,
    Credited,
    Deposited,
    DepositsWithdrawn,
    PartiallySettled,
    PricePublished,
    SecretsRegistered,
    Withdrawn,
    decode_event,
)
from channeld.adapters.chain.fields import MalformedAnswer
from channeld.adapters.chain.slots import ChannelSlot, ChannelStatus, DisputeSlot, channel_slot, dispute_slot
from channeld.core.identity import ChannelParams
from channeld.wire.eip712 import Feed, keccak
from contracts import artifacts

ADDRESSES = st.binary(min_size=20, max_size=20)
WORDS = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(min_size=64, max_size=64)
PARAMS = st.builds(
    ChannelParams,
    a=ADDRESSES,
    b=ADDRESSES,
    asset=ADDRESSES,
    challenge_period_s=st.integers(0, 2**40 - 1),
    salt=st.integers(0, 2**216 - 1),
)
PARAMS_TYPE = "(address,address,address,uint256)"
SIGNATURE_TYPE = "(bytes32,bytes32)"


def canonical(entry: dict[str, Any]) -> str:
    """A type of the ABI's JSON as it stands in a signature."""
    if entry["type"].startswith("tuple"):
        return "(" + ",".join(map(canonical, entry["components"])) + ")" + entry["type"][5:]
    return str(entry["type"])


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(map(canonical, entry['inputs']))})"


@pytest.mark.parametrize("name", calls.CALL_SIGNATURES)
def test_every_call_is_in_the_committed_abi(name: str) -> None:
    entry = artifacts.adjudicator().entry("function", name)
    assert calls.CALL_SIGNATURES[name] == signature(entry)


@pytest.mark.parametrize("name", calls.TOKEN_SIGNATURES)
def test_every_token_call_is_in_the_test_token(name: str) -> None:
    entry = artifacts.erc20_test_token().entry("function", name)
    assert calls.TOKEN_SIGNATURES[name] == signature(entry)


def test_every_event_of_the_contract_is_known() -> None:
    """One that is not would stop the scan of everybody."""
    events = [entry for entry in artifacts.adjudicator().abi if entry["type"] == "event"]
    assert set(map(signature, events)) <= set(EVENT_SIGNATURES)


def flat(params: ChannelParams) -> tuple[str, str, str, int]:
    return "0x" + params.a.hex(), "0x" + params.b.hex(), "0x" + params.asset.hex(), params.config


def halves(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:32], signature[32:]


@given(PARAMS, st.booleans(), st.integers(0, 2**95 - 1))
def test_deposit(params: ChannelParams, to_b: bool, amount: int) -> None:
    payload = calls.deposit(params, to_b=to_b, amount=amount)
    assert payload[4:] == encode([PARAMS_TYPE, "bool", "uint256"], [flat(params), to_b, amount])


@given(PARAMS, st.integers(-(2**127), 2**127 - 1), st.integers(0, 2**40 - 1), SIGNATURES, SIGNATURES)
def test_close(params: ChannelParams, net: int, until_s: int, one: bytes, other: bytes) -> None:
    types = [PARAMS_TYPE, "int128", "uint40", SIGNATURE_TYPE, SIGNATURE_TYPE]
    expected = encode(types, [flat(params), net, until_s, halves(one), halves(other)])
    assert calls.close(params, net, until_s, one, other)[4:] == expected


@pytest.mark.parametrize("call", [calls.challenge, calls.respond])
@given(
    params=PARAMS,
    version=st.integers(0, 2**64 - 1),
    net=st.integers(-(2**127), 2**127 - 1),
    claims=WORDS,
    one=SIGNATURES,
    other=SIGNATURES,
)
def test_a_state(
    call: Callable[..., bytes],
    params: ChannelParams,
    version: int,
    net: int,
    claims: bytes,
    one: bytes,
    other: bytes,
) -> None:
    types = [PARAMS_TYPE, "uint64", "int128", "bytes32", SIGNATURE_TYPE, SIGNATURE_TYPE]
    expected = encode(types, [flat(params), version, net, claims, halves(one), halves(other)])
    payload = call(params, version, net, claims, one, other)
    assert payload[4:] == expected
    assert payload[:4] == calls.SELECTORS[call.__name__]


@given(PARAMS, st.integers(-(2**255), 2**255 - 1), WORDS, st.integers(0, 5))
def test_settle(params: ChannelParams, net: int, salt: bytes, words: int) -> None:
    expected = encode([PARAMS_TYPE, "int256", "bytes32"], [flat(params), net, salt])
    assert calls.settle(params, net, salt)[4:] == expected
    claims = bytes(range(32)) * words
    assert calls.settle_claims(params, net, salt, claims)[4:] == expected + claims


@given(st.lists(WORDS, min_size=1, max_size=64))
def test_secrets(preimages: list[bytes]) -> None:
    assert calls.register_secrets(preimages)[4:] == encode(["bytes32[]"], [preimages])
    assert calls.register_secret(preimages[0])[4:] == preimages[0]


@given(
    st.lists(ADDRESSES, min_size=1, max_size=16, unique=True),
    st.integers(0, 2**40 - 1),
    st.integers(1, 2**128 - 1),
    st.lists(SIGNATURES, max_size=16),
)
def test_a_price(signers: list[bytes], instant_s: int, price: int, proofs: list[bytes]) -> None:
    feed = Feed("BTC/USD", 8, 1, 2, 24, tuple(sorted(signers)))
    expected = encode(
        ["bytes", "uint40", "uint128", f"{SIGNATURE_TYPE}[]"],
        [feed.definition, instant_s, price, [halves(p) for p in proofs]],
    )
    assert calls.publish_price(feed, instant_s, price, proofs)[4:] == expected


def test_a_value_that_does_not_fit_is_a_bug_and_not_truncated() -> None:
    params = ChannelParams(bytes(20), b"\x01" * 20, bytes(20), 600, 1)
    for payload in (
        lambda: calls.deposit(params, to_b=False, amount=2**95),
        lambda: calls.deposit(params, to_b=False, amount=-1),
        lambda: calls.settle(params, 2**255, bytes(32)),
        lambda: calls.settle(params, 0, bytes(31)),
        lambda: calls.settle_claims(params, 0, bytes(32), bytes(33)),
        lambda: calls.close(params, -(2**127) - 1, 0, bytes(64), bytes(64)),
        lambda: calls.close(params, 0, 0, bytes(65), bytes(64)),
        lambda: calls.register_secrets([]),
        lambda: calls.register_secrets([bytes(32)] * 65),
        lambda: calls.claim_credit(bytes(19), bytes(20)),
    ):
        with pytest.raises(AssertionError, match="expected"):
            payload()


# --- slots ----------------------------------------------------------------------------------------


@given(
    st.integers(-(2**95), 2**95 - 1),
    st.integers(-(2**95), 2**95 - 1),
    st.integers(0, 2**40 - 1),
    st.sampled_from(ChannelStatus),
    st.integers(0, 2**22 - 1),
)
def test_a_slot_is_unpacked_as_it_was_packed(
    a: int, b: int, expiry: int, status: ChannelStatus, counter: int
) -> None:
    word = a % 2**96 | b % 2**96 << 96 | expiry << 192 | status << 232 | counter << 234
    assert channel_slot(word) == ChannelSlot(a, b, expiry, status, counter)
    assert dispute_slot(expiry << 192 | 7) == DisputeSlot(expiry, 7)


# --- events ---------------------------------------------------------------------------------------

CHANNEL = b"\xaa" * 32
ALICE, BOB, TOKEN = b"\x11" * 20, b"\x22" * 20, b"\x33" * 20


def word(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value.rjust(32, b"\0")
    return value.to_bytes(32, "big", signed=value < 0)


def event(signature: str, indexed: list[int | bytes], *data: int | bytes) -> tuple[list[bytes], bytes]:
    return [keccak(signature.encode()), *map(word, indexed)], b"".join(map(word, data))


OPENED = "Opened(bytes32,address,address,address,uint256,int256)"
PARTIAL = "PartiallySettled(bytes32,uint256,uint256,int256,bytes32)"
CHALLENGED = "Challenged(bytes32,uint64,int128,bytes32,bytes32)"
BATCH = "SecretsRegistered(bytes32[])"

KNOWN_EVENTS = [
    (
        event(OPENED, [CHANNEL, ALICE, BOB], TOKEN, 600 << 216 | 5, -7),
        ChannelOpened(CHANNEL, ChannelParams(ALICE, BOB, TOKEN, 600, 5), True, 7),
    ),
    (
        event("Deposited(bytes32,uint256)", [CHANNEL], 9 | 1 << 232),
        Deposited(CHANNEL, ChannelSlot(9, 0, 0, ChannelStatus.OPEN, 0)),
    ),
    (
        event("DepositsWithdrawn(bytes32,uint256,uint256,uint256)", [CHANNEL], 3, 4, 2**96 - 9 | 5 << 234),
        DepositsWithdrawn(CHANNEL, 3, 4, ChannelSlot(-9, 0, 0, ChannelStatus.NONE, 5)),
    ),
    (event("Closed(bytes32,uint256,uint256)", [CHANNEL], 3, 4), ChannelClosed(CHANNEL, 3, 4)),
    (
        event(CHALLENGED, [CHANNEL], 2**64 - 1, -1, b"\x01" * 32, b"\x02" * 32),
        Challenged(CHANNEL, 2**64 - 1, -1, b"\x01" * 32, b"\x02" * 32),
    ),
    (
        event(PARTIAL, [CHANNEL], 1, 2, -(2**130), b"\x01" * 32),
        PartiallySettled(CHANNEL, 1, 2, -(2**130), b"\x01" * 32),
    ),
    (event("SecretRegistered(bytes32,bytes32)", [b"h" * 32], b"p" * 32), SecretsRegistered((b"p" * 32,))),
    (event(BATCH, [], 32, 2, b"p" * 32, b"q" * 32), SecretsRegistered((b"p" * 32, b"q" * 32))),
    (event(BATCH, [], 32, 0), SecretsRegistered(())),
    (event("PricePublished(bytes32,uint256)", [b"k" * 32], 5), PricePublished(b"k" * 32, 5)),
    (event("Credited(address,address,uint256)", [TOKEN, ALICE], 5), Credited(TOKEN, ALICE, 5)),
    (
        event("Withdrawn(address,address,address,uint256)", [TOKEN, ALICE], BOB, 5),
        Withdrawn(TOKEN, ALICE, BOB, 5),
    ),
]


@pytest.mark.parametrize(("raw", "expected"), KNOWN_EVENTS)
def test_an_event_is_read(raw: tuple[list[bytes], bytes], expected: AdjudicatorEvent) -> None:
    assert decode_event(*raw) == expected


@pytest.mark.parametrize(("raw", "expected"), KNOWN_EVENTS)
def test_a_cut_or_padded_event_is_refused(raw: tuple[list[bytes], bytes], expected: AdjudicatorEvent) -> None:
    topics, body = raw
    for bad_topics, bad_body in (
        (topics[:-1], body),
        ([*topics, bytes(32)], body),
        (topics, body + bytes(32)),
        (topics, body[:-1]),
        (topics, body[:-32]),
        (topics, b""),
    ):
        if (bad_topics, bad_body) != (topics, body):
            with pytest.raises(MalformedAnswer, match="expected"):
                decode_event(bad_topics, bad_body)


@pytest.mark.parametrize(
    "raw",
    [
        ([], b""),
        ([keccak(b"Transfer(address,address,uint256)")], b""),
        event(OPENED, [CHANNEL, b"\x01" * 32, BOB], TOKEN, 600 << 216, 1),
        event(OPENED, [CHANNEL, ALICE, BOB], TOKEN, 600 << 216, 2**97),
        event(CHALLENGED, [CHANNEL], 2**64, 0, bytes(32), bytes(32)),
        event(CHALLENGED, [CHANNEL], 1, 2**127, bytes(32), bytes(32)),
        event("Closed(bytes32,uint256,uint256)", [CHANNEL], 2**96, 0),
        event("PricePublished(bytes32,uint256)", [bytes(32)], 2**128),
        event(BATCH, [], 64, 1, bytes(32)),
        event(BATCH, [], 32, 2**255, bytes(32)),
        event(BATCH, [], 32, 2, bytes(32)),
    ],
)
def test_an_event_that_the_contract_cannot_log_is_refused(raw: tuple[list[bytes], bytes]) -> None:
    with pytest.raises(MalformedAnswer, match="expected"):
        decode_event(*raw)


@given(st.lists(WORDS, max_size=4), st.binary(max_size=400), st.sampled_from(EVENT_SIGNATURES))
def test_any_bytes_are_an_event_or_refused(topics: list[bytes], body: bytes, signature: str) -> None:
    for candidate in (topics, [keccak(signature.encode()), *topics[:3]]):
        with contextlib.suppress(MalformedAnswer):
            decode_event(candidate, body)
