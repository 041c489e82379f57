"""Signing dynamic-fee transactions [EIP-1559] with a development key."""

import rlp
from coincurve import PrivateKey

from channeld.services.devchain.hashing import keccak256


def sign_transaction(
    key: bytes,
    *,
    chain_id: int,
    nonce: int,
    to: bytes,
    value_wei: int = 0,
    data: bytes = b"",
    gas: int = 21_000,
    max_fee_per_gas_wei: int = 10 * 10**9,
    max_priority_fee_per_gas_wei: int = 10**9,
) -> bytes:
    """Raw bytes for `eth_sendRawTransaction`; an empty `to` creates a contract."""
    fields: list[object] = [
        chain_id,
        nonce,
        max_priority_fee_per_gas_wei,
        max_fee_per_gas_wei,
        gas,
        to,
        value_wei,
        data,
        [],
    ]
    digest = keccak256(b"\x02" + rlp.encode(fields))
    signature = PrivateKey(key).sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = b"\x02" + rlp.encode([*fields, signature[64], r, s])
    return raw
