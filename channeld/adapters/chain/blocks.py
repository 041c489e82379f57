"""Block headers, as far as channels need them: place, time and price of gas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from channeld.adapters.chain.fields import (
    MalformedAnswer,
    data,
    hex_data,
    hex_quantity,
    mapping,
    member,
    quantity,
)
from channeld.adapters.chain.rpc import RpcClient

LATEST = "latest"
BlockTag = int | str
"""A block number, or "latest", "pending", "safe", "finalized", "earliest"."""


@dataclass(frozen=True, slots=True)
class Block:
    """A header. `hash` and `parent_hash` are 32 bytes; `base_fee_wei` is per unit of gas."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp_s: int
    base_fee_wei: int
    gas_limit: int


def block_param(tag: BlockTag) -> str:
    """A block number or tag as nodes read it."""
    return hex_quantity(tag) if isinstance(tag, int) else tag


async def block_at(rpc: RpcClient, tag: BlockTag = LATEST) -> Block | None:
    """The header at a number or tag; None if the node has no such block."""
    answer = await rpc.call("eth_getBlockByNumber", block_param(tag), False)
    return None if answer is None else _block(answer)


async def newest_block(rpc: RpcClient) -> Block:
    """The latest block's header. Raises MalformedAnswer from a node that has none."""
    newest = await block_at(rpc)
    if newest is None:
        raise MalformedAnswer("the latest block", "a block", None)
    return newest


async def block_by_hash(rpc: RpcClient, block_hash: bytes) -> Block | None:
    """The header with a hash; None if the node does not know it."""
    answer = await rpc.call("eth_getBlockByHash", hex_data(block_hash), False)
    return None if answer is None else _block(answer)


def _block(answer: object) -> Block:
    header: Mapping[str, Any] = mapping(answer, "a block")

    def number(name: str, bits: int) -> int:
        return quantity(member(header, name, "a block"), f"a block's {name}", bits=bits)

    def digest(name: str) -> bytes:
        return data(member(header, name, "a block"), f"a block's {name}", length=32)

    return Block(
        number=number("number", 64),
        hash=digest("hash"),
        parent_hash=digest("parentHash"),
        timestamp_s=number("timestamp", 40),
        base_fee_wei=number("baseFeePerGas", 128),
        gas_limit=number("gasLimit", 64),
    )
