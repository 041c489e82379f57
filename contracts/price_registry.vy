# pragma version 0.4.3
"""
@title Settlement prices, unique and the same on every chain
@notice A feed id commits to everything about a feed: keccak256 of its definition, with the last byte
        replaced by the grace in hours. Signers sign one value for one instant; more than half of them
        must, so no two values can both be published unless a signer signs two.
@dev The definition of a feed is a row of words: pair, meta, signers in ascending order.
     meta: decimals u8 << 24 | scheme u8 << 16 | threshold u8 << 8 | grace u8 (hours).
"""
import signatures

# Most signers of one feed: their buffer is paid for by every publication.
MAX_SIGNERS: constant(uint256) = 16
SCHEME_OURS: constant(uint256) = 1

event PricePublished:
    key: indexed(bytes32)
    price: uint256


# keccak256(feed id, instant) => time of publication u40 << 128 | price u128
prices: public(HashMap[bytes32, uint256])

PRICE_TYPE: constant(bytes32) = keccak256("Price(bytes32 feed,uint40 timestamp,uint128 price)")
# keccak256(keccak256("EIP712Domain(string name,string version)"), keccak256("channeld price"),
# keccak256("1")): no chain and no contract in it, or nobody could carry a price to another chain.
PRICE_DOMAIN: constant(bytes32) = 0xf375f263848ae932ead8ca346459439bb613c2156cdc198a28eaf5b0efef2f9e


@external
def publish_price(
    feed: Bytes[32 * (2 + MAX_SIGNERS)],
    timestamp: uint40,
    price: uint128,
    proofs: DynArray[signatures.Signature, MAX_SIGNERS],
):
    """
    @notice Publish the price of a feed at one instant. Publishing it again changes nothing, so that
            nobody can make a batch or a settlement fail by being first.
    @param feed The definition of the feed.
    @param proofs Exactly as many signatures as the threshold, in the order of their signers.
    """
    meta: uint256 = extract32(feed, 32, output_type=uint256)
    id: uint256 = convert(keccak256(feed), uint256)
    id = id ^ ((id ^ meta) & 255)
    instant: uint256 = convert(timestamp, uint256)
    key: bytes32 = keccak256(abi_encode(id, instant))
    if self.prices[key] != 0:
        return
    assert meta >> 16 & 255 == SCHEME_OURS, "price: unknown scheme"
    assert meta & 255 != 0, "price: no grace"
    assert meta >> 8 & 255 == len(proofs), "price: not as many signatures as the threshold"
    assert unsafe_mul(64, unsafe_add(len(proofs), 1)) > len(feed), "price: threshold is no majority"
    assert price != 0, "price: zero"
    assert block.timestamp >= instant, "price: too early"
    digest: bytes32 = keccak256(
        concat(b"\x19\x01", PRICE_DOMAIN, keccak256(abi_encode(PRICE_TYPE, id, instant, price)))
    )
    at: uint256 = 64
    last: uint256 = 0
    for proof: signatures.Signature in proofs:
        # A twin with high s signs the same value, so s is not looked at.
        vs: uint256 = convert(proof.vs, uint256)
        signer: uint256 = convert(
            ecrecover(digest, unsafe_add(27, vs >> 255), convert(proof.r, uint256), (vs << 1) >> 1), uint256
        )
        # Above zero, which stands for nobody; above the one before, so that none counts twice.
        assert signer > last, "price: signers must ascend"
        last = signer
        for _: uint256 in range(MAX_SIGNERS):
            assert at < len(feed), "price: not a signer of the feed"
            name: uint256 = extract32(feed, at, output_type=uint256)
            at = unsafe_add(at, 32)
            if name == signer:
                break
    self.store(key, convert(price, uint256))


@internal
@pure
def key_of(feed: Bytes[32 * (2 + MAX_SIGNERS)], instant: uint256) -> bytes32:
    """
    @dev Where the price of a feed, given by its definition, is kept.
    """
    id: uint256 = convert(keccak256(feed), uint256)
    return keccak256(abi_encode(id ^ ((id ^ extract32(feed, 32, output_type=uint256)) & 255), instant))


@internal
def store(key: bytes32, price: uint256):
    self.prices[key] = (block.timestamp << 128) | price
    log PricePublished(key=key, price=price)
