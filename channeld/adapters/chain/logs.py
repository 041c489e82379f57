"""The adjudicator's logs: of one block by its hash, or of a range of old blocks by their numbers."""

import itertools
import logging
from dataclasses import dataclass

from channeld.adapters.chain.blocks import Block
from channeld.adapters.chain.events import Log, decode_log
from channeld.adapters.chain.fields import (
    MalformedAnswer,
    data,
    hex_data,
    hex_quantity,
    mapping,
    member,
    sequence,
)
from channeld.adapters.chain.rpc import AnswerTooLarge, NodeRefusal, NodeUnreachable, RpcClient

log = logging.getLogger(__name__)

MAX_LOGS = 100_000
"""In one answer; the limit on its bytes comes first unless the logs are tiny."""
ANSWERS_BEFORE_GROWTH = 8
"""A range that was refused is tried again at twice the size only after so many answers, so that a
node with a limit refuses one question in nine."""


async def logs_of_block(rpc: RpcClient, adjudicator: bytes, block: Block) -> list[Log]:
    """The logs of exactly this block ([EIP-234]): a node that does not have it refuses.

    By number, a backend that lags behind would answer "none" for a block that it has not seen, and
    an event would be lost.
    """
    answer = await rpc.call(
        "eth_getLogs", {"address": hex_data(adjudicator), "blockHash": hex_data(block.hash)}
    )
    logs = _decoded(answer, adjudicator, block.number, block.number)
    for entry in logs:
        if entry.block_hash != block.hash:
            raise MalformedAnswer("a log's block", block.hash.hex(), entry.block_hash.hex())
    return logs


@dataclass(slots=True)
class LogRanges:
    """Fetches ranges and learns how many blocks the node is willing to search at once."""

    rpc: RpcClient
    adjudicator: bytes
    max_blocks: int
    _blocks: int = 0
    _answers: int = 0

    async def fetch(self, first: int, last: int) -> tuple[list[Log], int]:
        """The logs from block `first` on, and the last block covered, at most `last`.

        A refusal, an answer that is too large or none at all halves the range; of a single block it
        is raised.
        """
        if self._blocks == 0:
            self._blocks = self.max_blocks
        while True:
            end = min(last, first + self._blocks - 1)
            query = {
                "address": hex_data(self.adjudicator),
                "fromBlock": hex_quantity(first),
                "toBlock": hex_quantity(end),
            }
            try:
                answer = await self.rpc.call("eth_getLogs", query)
            except (NodeRefusal, AnswerTooLarge, NodeUnreachable) as error:
                if end == first:
                    raise
                self._blocks = (end - first + 1) // 2
                self._answers = 0
                log.info("%s; asking for %d blocks at once", error, self._blocks)
                continue
            self._grow()
            return _decoded(answer, self.adjudicator, first, end), end

    def _grow(self) -> None:
        self._answers += 1
        if self._answers >= ANSWERS_BEFORE_GROWTH:
            self._blocks = min(self.max_blocks, 2 * self._blocks)
            self._answers = 0


def _decoded(answer: object, adjudicator: bytes, first: int, last: int) -> list[Log]:
    """The logs in order of the chain, each checked to be ours and within the range."""
    logs = []
    for entry in sequence(answer, "logs", limit=MAX_LOGS):
        source = data(member(mapping(entry, "a log"), "address", "a log"), "a log's address", length=20)
        if source != adjudicator:
            raise MalformedAnswer("a log's address", f"0x{adjudicator.hex()}", f"0x{source.hex()}")
        decoded = decode_log(entry)
        if not first <= decoded.block_number <= last:
            raise MalformedAnswer("a log's block", f"{first} to {last}", decoded.block_number)
        logs.append(decoded)
    logs.sort(key=_place)
    for one, other in itertools.pairwise(logs):
        if _place(one) == _place(other):
            raise MalformedAnswer("logs", "every log once", f"two at {_place(one)}")
    return logs


def _place(entry: Log) -> tuple[int, int]:
    return entry.block_number, entry.log_index
