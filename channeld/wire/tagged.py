"""What a node signs outside of the contract's EIP-712: a digest that says what kind of thing it is of.

The node's key also signs states and transactions, so no digest may ever be one of another kind. After
[EIP-191] nothing that begins with 0x19 is a transaction, and EIP-712 goes on with 0x01, never with a letter.
"""

from collections.abc import Callable

from channeld.core.errors import PeerViolation
from channeld.wire.eip712 import keccak

Sign = Callable[[bytes], bytes]
"""digest (32 bytes) -> signature (64 bytes, [EIP-2098], low s) by our node's key."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(node id, digest, signature) -> whether that node signed it; PeerViolation, too, means that it did not."""


def tagged_digest(tag: str, body: bytes) -> bytes:
    """keccak256(0x19 || tag || 0x00 || body); the zero keeps one tag from being the start of another."""
    return keccak(b"\x19" + tag.encode("ascii") + b"\x00" + body)


def is_author(node: bytes, digest: bytes, signature: bytes, verify: Verify) -> bool:
    """Whether `node` signed the digest; a node id that is no point of the curve has signed nothing."""
    try:
        return verify(node, digest, signature)
    except PeerViolation:
        return False
