"""Follow a chain: confirmed events in order, the unconfirmed head, and reorganisations.

Money moves on *confirmed* events only: those of a block that has `confirmations` blocks on it, its
own included (1: the head itself). The head says what time it is. A reorganisation above the confirmed
blocks is reported and costs nothing. One that reaches below them raises: what was acted upon has been
undone, and no program should guess what that means.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import groupby

from channeld.adapters.chain.blocks import Block, block_at, block_by_hash, newest_block
from channeld.adapters.chain.events import AdjudicatorEvent, Log
from channeld.adapters.chain.fields import MalformedAnswer
from channeld.adapters.chain.logs import LogRanges, logs_of_block
from channeld.adapters.chain.rpc import RpcClient
from channeld.core.errors import OperationalError

log = logging.getLogger(__name__)


class ReorganisedTooDeep(OperationalError):
    """A confirmed block is no longer on the chain. The operator must look, and rescan."""


class ChainMoved(OperationalError):
    """The chain changed while it was read; the next round sees it as it is."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last block whose events were delivered: the caller journals it with what they caused."""

    block_number: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class ConfirmedEvents:
    """The events of one confirmed block, in order. Blocks without events may be left out.

    Everything up to this block has been delivered, so it is the new checkpoint. After a restart from
    an older checkpoint the same events come again.
    """

    block_number: int
    block_hash: bytes
    block_timestamp_s: int
    events: tuple[AdjudicatorEvent, ...]

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.block_number, self.block_hash)


@dataclass(frozen=True, slots=True)
class HeadSeen:
    """The newest block, unconfirmed: the chain's time and the price of gas."""

    number: int
    hash: bytes
    timestamp_s: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class Reorganised:
    """The last `depth` blocks were replaced; those up to `ancestor_number` stand. None was confirmed."""

    depth: int
    ancestor_number: int


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A round failed; scanning goes on. Until the next HeadSeen the chain's time is a guess."""

    reason: str


ScanItem = ConfirmedEvents | HeadSeen | Reorganised | NodeLost


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """How to follow. With 1 confirmation the head itself counts."""

    confirmations: int = 1
    poll_s: float = 2.0
    """Half of a short block time is soon enough: deadlines are minutes."""
    near_blocks: int = 64
    """Up to so far behind the head every block is read by its hash, farther back in ranges. Nodes may
    lag behind each other by a few blocks, never by half of this."""
    max_range_blocks: int = 2_000
    """What public nodes accept; halved where one does not."""

    def __post_init__(self) -> None:
        assert self.confirmations >= 1 and self.near_blocks >= 2 and self.max_range_blocks >= 1

    @property
    def near(self) -> int:
        return max(self.near_blocks, 2 * self.confirmations)


@dataclass(slots=True)
class _Place:
    """Where the scanner is. `headers` are the unconfirmed blocks above the checkpoint, as last seen."""

    checkpoint: Checkpoint
    headers: dict[int, Block] = field(default_factory=dict)
    top: Block | None = None


async def checkpoint_at(rpc: RpcClient, block_number: int) -> Checkpoint:
    """A checkpoint to begin with: events after this block will be delivered."""
    block = await block_at(rpc, block_number)
    if block is None:
        raise MalformedAnswer(f"block {block_number}", "a block", None)
    return Checkpoint(block.number, block.hash)


