"""The scanner against every kind of reorganisation: a simulated node that switches between forks.

Two rules, whatever the node does: what is delivered as confirmed is exactly what the final chain holds,
in order and once; and if a confirmed block was undone, the scan stops instead of delivering anything.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from channeld.adapters.chain.calls import keccak
from channeld.adapters.chain.events import PricePublished
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient, RpcSettings
from channeld.adapters.chain.scanner import (
    Checkpoint,
    ConfirmedEvents,
    HeadSeen,
    Reorganised,
    ReorganisedTooDeep,
    ScanItem,
    Scanner,
    ScannerSettings,
)

ADJUDICATOR = b"\x33" * 20
PUBLISHED = "0x" + keccak(b"PricePublished(bytes32,uint256)").hex()


@dataclass(frozen=True)
class SimBlock:
    """A block that logs one price, `price`, or nothing if that is 0."""

    number: int
    hash: bytes
    parent_hash: bytes
    price: int

    def header(self) -> dict[str, str]:
        return {
            "number": hex(self.number),
            "hash": "0x" + self.hash.hex(),
            "parentHash": "0x" + self.parent_hash.hex(),
            "timestamp": hex(1_000 + self.number),
            "baseFeePerGas": "0x7",
            "gasLimit": "0x1c9c380",
        }

    def logs(self) -> list[dict[str, Any]]:
        if self.price == 0:
            return []
        return [
            {
                "address": "0x" + ADJUDICATOR.hex(),
                "topics": [PUBLISHED, "0x" + self.hash.hex()],
                "data": "0x" + self.price.to_bytes(32, "big").hex(),
                "blockNumber": hex(self.number),
                "blockHash": "0x" + self.hash.hex(),
                "transactionHash": "0x" + self.hash.hex(),
                "logIndex": "0x0",
            }
        ]


@dataclass
class SimChain:
    """A tree of blocks and the fork that the node takes for the chain."""

    chain: list[SimBlock] = field(default_factory=lambda: [SimBlock(0, b"\x01" * 32, bytes(32), 0)])
    tree: dict[bytes, SimBlock] = field(default_factory=dict)
    forks: list[list[SimBlock]] = field(default_factory=list)
    made: int = 0

    def grow(self, count: int, priced: bool) -> None:
        for _ in range(count):
            self.made += 1
            parent = self.chain[-1]
            name = hashlib.sha256(self.made.to_bytes(8, "big")).digest()
            block = SimBlock(parent.number + 1, name, parent.hash, self.made if priced else 0)
            self.chain.append(block)
            self.tree[block.hash] = block

    def reorganise(self, depth: int, count: int, priced: bool) -> None:
        self.forks.append(list(self.chain))
        del self.chain[max(1, len(self.chain) - depth) :]
        self.grow(count, priced)

    def move(self, move: tuple[Any, ...]) -> bool:
        """Do one of the moves below; False if there is nothing to do."""
        match move:
            case ("grow", count, priced):
                self.grow(count, priced)
            case ("reorganise", depth, count, priced):
                self.reorganise(depth, count, priced)
            case ("return", fork):
                if not self.forks:
                    return False
                self.return_to(fork)
        return True

    def return_to(self, fork: int) -> None:
        self.forks.append(list(self.chain))
        self.chain = list(self.forks[fork % len(self.forks)])


class SimNode(RpcClient):
    """Answers from a SimChain; no network."""

    def __init__(self, chain: SimChain) -> None:
        super().__init__(RpcSettings("http://simulated"))
        self.sim = chain
        self.most_blocks = 1_000
        self.script: list[tuple[int, tuple[Any, ...]]] = []

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if self.script:
            (calls_left, move), *rest = self.script
            self.script = [(calls_left - 1, move), *rest] if calls_left else rest
            if calls_left == 0:
                self.sim.move(move)
        chain = self.sim.chain
        match method:
            case "eth_getBlockByNumber":
                number = len(chain) - 1 if params[0] == "latest" else int(params[0], 16)
                return chain[number].header() if number < len(chain) else None
            case "eth_getBlockByHash":
                block = self.sim.tree.get(bytes.fromhex(params[0][2:]))
                return None if block is None else block.header()
            case "eth_getLogs" if "blockHash" in params[0]:
                return self.sim.tree[bytes.fromhex(params[0]["blockHash"][2:])].logs()
            case "eth_getLogs":
                first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
                if last - first + 1 > self.most_blocks:
                    raise NodeRefusal(method, -32005, "too many blocks", None)
                return [entry for block in chain[first : last + 1] for entry in block.logs()]
        raise AssertionError(method)


@dataclass
class Follower:
    """Who receives: keeps what came, and checks each item as it comes."""

    sim: SimChain
    confirmations: int
    stream: AsyncIterator[ScanItem]
    prices: list[int] = field(default_factory=list)
    confirmed: int = 0
    confirmed_hash: bytes = b"\x01" * 32

    async def until_quiet(self) -> None:
        """Receive until the node's head is seen and all that it confirms is delivered."""
        chain = self.sim.chain
        async for item in self.stream:
            self.receive(item)
            target = max(self.confirmed, len(chain) - self.confirmations)
            if isinstance(item, HeadSeen) and item.hash == chain[-1].hash and self.confirmed >= target:
                return

    def receive(self, item: ScanItem) -> None:
        if isinstance(item, ConfirmedEvents):
            assert item.block_number > self.confirmed
            assert len(self.sim.chain) - item.block_number >= self.confirmations
            assert item.block_hash == self.sim.chain[item.block_number].hash
            assert item.block_timestamp_s == 1_000 + item.block_number
            self.confirmed, self.confirmed_hash = item.block_number, item.block_hash
            self.prices += [each.price for each in item.events if isinstance(each, PricePublished)]
        elif isinstance(item, Reorganised):
            assert item.depth >= 1 and item.ancestor_number >= self.confirmed

    def check(self) -> None:
        held = [block.price for block in self.sim.chain[1 : self.confirmed + 1] if block.price]
        assert self.prices == held


