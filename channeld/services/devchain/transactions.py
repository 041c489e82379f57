"""Signed transactions: legacy with a chain id [EIP-155], access list [EIP-2930], dynamic fee [EIP-1559]."""

from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from coincurve import PublicKey
from rlp.exceptions import DecodingError

from channeld.services.devchain.errors import TransactionRejected
from channeld.services.devchain.hashing import keccak256

# The order of secp256k1; a high s is a second valid signature of the same transaction [EIP-2].
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# go-ethereum's pool takes no larger one, so nothing larger would work on a real chain.
RAW_LIMIT_BYTES = 128 * 1024
INITCODE_LIMIT_BYTES = 2 * 24576  # [EIP-3860]

GAS_TX = 21_000
GAS_CREATE = 32_000
GAS_ACCESS_ADDRESS = 2_400
GAS_ACCESS_SLOT = 1_900
GAS_INITCODE_WORD = 2
GAS_FLOOR_PER_TOKEN = 10  # [EIP-7623]

AccessList = tuple[tuple[bytes, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction whose sender is known. The names of the fee fields are those the EVM engine reads.

    `to` is empty for a creation. Legacy and 2930 transactions have both fees equal to their gas price.
    """

    raw: bytes
    hash: bytes
    type_id: int
    sender: bytes
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: bytes
    value: int
    data: bytes
    access_list: AccessList
    chain_id: int
    y_parity: int
    r: int
    s: int

    @property
    def intrinsic_gas(self) -> int:
        """Gas taken before the engine starts; it charges the words of a creation's code itself."""
        gas = GAS_TX + 4 * data_tokens(self.data) + (0 if self.to else GAS_CREATE)
        for _, slots in self.access_list:
            gas += GAS_ACCESS_ADDRESS + GAS_ACCESS_SLOT * len(slots)
        return gas

    @property
    def entry_gas(self) -> int:
        """The least gas limit with which the transaction may enter the pool."""
        words = 0 if self.to else (len(self.data) + 31) // 32
        return self.intrinsic_gas + GAS_INITCODE_WORD * words

    @property
    def floor_gas(self) -> int:
        """The least a transaction with this much data pays [EIP-7623]."""
        return GAS_TX + GAS_FLOOR_PER_TOKEN * data_tokens(self.data)

    @property
    def cost_limit_wei(self) -> int:
        """The most the sender can lose."""
        return self.gas * self.max_fee_per_gas + self.value

    def gas_price_wei(self, base_fee_wei: int) -> int:
        """What a unit of gas costs in a block of this base fee."""
        return min(self.max_fee_per_gas, base_fee_wei + self.max_priority_fee_per_gas)


def data_tokens(data: bytes) -> int:
    return 4 * len(data) - 3 * data.count(0)


def decode_transaction(raw: bytes, chain_id: int) -> Transaction:
    """Decode and recover the sender; TransactionRejected says which field is wrong."""
    if len(raw) > RAW_LIMIT_BYTES:
        raise TransactionRejected(f"oversized data: transaction size {len(raw)}, limit {RAW_LIMIT_BYTES}")
    if not raw:
        raise TransactionRejected("typed transaction too short: expected bytes, got none")
    if raw[0] >= 0xC0:
        return _decode_legacy(raw, chain_id)
    if raw[0] in (1, 2):
        return _decode_typed(raw, chain_id)
    raise TransactionRejected(f"transaction type not supported: expected 0, 1 or 2, got {raw[0]}")


def _decode_legacy(raw: bytes, chain_id: int) -> Transaction:
    fields = _fields(raw, 9)
    v = _uint(fields[6], 64, "v")
    if v in (27, 28):
        raise TransactionRejected("only replay-protected (EIP-155) transactions allowed over RPC")
    if v < 35:
        raise TransactionRejected(f"invalid transaction v, r, s values: v is {v}")
    _same_chain(chain_id, (v - 35) // 2)
    unsigned = [*fields[:6], _bytes_of(chain_id), b"", b""]
    gas_price = _uint(fields[1], 256, "gas price")
    return _recovered(
        raw,
        keccak256(rlp.encode(unsigned)),
        0,
        chain_id,
        (fields[0], gas_price, gas_price, *fields[2:6]),
        (),
        ((v - 35) % 2, fields[7], fields[8]),
    )


def _decode_typed(raw: bytes, chain_id: int) -> Transaction:
    dynamic = raw[0] == 2
    fields = _fields(raw[1:], 12 if dynamic else 11)
    _same_chain(chain_id, _uint(fields[0], 256, "chain id"))
    if dynamic:
        priority, most, rest = _uint(fields[2], 256, "tip"), _uint(fields[3], 256, "fee"), fields[4:8]
    else:
        most, rest = _uint(fields[2], 256, "gas price"), fields[3:7]
        priority = most
    parity = _uint(fields[-3], 64, "y parity")
    if parity > 1:
        raise TransactionRejected(f"invalid transaction v, r, s values: y parity is {parity}")
    return _recovered(
        raw,
        keccak256(raw[:1] + rlp.encode(fields[:-3])),
        raw[0],
        chain_id,
        (fields[1], priority, most, *rest),
        _access_list(fields[-4]),
        (parity, fields[-2], fields[-1]),
    )


def _recovered(
    raw: bytes,
    digest: bytes,
    type_id: int,
    chain_id: int,
    body: Sequence[object],
    access_list: AccessList,
    signature: tuple[int, object, object],
) -> Transaction:
    """Check the common fields (nonce, tip, fee, gas, to, value, data) and the signature over `digest`."""
    nonce, priority, most, gas, to, value, data = body
    assert isinstance(priority, int)
    assert isinstance(most, int)
    if not isinstance(to, bytes) or len(to) not in (0, 20):
        raise TransactionRejected("rlp: expected 0 or 20 bytes for the recipient")
    if not isinstance(data, bytes):
        raise TransactionRejected("rlp: expected bytes for the data")
    if priority > most:
        raise TransactionRejected(
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {priority}, maxFeePerGas: {most}"
        )
    parity, r, s = signature[0], _uint(signature[1], 256, "r"), _uint(signature[2], 256, "s")
    return Transaction(
        raw=raw,
        hash=keccak256(raw),
        type_id=type_id,
        sender=_recover(digest, parity, r, s),
        nonce=_uint(nonce, 64, "nonce"),
        max_priority_fee_per_gas=priority,
        max_fee_per_gas=most,
        gas=_uint(gas, 64, "gas"),
        to=to,
        value=_uint(value, 256, "value"),
        data=data,
        access_list=access_list,
        chain_id=chain_id,
        y_parity=parity,
        r=r,
        s=s,
    )


def _recover(digest: bytes, parity: int, r: int, s: int) -> bytes:
    if not (0 < r < CURVE_ORDER and 0 < s <= CURVE_ORDER // 2):
        raise TransactionRejected("invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as wrong:  # coincurve raises bare Exception for a point not on the curve
        raise TransactionRejected("invalid sender") from wrong
    return keccak256(key.format(compressed=False)[1:])[12:]


def _same_chain(ours: int, theirs: int) -> None:
    if ours != theirs:
        raise TransactionRejected(f"invalid chain id for signer: have {theirs} want {ours}")


def _fields(payload: bytes, count: int) -> list[object]:
    try:
        fields = rlp.decode(payload, strict=True)
    except (DecodingError, RecursionError) as wrong:
        raise TransactionRejected(f"rlp: {wrong}") from wrong
    if not isinstance(fields, list) or len(fields) != count:
        got = len(fields) if isinstance(fields, list) else "a string"
        raise TransactionRejected(f"rlp: expected a list of {count} fields, got {got}")
    return fields


def _uint(field: object, bits: int, name: str) -> int:
    if not isinstance(field, bytes) or len(field) * 8 > bits or field[:1] == b"\0":
        raise TransactionRejected(f"rlp: {name} is not a canonical integer of at most {bits} bits")
    return int.from_bytes(field, "big")


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _access_list(field: object) -> AccessList:
    wrong = TransactionRejected("rlp: the access list is not a list of (address, slots)")
    if not isinstance(field, list):
        raise wrong
    entries = []
    for entry in field:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], list)):
            raise wrong
        address, slots = entry
        if not (isinstance(address, bytes) and len(address) == 20):
            raise wrong
        if not all(isinstance(slot, bytes) and len(slot) == 32 for slot in slots):
            raise wrong
        entries.append((address, tuple(int.from_bytes(slot, "big") for slot in slots)))
    return tuple(entries)