class Scanner:
    """Follows one adjudicator on one node."""

    def __init__(self, rpc: RpcClient, adjudicator: bytes, settings: ScannerSettings) -> None:
        self._rpc = rpc
        self._adjudicator = adjudicator
        self._settings = settings
        self._ranges = LogRanges(rpc, adjudicator, settings.max_range_blocks)

    async def follow(self, checkpoint: Checkpoint) -> AsyncIterator[ScanItem]:
        """Everything after the checkpoint, for ever: confirmed blocks first, then the head.

        Raises ReorganisedTooDeep; every other failure of the node is delivered as NodeLost and tried
        again at the next poll.
        """
        place = _Place(checkpoint)
        lost = False
        while True:
            behind = False
            try:
                items, behind = await self._round(place)
                if lost and not items and place.top is not None:
                    items = [_head_seen(place.top)]  # the node is back, and nothing has happened meanwhile
                lost = False
            except (ReorganisedTooDeep, ChainMoved) as error:
                if isinstance(error, ReorganisedTooDeep):
                    raise
                items = []
                log.info("%s", error)
            except OperationalError as error:
                items, lost = [NodeLost(str(error))], True
            for item in items:
                yield item
            if not behind:
                await asyncio.sleep(self._settings.poll_s)

    async def _round(self, place: _Place) -> tuple[list[ScanItem], bool]:
        """What is new, and whether there is more to fetch at once. `place` moves only on success."""
        head = await newest_block(self._rpc)
        if head.number - place.checkpoint.block_number > self._settings.near:
            return await self._catch_up(place, head), True
        if head.number <= place.checkpoint.block_number:
            return self._behind(place, head), False
        return await self._advance(place, head), False

    def _behind(self, place: _Place, head: Block) -> list[ScanItem]:
        """The node is not farther than what was confirmed: it lags, or it has changed the chain."""
        if head.number == place.checkpoint.block_number:
            _require_same(place.checkpoint, head.hash)
            if place.top is None:
                place.top = head
                return [_head_seen(head)]
        return []

    async def _advance(self, place: _Place, head: Block) -> list[ScanItem]:
        """Near the head: link the new blocks to the known ones by their parents' hashes."""
        if head == place.headers.get(head.number):
            return []  # nothing new, or a backend that lags
        fresh = await self._linked(place, head)
        ancestor_number = fresh[-1].number - 1
        headers = {number: block for number, block in place.headers.items() if number <= ancestor_number}
        headers |= {block.number: block for block in fresh}
        items: list[ScanItem] = []
        if place.top is not None and place.top.number > ancestor_number:
            items.append(Reorganised(place.top.number - ancestor_number, ancestor_number))
        confirmed = head.number - self._settings.confirmations + 1
        blocks = [headers[number] for number in range(place.checkpoint.block_number + 1, confirmed + 1)]
        logs = await asyncio.gather(*(logs_of_block(self._rpc, self._adjudicator, block) for block in blocks))
        items += [
            _confirmed(block, entries)
            for block, entries in zip(blocks, logs, strict=True)
            if entries or block.number == confirmed
        ]
        if blocks:
            place.checkpoint = Checkpoint(confirmed, blocks[-1].hash)
        place.headers = {number: block for number, block in headers.items() if number > confirmed}
        place.top = head
        return [*items, _head_seen(head)]

    async def _linked(self, place: _Place, head: Block) -> list[Block]:
        """The blocks from `head` down to the first whose parent is known, newest first."""
        fresh = [head]
        while True:
            lowest = fresh[-1]
            if lowest.number - 1 == place.checkpoint.block_number:
                _require_same(place.checkpoint, lowest.parent_hash)
                return fresh
            known = place.headers.get(lowest.number - 1)
            if known is not None and known.hash == lowest.parent_hash:
                return fresh
            parent = await block_by_hash(self._rpc, lowest.parent_hash)
            if parent is None:
                raise ChainMoved(f"node: block {lowest.number - 1} was replaced while it was read")
            if parent.number != lowest.number - 1 or parent.hash != lowest.parent_hash:
                raise MalformedAnswer("a parent block", f"block {lowest.number - 1}", parent.number)
            fresh.append(parent)

    async def _catch_up(self, place: _Place, head: Block) -> list[ScanItem]:
        """Far behind: a range of logs by number. Its end is deep enough to stand on every node."""
        first = place.checkpoint.block_number + 1
        logs, last = await self._ranges.fetch(first, head.number - self._settings.near // 2)
        blocks = {entry.block_number: entry.block_hash for entry in logs}
        numbers = sorted({place.checkpoint.block_number, last, *blocks})
        found = await asyncio.gather(*(block_at(self._rpc, number) for number in numbers))
        headers = {block.number: block for block in found if block is not None}
        if len(headers) != len(numbers):
            raise ChainMoved("node: a block vanished while it was read")
        _require_same(place.checkpoint, headers[place.checkpoint.block_number].hash)
        for number, block_hash in blocks.items():
            if headers[number].hash != block_hash:
                raise ChainMoved(f"node: block {number} was replaced while it was read")
        items: list[ScanItem] = [
            _confirmed(headers[number], list(entries))
            for number, entries in groupby(logs, key=lambda entry: entry.block_number)
        ]
        if last not in blocks:
            items.append(_confirmed(headers[last], []))
        place.checkpoint = Checkpoint(last, headers[last].hash)
        place.headers.clear()
        place.top = None
        return items


def _require_same(checkpoint: Checkpoint, block_hash: bytes) -> None:
    if block_hash != checkpoint.block_hash:
        raise ReorganisedTooDeep(
            f"chain: block {checkpoint.block_number} was confirmed as 0x{checkpoint.block_hash.hex()}, "
            f"now 0x{block_hash.hex()} stands there: raise the confirmations and rescan"
        )


def _head_seen(block: Block) -> HeadSeen:
    return HeadSeen(block.number, block.hash, block.timestamp_s, block.base_fee_wei)


def _confirmed(block: Block, entries: list[Log]) -> ConfirmedEvents:
    events = tuple(entry.event for entry in entries)
    return ConfirmedEvents(block.number, block.hash, block.timestamp_s, events)
