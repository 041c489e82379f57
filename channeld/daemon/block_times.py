"""How fast the chain's blocks come, and whether a secret has time to get into them.

Settings do not know the chain's block time, so they can only be held to the least that any chain asks for
(`channeld.config.settings`). What this one asks for is measured at the start.
"""

import asyncio
from itertools import pairwise
from statistics import median

from channeld.adapters.chain.blocks import block_at, newest_block
from channeld.adapters.chain.rpc import RpcClient
from channeld.config.settings import Config

BLOCKS = 11
"""Blocks looked at: the middle one of ten distances is not moved by a few missed slots."""

BLOCKS_TO_BE_MINED = 2
"""A transaction gets into the next block, or into the one after it if that is full."""


async def block_time_s(rpc: RpcClient) -> float:
    """The usual distance of the newest blocks (seconds); 0 if the chain has but one."""
    newest = await newest_block(rpc)
    numbers = range(max(0, newest.number - BLOCKS + 1), newest.number)
    found = await asyncio.gather(*(block_at(rpc, number) for number in numbers))
    times = [block.timestamp_s for block in found if block is not None] + [newest.timestamp_s]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return float(median(gaps)) if gaps else 0.0


def short_margin(config: Config, block_s: float) -> str:
    """Why `secret_margin_s` is too short where a block takes `block_s`; empty if it is not.

    Attack stopped: whoever owes waits for the last moment, and for a reorganisation that undoes the block.
    """
    confirmations, margin_s = config.chain.confirmations, config.payment.secret_margin_s
    needed_s = (BLOCKS_TO_BE_MINED + confirmations) * block_s
    if margin_s > needed_s:
        return ""
    return (
        f"[payment] secret_margin_s: expected more than {needed_s:.0f}, got {margin_s}: with a block every "
        f"{block_s:.0f} s it takes so long to be mined and to have {confirmations} confirmations"
    )
