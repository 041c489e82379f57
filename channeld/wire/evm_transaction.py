"""An EVM transaction of type 2 as bytes: what is signed, and what is sent ([EIP-1559], [EIP-2718]).

Only the shape is here: the key that signs is in the signer, the nonce and the fees are chosen by the
chain adapter. An access list is always empty: the adjudicator touches one or two slots a call.
"""

from dataclasses import dataclass

import rlp

from channeld.wire.eip712 import keccak

TRANSACTION_TYPE = b"\x02"
PARITY_BIT = 1 << 255


@dataclass(frozen=True, slots=True)
class TransactionFields:
    """What the sender decides. `to` is 20 bytes, or None to create a contract from `data`."""

    chain_id: int
    nonce: int
    tip_wei: int
    max_fee_wei: int
    gas_limit: int
    to: bytes | None
    value_wei: int
    data: bytes


def _payload(fields: TransactionFields) -> list[object]:
    """The fields in the order of [EIP-1559]; prices are per unit of gas."""
    return [
        fields.chain_id,
        fields.nonce,
        fields.tip_wei,
        fields.max_fee_wei,
        fields.gas_limit,
        fields.to or b"",
        fields.value_wei,
        fields.data,
        [],
    ]


def transaction_digest(fields: TransactionFields) -> bytes:
    """The 32 bytes that the sender signs."""
    encoded: bytes = rlp.encode(_payload(fields))
    return keccak(TRANSACTION_TYPE + encoded)


def raw_transaction(fields: TransactionFields, signature: bytes) -> bytes:
    """The transaction as a node takes it. `signature` is 64 bytes, EIP-2098 (r, vs)."""
    vs = int.from_bytes(signature[32:], "big")
    parity, s = vs >> 255, vs & (PARITY_BIT - 1)
    encoded: bytes = rlp.encode([*_payload(fields), parity, int.from_bytes(signature[:32], "big"), s])
    return TRANSACTION_TYPE + encoded


def transaction_hash(raw: bytes) -> bytes:
    """The name under which a node knows a raw transaction."""
    return keccak(raw)


def created_address(sender: bytes, nonce: int) -> bytes:
    """The address of the contract that `sender` (20 bytes) creates with its `nonce`."""
    encoded: bytes = rlp.encode([sender, nonce])
    return keccak(encoded)[12:]