GROW = st.tuples(st.just("grow"), st.integers(1, 30), st.booleans())
REORGANISE = st.tuples(st.just("reorganise"), st.integers(1, 6), st.integers(1, 8), st.booleans())
RETURN = st.tuples(st.just("return"), st.integers(0, 5))


@given(
    confirmations=st.integers(1, 5),
    near_blocks=st.sampled_from([2, 8, 64]),
    most_blocks=st.sampled_from([1, 3, 1_000]),
    moves=st.lists(st.one_of(GROW, REORGANISE, RETURN), min_size=1, max_size=12),
)
@settings(max_examples=150, deadline=None)
async def test_whatever_the_chain_does_the_confirmed_events_are_those_of_the_chain(
    confirmations: int, near_blocks: int, most_blocks: int, moves: list[tuple[Any, ...]]
) -> None:
    sim = SimChain()
    sim.tree[sim.chain[0].hash] = sim.chain[0]
    node = SimNode(sim)
    node.most_blocks = most_blocks
    scan_settings = ScannerSettings(confirmations=confirmations, poll_s=0, near_blocks=near_blocks)
    follow = Scanner(node, ADJUDICATOR, scan_settings).follow(Checkpoint(0, b"\x01" * 32))
    follower = Follower(sim, confirmations, follow)
    seen_tip = sim.chain[-1].hash
    for move in moves:
        if not sim.move(move):
            continue
        if len(sim.chain) <= follower.confirmed or sim.chain[-1].hash == seen_tip:
            continue  # a node behind what it confirmed, or nothing new: there is nothing to hear
        undone = sim.chain[follower.confirmed].hash != follower.confirmed_hash
        if undone:
            event("a confirmed block was undone")
            with pytest.raises(ReorganisedTooDeep):
                await follower.until_quiet()
            return
        if any(block.hash == sim.chain[-1].hash for fork in sim.forks for block in fork[:-1]):
            continue  # a head that was seen below another one may be a backend that lags
        await follower.until_quiet()
        follower.check()
        seen_tip = sim.chain[-1].hash
    event("followed to the end")
    await follow.aclose()


@given(
    confirmations=st.integers(2, 5),
    near_blocks=st.sampled_from([2, 8, 64]),
    moves=st.lists(
        st.tuples(st.integers(0, 12), st.one_of(GROW, st.tuples(st.integers(0, 4), st.integers(0, 6)))),
        min_size=1,
        max_size=15,
    ),
)
@settings(max_examples=150, deadline=None)
async def test_a_chain_that_changes_between_two_questions_loses_and_doubles_nothing(
    confirmations: int, near_blocks: int, moves: list[tuple[int, tuple[Any, ...]]]
) -> None:
    """Reorganisations above the confirmed blocks, at any moment of a round."""
    sim = SimChain()
    sim.tree[sim.chain[0].hash] = sim.chain[0]
    node = SimNode(sim)
    for calls_before, move in moves:
        if len(move) == 2:
            depth = min(1 + move[0], confirmations - 1)
            move = ("reorganise", depth, depth + move[1], True)
        node.script.append((calls_before, move))
    node.script.append((0, ("grow", 1, True)))
    scan_settings = ScannerSettings(confirmations=confirmations, poll_s=0, near_blocks=near_blocks)
    follow = Scanner(node, ADJUDICATOR, scan_settings).follow(Checkpoint(0, b"\x01" * 32))
    follower = Follower(sim, confirmations, follow)
    async for item in follow:
        follower.receive(item)
        if not node.script and isinstance(item, HeadSeen) and item.hash == sim.chain[-1].hash:
            break
    follower.check()
    assert follower.confirmed == max(0, len(sim.chain) - confirmations)
    await follow.aclose()


async def test_a_long_way_without_events_moves_the_checkpoint() -> None:
    sim = SimChain()
    sim.tree[sim.chain[0].hash] = sim.chain[0]
    sim.grow(500, priced=False)
    scanner = Scanner(SimNode(sim), ADJUDICATOR, ScannerSettings(poll_s=0, max_range_blocks=100))
    numbers = []
    async for item in scanner.follow(Checkpoint(0, b"\x01" * 32)):
        if isinstance(item, HeadSeen):
            break
        assert isinstance(item, ConfirmedEvents) and item.events == ()
        numbers.append(item.block_number)
    assert numbers == [100, 200, 300, 400, 468, 500]


async def test_a_fork_that_was_left_and_is_returned_to() -> None:
    """A shorter fork in between must not leave the longer one's blocks behind as known."""
    sim = SimChain()
    sim.tree[sim.chain[0].hash] = sim.chain[0]
    sim.grow(6, priced=True)
    stream = Scanner(SimNode(sim), ADJUDICATOR, ScannerSettings(8, poll_s=0)).follow(
        Checkpoint(0, b"\x01" * 32)
    )
    follower = Follower(sim, 8, stream)
    await follower.until_quiet()
    long_tip = sim.chain[-1]
    sim.reorganise(4, 2, priced=True)
    await follower.until_quiet()
    sim.return_to(0)
    assert sim.chain[-1] == long_tip
    assert await anext(stream) == Reorganised(2, 2)
    follower.receive(await anext(stream))
    sim.grow(10, priced=True)
    await follower.until_quiet()
    follower.check()
    assert follower.confirmed == 9
    await stream.aclose()
