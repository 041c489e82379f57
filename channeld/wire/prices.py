"""A settlement price with its signatures: what proves it, and how an oracle writes it as JSON.

The same rules as the contract's: the named signers, strictly ascending, exactly `threshold` of them,
each over the very same value: a median of whichever ones a submitter picks would not be unique.
"""

from collections.abc import Callable, Mapping
from typing import Any

from channeld.core.claims import MAX_PRICE, MAX_TIME_S
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.records import SignedPriceRecord
from channeld.wire.eip712 import Feed, price_digest

OUR_SCHEME = 1
MAX_SIGNERS = 16
"""The contract's buffer: a feed with more could never be published."""
MAX_PAIR_BYTES = 32

Recover = Callable[[bytes, bytes], bytes]
"""(digest, signature of 64 bytes) -> address of 20 bytes; raises PeerViolation if nobody signed."""


def require_publishable(feed: Feed) -> None:
    """Refuse a feed that the contract would not take. Raises Rejected."""
    count = len(feed.signers)
    if not 0 < len(feed.pair) <= MAX_PAIR_BYTES or not feed.pair.isascii():
        raise Rejected(f"feed: expected a pair of 1 to {MAX_PAIR_BYTES} ASCII characters, got {feed.pair!r}")
    if feed.scheme != OUR_SCHEME or not 0 <= feed.decimals <= 255:
        raise Rejected(f"feed {feed.pair}: expected scheme {OUR_SCHEME}, got {feed.scheme}")
    if not 1 <= feed.grace_h <= 255:
        raise Rejected(f"feed {feed.pair}: expected a grace of 1 to 255 hours, got {feed.grace_h}")
    if not 0 < count <= MAX_SIGNERS or not count < 2 * feed.threshold <= 2 * count:
        raise Rejected(
            f"feed {feed.pair}: expected 1 to {MAX_SIGNERS} signers and a threshold above half of them, "
            f"got {feed.threshold} of {count}"
        )
    if any(len(signer) != 20 or not any(signer) for signer in feed.signers):
        raise Rejected(f"feed {feed.pair}: expected signers as addresses of 20 bytes, none of them zero")
    if list(feed.signers) != sorted(set(feed.signers)):
        raise Rejected(f"feed {feed.pair}: expected signers in ascending order, each once")


def verify(feed: Feed, signed: SignedPriceRecord, recover: Recover) -> None:
    """Refuse a price that the contract would not publish. Raises PeerViolation.

    Stops a price of another feed, too few signers, one signer twice, and an order that would make our
    own transaction fail in the last hour of the grace.
    """
    if signed.feed != feed.feed_id:
        raise PeerViolation(f"price: expected one of {feed.pair}, got one of feed {signed.feed.hex()}")
    require_value(signed.expiry_s, signed.price)
    if len(signed.signatures) != feed.threshold:
        raise PeerViolation(
            f"price of {feed.pair}: expected {feed.threshold} signatures, got {len(signed.signatures)}"
        )
    digest = price_digest(signed.feed, signed.expiry_s, signed.price)
    last = b""
    for signature in signed.signatures:
        signer = recover(digest, signature)
        if signer not in feed.signers:
            raise PeerViolation(f"price of {feed.pair}: expected a named signer, got 0x{signer.hex()}")
        if signer <= last:
            raise PeerViolation(f"price of {feed.pair}: expected signers in ascending order, each once")
        last = signer


def require_value(instant_s: int, price: int) -> None:
    """Refuse what no signer may sign: a price of 0, or numbers that do not fit. Raises PeerViolation."""
    if not 0 < instant_s <= MAX_TIME_S:
        raise PeerViolation(f"price: expected an instant in unix seconds, got {instant_s}")
    if not 0 < price <= MAX_PRICE:
        raise PeerViolation(f"price: expected 1 to {MAX_PRICE} with 8 decimals, got {price}")


def assembled(
    feed: Feed, instant_s: int, price: int, signatures: Mapping[bytes, bytes]
) -> SignedPriceRecord | None:
    """What the contract takes, out of signatures by signer (address -> 64 bytes), if there are enough."""
    chosen = [signatures[signer] for signer in feed.signers if signer in signatures][: feed.threshold]
    if len(chosen) < feed.threshold:
        return None
    return SignedPriceRecord(feed.feed_id, instant_s, price, tuple(chosen))


# --- as JSON --------------------------------------------------------------------------------------


def price_json(
    feed_id: bytes, instant_s: int, price: int, signatures: Mapping[bytes, bytes]
) -> dict[str, object]:
    """What GET /price answers. The price is a text: JSON numbers lose digits beyond 2^53 in many tools."""
    return {
        "feed": "0x" + feed_id.hex(),
        "timestamp_s": instant_s,
        "price": str(price),
        "signatures": {"0x" + signer.hex(): "0x" + signed.hex() for signer, signed in signatures.items()},
    }


def read_price_json(document: object) -> tuple[bytes, int, int, dict[bytes, bytes]]:
    """Feed id, instant, price and signatures by signer; nothing is verified. Raises PeerViolation."""
    fields = _object(document, "a price")
    signed = _object(fields.get("signatures"), "signatures")
    if len(signed) > MAX_SIGNERS:
        raise PeerViolation(f"price: expected at most {MAX_SIGNERS} signatures, got {len(signed)}")
    signatures = {
        read_hex(signer, "a signer", 20): read_hex(v, "a signature", 64) for signer, v in signed.items()
    }
    instant_s = fields.get("timestamp_s")
    if not isinstance(instant_s, int) or isinstance(instant_s, bool):
        raise PeerViolation(f"price: expected timestamp_s in unix seconds, got {instant_s!r:.40}")
    return (
        read_hex(fields.get("feed"), "a feed", 32),
        instant_s,
        read_decimal(fields.get("price")),
        signatures,
    )


def feed_json(feed: Feed) -> dict[str, object]:
    """One entry of what GET /feeds answers."""
    return {
        "feed": "0x" + feed.feed_id.hex(),
        "pair": feed.pair,
        "decimals": feed.decimals,
        "threshold": feed.threshold,
        "grace_h": feed.grace_h,
        "signers": ["0x" + signer.hex() for signer in feed.signers],
    }


def read_hex(value: object, what: str, length: int) -> bytes:
    """0x-prefixed hex of exactly `length` bytes. Raises PeerViolation."""
    if isinstance(value, str) and value.startswith("0x") and len(value) == 2 + 2 * length:
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise PeerViolation(f"price: expected {what} as {length} bytes in 0x-prefixed hex, got {value!r:.80}")


def read_decimal(value: object) -> int:
    """A price as decimal digits in a text. Raises PeerViolation."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(MAX_PRICE)):
        return int(value)
    raise PeerViolation(f"price: expected digits in a text, got {value!r:.40}")


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PeerViolation(f"price: expected {what} as an object, got {value!r:.40}")
    return value
