"""The records of the state file: what each kind holds, and how it is read back."""

from dataclasses import dataclass
from typing import Any

from channeld.services.devchain.blocks import NO_BLOOM, Block, Header, LogEntry, Receipt
from channeld.services.devchain.errors import StateFileRefused
from channeld.services.devchain.ledger import Diff, decode_diff, encode_diff
from channeld.services.devchain.statelog import Record


@dataclass(frozen=True, slots=True)
class Began:
    """The first record: which chain this is."""

    chain_id: int


@dataclass(frozen=True, slots=True)
class BlockMined:
    block: Block
    after: Diff
    codes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CellsSet:
    """The state was changed by hand."""

    after: Diff
    codes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rewound:
    """Everything above this depth of the history was taken back."""

    depth: int


@dataclass(frozen=True, slots=True)
class ClockSet:
    offset_s: int
    forced_timestamp_s: int | None


@dataclass(frozen=True, slots=True)
class Waits:
    """A transaction joined those that wait; the block that takes it tells when it no longer does."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Pooled:
    """The transactions that wait, all of them, after a change that no other record tells."""

    raws: tuple[bytes, ...]


# Places in an encoded header.
BASE_FEE = 6
BLOOM = 8

Fact = Began | BlockMined | CellsSet | Rewound | ClockSet | Waits | Pooled


def encode_fact(fact: Fact) -> Record:
    match fact:
        case Began(chain_id):
            return ["began", chain_id]
        case BlockMined(block, after, codes):
            return ["block", *_encode_block(block), encode_diff(after), list(codes)]
        case CellsSet(after, codes):
            return ["cells", encode_diff(after), list(codes)]
        case Rewound(depth):
            return ["rewound", depth]
        case ClockSet(offset_s, forced_s):
            return ["clock", offset_s, forced_s]
        case Waits(raw):
            return ["waits", raw]
        case Pooled(raws):
            return ["pooled", list(raws)]


def decode_fact(record: Any) -> Fact:
    """StateFileRefused for a record that this version did not write (its checksum was right)."""
    try:
        match record:
            case ["began", chain_id]:
                return Began(chain_id)
            case ["block", header, size_bytes, block_hash, receipts, after, codes]:
                block = _decode_block(header, size_bytes, block_hash, receipts)
                return BlockMined(block, decode_diff(after), tuple(codes))
            case ["cells", after, codes]:
                return CellsSet(decode_diff(after), tuple(codes))
            case ["rewound", depth]:
                return Rewound(depth)
            case ["clock", offset_s, forced_s]:
                return ClockSet(offset_s, forced_s)
            case ["waits", raw]:
                return Waits(raw)
            case ["pooled", raws]:
                return Pooled(tuple(raws))
    except (TypeError, ValueError) as wrong:
        raise StateFileRefused(f"the state file holds a malformed record: {wrong}") from wrong
    raise StateFileRefused("the state file holds a record of an unknown kind: another version wrote it")


def _encode_block(block: Block) -> list[Any]:
    header = block.header
    fields: list[Any] = [
        header.number,
        header.parent_hash,
        header.timestamp_s,
        header.coinbase,
        header.gas_limit,
        header.gas_used,
        _wide(header.base_fee_wei),
        header.prev_randao,
        # Left out of the many blocks without logs.
        b"" if header.bloom == NO_BLOOM else header.bloom,
        header.state_root,
        header.transactions_root,
        header.receipts_root,
    ]
    receipts = [
        [
            one.raw,
            one.transaction_hash,
            one.type_id,
            one.sender,
            one.to,
            one.status,
            one.gas_used,
            one.cumulative_gas_used,
            _wide(one.effective_gas_price_wei),
            one.contract_address,
            [[log.address, list(log.topics), log.data] for log in one.logs],
        ]
        for one in block.receipts
    ]
    return [fields, block.size_bytes, block.hash, receipts]


def _decode_block(fields: Any, size_bytes: int, block_hash: bytes, rows: Any) -> Block:
    values: list[Any] = list(fields)
    values[BASE_FEE] = _number(values[BASE_FEE])
    values[BLOOM] = values[BLOOM] or NO_BLOOM
    header = Header(*values)
    number, timestamp_s = header.number, header.timestamp_s
    receipts = []
    log_index = 0
    for index, row in enumerate(rows):
        raw, tx_hash, type_id, sender, to, status, gas, cumulative, price, created, logs = row
        entries = []
        for address, topics, data in logs:
            entries.append(
                LogEntry(
                    address, tuple(topics), data, number, block_hash, timestamp_s, tx_hash, index, log_index
                )
            )
            log_index += 1
        receipts.append(
            Receipt(
                raw=raw,
                transaction_hash=tx_hash,
                transaction_index=index,
                block_number=number,
                block_hash=block_hash,
                type_id=type_id,
                sender=sender,
                to=to,
                status=status,
                gas_used=gas,
                cumulative_gas_used=cumulative,
                effective_gas_price_wei=_number(price),
                contract_address=created,
                logs=tuple(entries),
            )
        )
    return Block(block_hash, header, size_bytes, tuple(receipts))


# msgpack integers end at 64 bits; a gas price is a 256-bit number.
def _wide(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _number(wide: bytes) -> int:
    return int.from_bytes(wide, "big")
