# pragma version 0.4.3
"""
@title Settlement prices from RedStone's signed packages
@notice The price is the median of the packages of all named signers: they sign different values, and a
        median of whichever the sender picks would not be unique. Packages are signed every 10 seconds,
        so expiries must lie on that grid. They name neither chain nor contract.
@dev A package with one data point, as the production service signs it for each symbol: symbol (32
     bytes), value (32, 8 decimals), timestamp in ms (6), size of a value (4), number of points (3);
     keccak256 without any prefix. The feed's pair is the symbol, its threshold all signers.
"""
import price_registry
import signatures

uses: price_registry

SCHEME_REDSTONE: constant(uint256) = 2
MAX_SIGNERS: constant(uint256) = price_registry.MAX_SIGNERS
# 32 bytes a value, 1 point
TAIL: constant(uint256) = (32 << 24) | 1


@external
def publish_redstone(
    feed: Bytes[32 * (2 + MAX_SIGNERS)],
    timestamp: uint40,
    values: DynArray[uint256, MAX_SIGNERS],
    proofs: DynArray[signatures.Signature, MAX_SIGNERS],
):
    """
    @notice Publish the price of a RedStone feed at one instant. Publishing it again changes nothing.
    @param feed The definition of the feed.
    @param values What each signer has signed, in the order of the signers.
    """
    meta: uint256 = extract32(feed, 32, output_type=uint256)
    instant: uint256 = convert(timestamp, uint256)
    key: bytes32 = price_registry.key_of(feed, instant)
    if price_registry.prices[key] != 0:
        return
    count: uint256 = len(values)
    assert meta >> 16 & 255 == SCHEME_REDSTONE, "redstone: unknown scheme"
    assert meta & 255 != 0, "redstone: no grace"
    assert meta >> 8 & 255 == count and len(proofs) == count, "redstone: not every signer"
    assert count != 0 and len(feed) == unsafe_mul(32, unsafe_add(count, 2)), "redstone: not every signer"
    assert block.timestamp >= instant, "redstone: too early"
    symbol: bytes32 = extract32(feed, 0)
    tail: bytes13 = convert(
        convert((unsafe_mul(instant, 1000) << 56) | TAIL, uint104), bytes13
    )
    sorted: DynArray[uint256, MAX_SIGNERS] = []
    last: uint256 = 0
    for i: uint256 in range(count, bound=MAX_SIGNERS):
        name: uint256 = extract32(feed, unsafe_mul(32, unsafe_add(i, 2)), output_type=uint256)
        assert name > last, "redstone: signers must ascend"
        last = name
        digest: bytes32 = keccak256(concat(symbol, convert(values[i], bytes32), tail))
        signer: address = signatures.signer(digest, proofs[i])
        assert convert(signer, uint256) == name, "redstone: not signed"
        sorted = self._inserted(sorted, values[i])
    middle: uint256 = count // 2
    price: uint256 = sorted[middle]
    if count % 2 == 0:
        price = (price + sorted[middle - 1]) // 2
    assert price != 0 and price < 2**128, "redstone: no price"
    price_registry.store(key, price)


@internal
@pure
def _inserted(sorted: DynArray[uint256, MAX_SIGNERS], added: uint256) -> DynArray[uint256, MAX_SIGNERS]:
    """
    @dev The values in ascending order, with one more.
    """
    values: DynArray[uint256, MAX_SIGNERS] = sorted
    at: uint256 = len(values)
    values.append(added)
    for _: uint256 in range(MAX_SIGNERS):
        if at == 0 or values[at - 1] <= added:
            break
        values[at] = values[at - 1]
        at -= 1
    values[at] = added
    return values
