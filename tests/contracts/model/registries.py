"""The rules of the registries: secrets, and settlement prices by two schemes."""

from hashlib import sha256
from statistics import median_low

from bench.evm import CompactSignature
from channeld.wire.eip712 import keccak
from tests.contracts.model.agreement import signer
from tests.contracts.model.books import Books, Refused
from tests.contracts.model.signing import PRICE, PRICE_DOMAIN, hash_struct, recover, split, typed

OURS, REDSTONE = 1, 2


def register_secret(books: Books, sender: bytes, preimage: bytes) -> None:
    lock = sha256(preimage).digest()
    if lock in books.registries.secrets:
        books.fired["secret: known already"] += 1
    books.registries.secrets.setdefault(lock, books.now_s)


def register_secrets(books: Books, sender: bytes, preimages: list[bytes]) -> None:
    for preimage in preimages:
        register_secret(books, sender, preimage)


def _word(feed: bytes, index: int) -> int:
    if len(feed) < 32 * (index + 1):
        raise Refused("", "feed cut off")
    return int.from_bytes(feed[32 * index : 32 * index + 32], "big")


def feed_id(feed: bytes) -> bytes:
    """The hash of the definition, its last byte replaced by the grace in hours."""
    return keccak(feed)[:31] + bytes([_word(feed, 1) & 255])


def _meta(feed: bytes) -> tuple[int, int, int]:
    """Scheme, threshold and grace (hours)."""
    meta = _word(feed, 1)
    return meta >> 16 & 255, meta >> 8 & 255, meta & 255


def publish_price(
    books: Books, sender: bytes, feed: bytes, instant_s: int, price: int, proofs: list[CompactSignature]
) -> None:
    scheme, threshold, grace_h = _meta(feed)
    identity = feed_id(feed)
    if (identity, instant_s) in books.registries.prices:
        books.fired["price: published already"] += 1
        return
    if scheme != OURS:
        raise Refused("price: unknown scheme")
    if grace_h == 0:
        raise Refused("price: no grace")
    if threshold != len(proofs):
        raise Refused(
            "price: not as many signatures as the threshold", "more" if len(proofs) > threshold else "fewer"
        )
    if 64 * (threshold + 1) <= len(feed):
        raise Refused("price: threshold is no majority", "nobody" if threshold == 0 else "some")
    if price == 0:
        raise Refused("price: zero")
    if books.now_s < instant_s:
        raise Refused("price: too early")
    digest = typed(PRICE_DOMAIN, hash_struct(PRICE, identity, instant_s, price))
    last, index = 0, 2
    for proof in proofs:
        s, parity = split(proof)
        found = int.from_bytes(recover(digest, proof[0], s, parity), "big")
        if found <= last:
            case = "nobody" if found == 0 else "twice" if found == last else "order"
            raise Refused("price: signers must ascend", case)
        last, named = found, -1
        while named != found:
            if 32 * index >= len(feed):
                raise Refused("price: not a signer of the feed")
            named = _word(feed, index)
            index += 1
    _store(books, identity, instant_s, price, grace_h)


def publish_redstone(
    books: Books,
    sender: bytes,
    feed: bytes,
    instant_s: int,
    values: list[int],
    proofs: list[CompactSignature],
) -> None:
    """The median of what all named signers have signed."""
    scheme, threshold, grace_h = _meta(feed)
    identity = feed_id(feed)
    if (identity, instant_s) in books.registries.prices:
        books.fired["redstone: published already"] += 1
        return
    if scheme != REDSTONE:
        raise Refused("redstone: unknown scheme")
    if grace_h == 0:
        raise Refused("redstone: no grace")
    if not threshold == len(values) == len(proofs):
        raise Refused("redstone: not every signer", "values" if len(values) != threshold else "signatures")
    if threshold == 0 or len(feed) != 32 * (threshold + 2):
        raise Refused("redstone: not every signer", "nobody" if threshold == 0 else "feed")
    if books.now_s < instant_s:
        raise Refused("redstone: too early")
    last = 0
    for index, (worth, proof) in enumerate(zip(values, proofs, strict=True), start=2):
        named = _word(feed, index)
        if named <= last:
            raise Refused("redstone: signers must ascend", "twice" if named == last else "order")
        last = named
        package = feed[:32] + worth.to_bytes(32, "big") + (instant_s * 1000).to_bytes(6, "big")
        digest = keccak(package + (32).to_bytes(4, "big") + (1).to_bytes(3, "big"))
        if int.from_bytes(signer(digest, proof), "big") != named:
            raise Refused("redstone: not signed")
    _store(books, identity, instant_s, _median(values), grace_h)


def _median(values: list[int]) -> int:
    price = median_low(values)
    if len(values) % 2 == 0:
        price += sorted(values)[len(values) // 2]
        if price >= 2**256:
            raise Refused("", "median overflows")
        price //= 2
    if not 0 < price < 2**128:
        raise Refused("redstone: no price", "zero" if price == 0 else "too large")
    return price


def _store(books: Books, identity: bytes, instant_s: int, price: int, grace_h: int) -> None:
    books.registries.prices[identity, instant_s] = books.now_s, price
    when = "at once" if books.now_s == instant_s else "in time"
    if books.now_s >= instant_s + grace_h * 3600:
        when = "at the end of grace" if books.now_s == instant_s + grace_h * 3600 else "too late"
    books.fired[f"price: published {when}"] += 1
