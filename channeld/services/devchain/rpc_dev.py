"""Calls that only a development chain has: time, mining, snapshots, reorganisations and free money.

Names and units are anvil's where it has the call; `dev_` marks our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from channeld.services.devchain import rpc_params as read
from channeld.services.devchain.chain import MINE_LIMIT_BLOCKS, DevChain, Fate
from channeld.services.devchain.miner import IntervalMiner
from channeld.services.devchain.rpc_params import Params, invalid
from channeld.services.devchain.rpc_views import hexed
from channeld.services.devchain.settings import ETHER_WEI
from channeld.services.devchain.transactions import decode_transaction

FAUCET_DEFAULT_WEI = 100 * ETHER_WEI


@dataclass(frozen=True, slots=True)
class Node:
    """What a request can reach."""

    chain: DevChain
    miner: IntervalMiner


def mine_one(node: Node, params: Params) -> str:
    """`evm_mine(timestamp or {"timestamp": t, "blocks": n} or nothing)`."""
    given = params.may(read.anything, "options", None)
    count = 1
    if isinstance(given, dict):
        count = 1 if given.get("blocks") is None else read.number(given["blocks"], "blocks")
        given = given.get("timestamp")
    timestamp_s = None if given is None else read.number(given, "timestamp")
    node.chain.mine(count, timestamp_s=timestamp_s)
    return "0x0"


def mine_many(node: Node, params: Params) -> None:
    """`anvil_mine(count, seconds between)`."""
    count = params.may(read.number, "count", 1)
    node.chain.mine(count, params.may(read.number, "interval", 1))


def increase_time(node: Node, params: Params) -> int:
    """The whole offset from the wall's clock, in seconds."""
    return node.chain.advance_clock_s(params.need(read.number, "seconds"))


def set_next_block_timestamp(node: Node, params: Params) -> None:
    node.chain.set_next_timestamp_s(params.need(read.number, "timestamp"))


def set_next_block_base_fee(node: Node, params: Params) -> None:
    node.chain.set_next_base_fee_wei(params.need(read.number, "base fee"))


def set_automine(node: Node, params: Params) -> None:
    node.chain.set_automine(params.need(read.boolean, "enabled"))


def get_automine(node: Node, params: Params) -> bool:
    return node.chain.automine


def set_interval_mining(node: Node, params: Params) -> None:
    """In seconds, as anvil has it; 0 stops it. Automine stays as it is."""
    node.miner.set_interval(params.need(read.seconds, "seconds"))


def get_interval_mining(node: Node, params: Params) -> float | None:
    return node.miner.interval_s or None


def snapshot(node: Node, params: Params) -> str:
    return hex(node.chain.snapshot())


def revert(node: Node, params: Params) -> bool:
    return node.chain.revert(params.need(read.number, "snapshot"))


def set_balance(node: Node, params: Params) -> None:
    address = params.need(read.address, "address")
    node.chain.set_balance_wei(address, params.need(read.number, "balance"))


def drop_transaction(node: Node, params: Params) -> str | None:
    transaction_hash = params.need(read.hash32, "transaction hash")
    return hexed(transaction_hash) if node.chain.drop_transaction(transaction_hash) else None


def rollback(node: Node, params: Params) -> None:
    """`anvil_rollback(depth)`: the last blocks and their transactions are gone, nothing replaces them."""
    node.chain.drop_blocks(params.may(read.number, "depth", 1), transactions="vanish")


def reorg(node: Node, params: Params) -> None:
    """`anvil_reorg(depth, [[raw transaction, block offset], ...])`: as many new blocks as were dropped.

    The new blocks hold the given transactions only, each in the block it names.
    """
    depth = params.need(read.number, "depth")
    placed: list[list[bytes]] = [[] for _ in range(min(depth, node.chain.head.number))]
    nothing: Sequence[Any] = ()
    for pair in params.may(_pairs, "transactions", nothing):
        raw, offset = read.data(pair[0], "raw transaction"), read.number(pair[1], "block offset")
        if offset >= depth:
            raise invalid(f"block offset {offset} is not below the depth {depth}")
        decode_transaction(raw, node.chain.chain_id)
        placed[offset].append(raw)
    node.chain.replace_blocks(depth, placed)


def dev_reorg(node: Node, params: Params) -> dict[str, Any]:
    """`dev_reorg(depth, "return" or "vanish", blocks)`: drop the last `depth` blocks, mine `blocks` new ones.

    With "return" the dropped transactions wait again and the first new block takes them; with 0 new blocks
    they wait on.
    """
    depth = params.need(read.number, "depth")
    default: Fate = "return"
    fate = params.may(_fate, "transactions", default)
    blocks = params.may(read.number, "blocks", 0)
    if blocks > MINE_LIMIT_BLOCKS:
        raise invalid(f"0 to {MINE_LIMIT_BLOCKS} blocks are mined at once, not {blocks}")
    dropped = node.chain.drop_blocks(depth, transactions=fate)
    mined = node.chain.mine(blocks)
    return {
        "dropped": [hexed(block.hash) for block in dropped],
        "mined": [hexed(block.hash) for block in mined],
        "waiting": len(node.chain.pool),
    }


def faucet(node: Node, params: Params) -> str:
    """`dev_faucet(address, wei)`: a transfer from the faucet's account; the transaction's hash."""
    address = params.need(read.address, "address")
    return hexed(node.chain.fund(address, params.may(read.number, "wei", FAUCET_DEFAULT_WEI)))


def _pairs(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise invalid(f"invalid {name}: expected a list of [raw transaction, block offset]")
    return value


def _fate(value: Any, name: str) -> Fate:
    if value == "return":
        return "return"
    if value == "vanish":
        return "vanish"
    raise invalid(f'invalid {name}: expected "return" or "vanish"')


# Each with the most parameters it takes.
DEV_METHODS = {
    "evm_mine": (mine_one, 1),
    "anvil_mine": (mine_many, 2),
    "evm_increaseTime": (increase_time, 1),
    "evm_setNextBlockTimestamp": (set_next_block_timestamp, 1),
    "anvil_setNextBlockBaseFeePerGas": (set_next_block_base_fee, 1),
    "evm_setAutomine": (set_automine, 1),
    "anvil_getAutomine": (get_automine, 0),
    "evm_setIntervalMining": (set_interval_mining, 1),
    "anvil_getIntervalMining": (get_interval_mining, 0),
    "evm_snapshot": (snapshot, 0),
    "evm_revert": (revert, 1),
    "anvil_setBalance": (set_balance, 2),
    "anvil_dropTransaction": (drop_transaction, 1),
    "anvil_rollback": (rollback, 1),
    "anvil_reorg": (reorg, 2),
    "dev_reorg": (dev_reorg, 3),
    "dev_faucet": (faucet, 2),
}
