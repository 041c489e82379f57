"""Policies: carol believes bob's fees because bob signed them, for this network."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.signer import verify_node
from channeld.core.messages import PolicyAnnouncement
from channeld.wire.eip712 import domain_separator, keccak
from channeld.wire.messages import decode, encode
from channeld.wire.policies import is_signed, policy_digest, sign_policy
from channeld.wire.tagged import tagged_digest
from tests.wire.wire_cast import ALICE, BOB, MALLORY, policies

DOMAIN = domain_separator(31337, b"\xad" * 20)
UNSIGNED = PolicyAnnouncement(b"\x01" * 32, BOB.public_key, 1_700_000_000, 5, 100, 30, 1, 10**18, 0, True)


def test_bobs_policy_travels_and_is_his() -> None:
    policy = sign_policy(UNSIGNED, DOMAIN, BOB.sign_digest)
    heard = decode(encode(policy))
    assert heard == policy
    assert is_signed(policy, DOMAIN, verify_node)


@pytest.mark.parametrize(
    "change",
    [
        {"channel_id": b"\x02" * 32},
        {"node": ALICE.public_key},
        {"timestamp_s": 1_700_000_001},
        {"base_fee": 6},
        {"fee_ppm": 101},
        {"collateral_ppm_per_day": 31},
        {"min_amount": 2},
        {"max_amount": 10**18 - 1},
        {"deadline_delta_s": 1},
        {"enabled": False},
        {"signature": bytes(64)},
    ],
)
def test_mallory_changes_a_field(change: dict[str, object]) -> None:
    policy = sign_policy(UNSIGNED, DOMAIN, BOB.sign_digest)
    assert not is_signed(replace(policy, **change), DOMAIN, verify_node)


def test_mallory_signs_for_bob_or_takes_his_policy_to_another_network() -> None:
    assert not is_signed(sign_policy(UNSIGNED, DOMAIN, MALLORY.sign_digest), DOMAIN, verify_node)
    policy = sign_policy(UNSIGNED, DOMAIN, BOB.sign_digest)
    assert not is_signed(policy, domain_separator(1, b"\xad" * 20), verify_node)
    assert not is_signed(policy, domain_separator(31337, b"\xae" * 20), verify_node)


@given(policies, policies)
def test_two_policies_never_share_a_digest(one: PolicyAnnouncement, other: PolicyAnnouncement) -> None:
    same = replace(one, signature=b"") == replace(other, signature=b"")
    assert (policy_digest(one, DOMAIN) == policy_digest(other, DOMAIN)) is same


@given(st.binary(max_size=40))
def test_a_digest_says_what_it_is_of(body: bytes) -> None:
    assert tagged_digest("channeld policy", body) != tagged_digest("channeld invoice", body)
    assert tagged_digest("channeld", body) != tagged_digest("channeld" + "x", body[1:])


def test_the_digest_is_what_the_protocol_says() -> None:
    """Spelled out, so that another program can make it: tag, domain, an array of ten fields."""
    fields = b"\x9a" + b"\xc4\x20" + b"\x01" * 32 + b"\xc4\x21" + BOB.public_key
    fields += b"\xce\x65\x53\xf1\x00" + b"\xc4\x01\x05" + b"\x64" + b"\x1e" + b"\xc4\x01\x01"
    fields += b"\xc4\x08" + (10**18).to_bytes(8, "big") + b"\x00" + b"\xc3"
    assert policy_digest(UNSIGNED, DOMAIN) == keccak(b"\x19channeld policy\x00" + DOMAIN + fields)
