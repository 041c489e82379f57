# pragma version 0.4.3
"""
@title Compact signatures
@notice [EIP-2098], with low s only.
"""

struct Signature:
    r: bytes32
    vs: bytes32  # the parity of y in the top bit, s below


# Half of the order of secp256k1: above it the same signature has a twin with a lower s.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168


@internal
@pure
def signer(digest: bytes32, signature: Signature) -> address:
    """
    @dev The zero address if nobody signed: callers compare it with an address that is never zero.
    """
    vs: uint256 = convert(signature.vs, uint256)
    s: uint256 = (vs << 1) >> 1
    assert s <= HALF_ORDER, "signature: high s"
    return ecrecover(digest, unsafe_add(27, vs >> 255), convert(signature.r, uint256), s)
