"""Digests and signatures from the texts of [EIP-712] and [EIP-2098], apart from the product's own."""

from functools import cache, lru_cache

from coincurve import PrivateKey, PublicKey

from bench.evm import CompactSignature, Party
from channeld.wire.eip712 import keccak

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""The order of secp256k1."""

STATE = "State(bytes32 channel,uint64 version,int128 net,bytes32 claims)"
CLOSE = "Close(bytes32 channel,uint64 counter,int128 net,uint40 until)"
WITHDRAW = "Withdraw(bytes32 channel,uint64 counter,uint96 to_a,uint96 to_b,uint40 until)"
START = "Start(bytes32 channel,address holder,uint64 minimum,uint40 until)"
PRICE = "Price(bytes32 feed,uint40 timestamp,uint128 price)"
PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
CHAIN_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
FREE_DOMAIN = "EIP712Domain(string name,string version)"

NOBODY = bytes(20)

Word = int | bytes


def word(value: Word) -> bytes:
    """Numbers modulo 2^256, addresses padded on the left."""
    if isinstance(value, int):
        return (value % 2**256).to_bytes(32, "big")
    return value.rjust(32, b"\0")


@cache
def type_hash(text: str) -> bytes:
    return keccak(text.encode())


def hash_struct(text: str, *values: Word) -> bytes:
    return keccak(type_hash(text) + b"".join(map(word, values)))


def typed(domain: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + struct_hash)


@cache
def chain_domain(name: str, chain_id: int, contract: bytes) -> bytes:
    return hash_struct(CHAIN_DOMAIN, keccak(name.encode()), keccak(b"1"), chain_id, contract)


PRICE_DOMAIN = hash_struct(FREE_DOMAIN, keccak(b"channeld price"), keccak(b"1"))


@cache
def _secret_key(key: bytes) -> PrivateKey:
    return PrivateKey(key)


@lru_cache(maxsize=65_536)
def sign(who: Party, digest: bytes) -> CompactSignature:
    raw = _secret_key(who.key).sign_recoverable(digest, hasher=None)
    return raw[:32], bytes([raw[32] | raw[64] << 7]) + raw[33:64]


@lru_cache(maxsize=65_536)
def recover(digest: bytes, r: bytes, s: int, parity: int) -> bytes:
    """Who signed; nobody (zero) if it is no signature at all."""
    try:
        raw = r + s.to_bytes(32, "big") + bytes([parity])
        public = PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception:  # the library has one type for each way of being invalid
        return NOBODY
    return keccak(public.format(compressed=False)[1:])[12:]


def split(signature: CompactSignature) -> tuple[int, int]:
    """s and the parity of y."""
    vs = int.from_bytes(signature[1], "big")
    return vs & (2**255 - 1), vs >> 255


def with_high_s(signature: CompactSignature) -> CompactSignature:
    """The true twin of a low s has 256 bits, and the compact form only room for 255: what can be shown
    with a high s is nobody's signature."""
    return signature[0], bytes([signature[1][0] | 127]) + b"\xff" * 31


def with_wrong_v(signature: CompactSignature) -> CompactSignature:
    return signature[0], bytes([signature[1][0] ^ 128]) + signature[1][1:]
