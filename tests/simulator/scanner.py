"""How one node follows the simulated chain: what the real scanner yields, in the same order."""

import asyncio
from collections.abc import AsyncIterator

from channeld.adapters.chain.scanner import (
    Checkpoint,
    ConfirmedEvents,
    HeadSeen,
    NodeLost,
    Reorganised,
    ScanItem,
)
from tests.simulator.chain import Block, Chain


class ChainScanner:
    """`look` lets it see the newest block; without that its Ethereum node is stuck."""

    def __init__(self, chain: Chain, confirmations: int) -> None:
        self._chain = chain
        self._confirmations = confirmations
        self._looks = asyncio.Event()
        self._lost = False

    def look(self, *, lost: bool = False) -> None:
        self._lost = lost
        self._looks.set()

    async def follow(self, checkpoint: Checkpoint) -> AsyncIterator[ScanItem]:
        number = checkpoint.block_number
        assert self._chain.blocks[number].hash == checkpoint.block_hash, "reorganised too deep"
        top: Block | None = None
        while True:
            await self._looks.wait()
            self._looks.clear()
            if self._lost:
                yield NodeLost("it does not answer")
                continue
            blocks = self._chain.blocks
            if top is blocks[-1]:
                continue
            if top is not None and (top.number >= len(blocks) or blocks[top.number] is not top):
                yield Reorganised(1, number)
            confirmed = len(blocks) - self._confirmations
            for block in blocks[number + 1 : confirmed + 1]:
                if block.events or block.number == confirmed:
                    yield ConfirmedEvents(block.number, block.hash, block.time_s, tuple(block.events))
            number = max(number, confirmed)
            top = blocks[-1]
            yield HeadSeen(top.number, top.hash, top.time_s, 1)
