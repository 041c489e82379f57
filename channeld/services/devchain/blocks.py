"""Blocks, receipts and logs as the chain keeps them, and the rules that derive a header."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import rlp

from channeld.services.devchain.hashing import keccak256

# keccak256(rlp([])), the empty trie's root, sha256 of nothing: constants of every header since the merge.
EMPTY_UNCLES = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
EMPTY_TRIE = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
EMPTY_REQUESTS = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

BLOOM_BYTES = 256
NO_BLOOM = bytes(BLOOM_BYTES)
BASE_FEE_CHANGE_DENOMINATOR = 8
ELASTICITY = 2


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log in its block. Addresses are 20 bytes, topics and hashes 32."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    timestamp_s: int
    transaction_hash: bytes
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction and what came of it. `status` is 1 for success; `to` is empty for a creation."""

    raw: bytes
    transaction_hash: bytes
    transaction_index: int
    block_number: int
    block_hash: bytes
    type_id: int
    sender: bytes
    to: bytes
    status: int
    gas_used: int
    cumulative_gas_used: int
    effective_gas_price_wei: int
    contract_address: bytes | None
    logs: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that vary. `state_root` and the other two roots are commitments, not trie roots: they bind
    the block hash to the contents, and nobody can ask this chain for a proof."""

    number: int
    parent_hash: bytes
    timestamp_s: int
    coinbase: bytes
    gas_limit: int
    gas_used: int
    base_fee_wei: int
    prev_randao: bytes
    bloom: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes

    def encode(self) -> bytes:
        """The RLP list of a Prague header [EIP-7685]."""
        encoded: bytes = rlp.encode(
            [
                self.parent_hash,
                EMPTY_UNCLES,
                self.coinbase,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.bloom,
                0,
                self.number,
                self.gas_limit,
                self.gas_used,
                self.timestamp_s,
                b"",
                self.prev_randao,
                bytes(8),
                self.base_fee_wei,
                EMPTY_TRIE,
                0,
                0,
                bytes(32),
                EMPTY_REQUESTS,
            ]
        )
        return encoded


@dataclass(frozen=True, slots=True)
class Block:
    hash: bytes
    header: Header
    size_bytes: int
    receipts: tuple[Receipt, ...]

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def timestamp_s(self) -> int:
        return self.header.timestamp_s


def next_base_fee_wei(parent: Header) -> int:
    """[EIP-1559]: up or down by at most an eighth, by how full the parent was against half its limit."""
    target = parent.gas_limit // ELASTICITY
    fee = parent.base_fee_wei
    if parent.gas_used == target:
        return fee
    if parent.gas_used > target:
        change = fee * (parent.gas_used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
        return fee + max(change, 1)
    return fee - fee * (target - parent.gas_used) // target // BASE_FEE_CHANGE_DENOMINATOR


def bloom_of(logs: Iterable[tuple[bytes, Sequence[bytes]]]) -> bytes:
    """The 2048-bit filter over addresses and topics: three bits for each."""
    bits = 0
    for address, topics in logs:
        for item in (address, *topics):
            digest = keccak256(item)
            for start in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[start : start + 2], "big") & 2047)
    # One object for all the blocks without logs, which are most.
    return bits.to_bytes(BLOOM_BYTES, "big") if bits else NO_BLOOM


def commitment(parts: Iterable[bytes]) -> bytes:
    """One hash over a list of byte strings; the empty trie's root for none, as clients expect of it."""
    listed = list(parts)
    return keccak256(rlp.encode(listed)) if listed else EMPTY_TRIE
