"""Signatures of channel policies: who asks for these fees, in which network.

The digest binds chain and contract (the EIP-712 domain separator), so that a policy of a test network is
worth nothing in another.
"""

from dataclasses import replace

from channeld.core.messages import PolicyAnnouncement
from channeld.wire import msgpack_strict
from channeld.wire.layout import packed
from channeld.wire.messages import POLICY
from channeld.wire.tagged import Sign, Verify, is_author, tagged_digest

_TAG = "channeld policy"
_NO_SIGNATURE = bytes(64)


def policy_digest(policy: PolicyAnnouncement, domain: bytes) -> bytes:
    """What `policy.node` signs: the domain separator and the msgpack of all fields but the signature."""
    *fields, _ = packed(POLICY.pack, replace(policy, signature=_NO_SIGNATURE))
    return tagged_digest(_TAG, domain + msgpack_strict.encode(tuple(fields)))


def sign_policy(policy: PolicyAnnouncement, domain: bytes, sign: Sign) -> PolicyAnnouncement:
    """The policy with our signature; `policy.node` must be the node whose key `sign` holds."""
    return replace(policy, signature=sign(policy_digest(policy, domain)))


def is_signed(policy: PolicyAnnouncement, domain: bytes, verify: Verify) -> bool:
    """Whether `policy.node` signed it. That this node is an end of the channel, only the chain can say."""
    return is_author(policy.node, policy_digest(policy, domain), policy.signature, verify)
