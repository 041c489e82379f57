"""The packed words in which the adjudicator stores a channel and its dispute (docs/protocol.md)."""

from dataclasses import dataclass
from enum import IntEnum

MASK_96 = (1 << 96) - 1
MASK_40 = (1 << 40) - 1
MASK_192 = (1 << 192) - 1


class ChannelStatus(IntEnum):
    """The life of a channel on chain. CLOSED is a tombstone: the id never lives again."""

    NONE = 0
    OPEN = 1
    DISPUTED = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class ChannelSlot:
    """A channel on chain. Deposits are signed (less withdrawals), in the asset's smallest unit.

    `expiry_s` is the end of the window of a dispute, 0 before. `counter` numbers what makes older
    cooperative closes void.
    """

    deposit_a: int
    deposit_b: int
    expiry_s: int
    status: ChannelStatus
    counter: int


@dataclass(frozen=True, slots=True)
class DisputeSlot:
    """The state that stands on chain: its version and 192 bits of its salted hash (all 0: none)."""

    version: int
    fingerprint: int


def _signed_96(value: int) -> int:
    return value - (1 << 96) if value >> 95 else value


def channel_slot(word: int) -> ChannelSlot:
    """deposit_a i96 | deposit_b i96 << 96 | expiry u40 << 192 | status u2 << 232 | counter u22 << 234."""
    return ChannelSlot(
        deposit_a=_signed_96(word & MASK_96),
        deposit_b=_signed_96(word >> 96 & MASK_96),
        expiry_s=word >> 192 & MASK_40,
        status=ChannelStatus(word >> 232 & 3),
        counter=word >> 234,
    )


def dispute_slot(word: int) -> DisputeSlot:
    """version u64 << 192 | low 192 bits of keccak256(struct hash of the state, salt)."""
    return DisputeSlot(word >> 192, word & MASK_192)
