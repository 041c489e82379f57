"""Claims as words, and the EIP-712 digests that both sides and the contract compute alike.

Hand-rolled, because it is on the path of every payment: a digest is two keccaks over fixed layouts.
Sources: [EIP-712], [EIP-191]; the layout of words is in docs/protocol.md and contracts/adjudicator.vy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sha3 import keccak_256

from channeld.core.claims import Claim, State, canonical_order
from channeld.core.identity import ChannelParams

EMPTY_CLAIMS_HASH = bytes(32)


def keccak(data: bytes) -> bytes:
    digest: bytes = keccak_256(data).digest()
    return digest


DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
STATE_TYPE = keccak(b"State(bytes32 channel,uint64 version,int128 net,bytes32 claims)")
CLOSE_TYPE = keccak(b"Close(bytes32 channel,uint64 counter,int128 net,uint40 until)")
WITHDRAW_TYPE = keccak(b"Withdraw(bytes32 channel,uint64 counter,uint96 to_a,uint96 to_b,uint40 until)")
START_TYPE = keccak(b"Start(bytes32 channel,address holder,uint64 minimum,uint40 until)")
PRICE_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version)")
PRICE_TYPE = keccak(b"Price(bytes32 feed,uint40 timestamp,uint128 price)")

PRICE_DOMAIN = keccak(PRICE_DOMAIN_TYPE + keccak(b"channeld price") + keccak(b"1"))
"""No chain and no contract in it: one signed price settles options on every chain alike."""


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=value < 0)


def domain_separator(chain_id: int, adjudicator: bytes) -> bytes:
    """The EIP-712 domain of one adjudicator (20 bytes) on one chain."""
    return keccak(
        DOMAIN_TYPE + keccak(b"channeld") + keccak(b"1") + _word(chain_id) + bytes(12) + adjudicator
    )


def channel_id(params: ChannelParams, domain: bytes) -> bytes:
    """keccak256(abi.encode(a, b, asset, config, domain)); the domain binds chain and contract."""
    pad = bytes(12)
    return keccak(pad + params.a + pad + params.b + pad + params.asset + _word(params.config) + domain)


def claim_words(claim: Claim) -> bytes:
    """A claim as 2 (hash-locked transfer), 3 (option) or 4 (hash-locked option) words of 32 bytes.

    First word: kind u6 << 250 | locked << 249 | payer is b << 248 | expiry u40 << 136 |
    deadline u40 << 96 | amount u96. Then the hashlock if locked; then feed and strike u128 << 128 |
    bound u128 if it is an option.
    """
    head = claim.amount | claim.deadline_s << 96 | (claim.claim_id & 1) << 248
    tail = b""
    if claim.hashlock is not None:
        head |= 1 << 249
        tail = claim.hashlock
    terms = claim.terms
    if terms is not None:
        head |= terms.kind << 250 | terms.expiry_s << 136
        tail += terms.feed + (terms.strike << 128 | terms.bound).to_bytes(32, "big")
    return head.to_bytes(32, "big") + tail


cached_claim_words = lru_cache(maxsize=65_536)(claim_words)
"""A claim stands in many states; its words are packed once. 65,536 is ten full channels or more."""


def claims_hash(claims: Iterable[Claim]) -> bytes:
    """The chained hash h = keccak256(h, words of one claim) over the canonical order; 0 if empty."""
    link = EMPTY_CLAIMS_HASH
    hashed, words = keccak_256, cached_claim_words
    for claim in canonical_order(claims):
        link = hashed(link + words(claim)).digest()
    return link


def claims_calldata(claims: Iterable[Claim]) -> bytes:
    """The claim list as `settle` reads it: the words of every claim in canonical order."""
    return b"".join(cached_claim_words(claim) for claim in canonical_order(claims))


def _typed_digest(domain: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + struct_hash)


_DIGESTS_KEPT = 1_024
"""Digests of states that were just signed or verified: the two newest of 512 busy channels."""

_digests: dict[int, tuple[State, bytes, bytes]] = {}
"""By the identity of a state, which the entry itself keeps alive: the state, what it was signed for, the
digest. A state is never written to, so its digest holds as long as it is this very object."""


def state_digest(domain: bytes, channel_id: bytes, state: State) -> bytes:
    """The digest that both sides sign for a state; computed once by whoever signs it and then verifies."""
    context = domain + channel_id
    known = _digests.get(id(state))
    if known is not None and known[0] is state and known[1] == context:
        return known[2]
    struct = STATE_TYPE + channel_id + _word(state.version) + _word(state.net)
    digest = _typed_digest(domain, keccak(struct + claims_hash(state.claims.values())))
    if len(_digests) >= _DIGESTS_KEPT:
        _digests.clear()
    _digests[id(state)] = state, context, digest
    return digest


def close_digest(domain: bytes, channel_id: bytes, counter: int, net: int, until_s: int) -> bytes:
    """The digest of a cooperative close: final at once, valid until `until_s`, for one counter."""
    struct = CLOSE_TYPE + channel_id + _word(counter) + _word(net) + _word(until_s)
    return _typed_digest(domain, keccak(struct))


def withdraw_digest(
    domain: bytes, channel_id: bytes, counter: int, to_a: int, to_b: int, until_s: int
) -> bytes:
    """The digest of a partial withdrawal: both sides take so much out and the channel goes on."""
    struct = WITHDRAW_TYPE + channel_id + _word(counter) + _word(to_a) + _word(to_b) + _word(until_s)
    return _typed_digest(domain, keccak(struct))


def start_digest(domain: bytes, channel_id: bytes, holder: bytes, minimum: int, until_s: int) -> bytes:
    """The digest of a permit: `holder` (20 bytes) may start a dispute for the signer, with no version
    below `minimum` (above 0), until `until_s`."""
    struct = START_TYPE + channel_id + bytes(12) + holder + _word(minimum) + _word(until_s)
    return _typed_digest(domain, keccak(struct))


def price_digest(feed: bytes, timestamp_s: int, price: int) -> bytes:
    """The digest that the signers of a feed sign: the same on every chain."""
    return _typed_digest(PRICE_DOMAIN, keccak(PRICE_TYPE + feed + _word(timestamp_s) + _word(price)))


@dataclass(frozen=True, slots=True)
class Feed:
    """Who signs a price, and how many of them. The feed id commits to all of it.

    `pair` is ASCII, at most 32 bytes ("ETH/USD"); `signers` are 20-byte addresses, strictly
    ascending; `scheme` 1 is ours; `grace_h` is 1 to 255 hours. Requires 2 * threshold > signers
    (nobody but an equivocating majority can certify two values).
    """

    pair: str
    decimals: int
    scheme: int
    threshold: int
    grace_h: int
    signers: tuple[bytes, ...]

    @property
    def meta(self) -> int:
        """decimals u8 << 24 | scheme u8 << 16 | threshold u8 << 8 | grace u8."""
        return self.decimals << 24 | self.scheme << 16 | self.threshold << 8 | self.grace_h

    @property
    def definition(self) -> bytes:
        """Pair, meta and signers as words: what the feed id commits to, and what a publication shows."""
        words = self.pair.encode("ascii").ljust(32, b"\0") + _word(self.meta)
        return words + b"".join(bytes(12) + signer for signer in self.signers)

    @property
    def feed_id(self) -> bytes:
        """keccak256 of the definition, with the last byte replaced by the grace."""
        return keccak(self.definition)[:31] + bytes([self.grace_h])
