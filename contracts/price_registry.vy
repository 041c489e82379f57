# pragma version 0.4.3
"""
@title Settlement prices, unique and the same on every chain
@notice A feed id commits to everything about a feed: keccak256(pair, meta, signers) with the last byte
        replaced by the grace in hours. Signers sign one value for one instant; more than half of them
        must, so no two values can both be published unless a signer signs two.
"""
import signatures

# Most signers of one feed: buffers are paid for by every publication.
MAX_SIGNERS: constant(uint256) = 16
SCHEME_OURS: constant(uint256) = 1

event PricePublished:
    key: indexed(bytes32)
    price: uint256


# keccak256(feed id, instant) => time of publication u40 << 128 | price u128
prices: public(HashMap[bytes32, uint256])

PRICE_TYPE: constant(bytes32) = keccak256("Price(bytes32 feed,uint40 timestamp,uint128 price)")
# keccak256(type hash, keccak256("channeld price"), keccak256("1")): no chain and no contract in it,
# or a hub could not carry a price from one chain to the other.
PRICE_DOMAIN_TYPE: constant(bytes32) = keccak256("EIP712Domain(string name,string version)")
PRICE_DOMAIN: immutable(bytes32)


@deploy
def __init__():
    PRICE_DOMAIN = keccak256(
        abi_encode(PRICE_DOMAIN_TYPE, keccak256("channeld price"), keccak256("1"))
    )


@internal
@pure
def feed_id(pair: bytes32, meta: uint256, signers: DynArray[uint256, MAX_SIGNERS]) -> bytes32:
    encoded: Bytes[32 * MAX_SIGNERS + 128] = abi_encode(pair, meta, signers)
    names: Bytes[32 * MAX_SIGNERS + 128] = slice(encoded, 128, unsafe_mul(32, len(signers)))
    full: uint256 = convert(keccak256(concat(pair, convert(meta, bytes32), names)), uint256)
    return convert(((full >> 8) << 8) | (meta & 255), bytes32)


@internal
@view
def require_signed(
    digest: bytes32,
    signers: DynArray[uint256, MAX_SIGNERS],
    proofs: DynArray[signatures.Signature, MAX_SIGNERS],
):
    """
    @dev Every signature is by a named signer, in the order of the names, none twice; names ascend
         strictly from above zero, so an invalid signature (signer 0) matches nobody.
    """
    last: uint256 = 0
    for name: uint256 in signers:
        assert name > last, "price: signers must ascend"
        last = name
    at: uint256 = 0
    for proof: signatures.Signature in proofs:
        who: uint256 = convert(signatures.signer(digest, proof), uint256)
        for _: uint256 in range(MAX_SIGNERS):
            assert at < len(signers), "price: not signed"
            at = unsafe_add(at, 1)
            if signers[unsafe_sub(at, 1)] == who:
                break


@external
def publish_price(
    pair: bytes32,
    meta: uint256,
    timestamp: uint40,
    price: uint128,
    signers: DynArray[uint256, MAX_SIGNERS],
    proofs: DynArray[signatures.Signature, MAX_SIGNERS],
):
    """
    @notice Publish the price of a feed at one instant. Publishing it again changes nothing.
    @param meta decimals u8 << 24 | scheme u8 << 16 | threshold u8 << 8 | grace in hours u8
    @param signers All addresses of the feed, ascending.
    @param proofs Exactly `threshold` signatures, in the order of their signers.
    """
    feed: bytes32 = self.feed_id(pair, meta, signers)
    instant: uint256 = convert(timestamp, uint256)
    key: bytes32 = keccak256(abi_encode(feed, instant))
    if self.prices[key] != 0:
        return
    threshold: uint256 = (meta >> 8) & 255
    assert (meta >> 16) & 255 == SCHEME_OURS and meta & 255 != 0, "price: unknown scheme or no grace"
    assert 2 * threshold > len(signers) and len(proofs) == threshold, "price: wrong threshold"
    assert price != 0 and block.timestamp >= instant, "price: zero or too early"
    self.require_signed(
        signatures.digest(PRICE_DOMAIN, keccak256(abi_encode(PRICE_TYPE, feed, instant, price))),
        signers,
        proofs,
    )
    self.prices[key] = (block.timestamp << 128) | convert(price, uint256)
    log PricePublished(key=key, price=convert(price, uint256))
