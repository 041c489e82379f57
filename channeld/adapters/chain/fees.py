"""What to pay for gas ([EIP-1559]): a first offer, and the next one when nobody took it."""

from dataclasses import dataclass

from channeld.adapters.chain.blocks import Block
from channeld.adapters.chain.fields import quantity
from channeld.adapters.chain.rpc import METHOD_NOT_FOUND, NodeRefusal, RpcClient

GWEI = 10**9
DEFAULT_TIP_WEI = GWEI
"""Where the node does not know eth_maxPriorityFeePerGas."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Per unit of gas: the miner's tip, and the most that is paid in all."""

    tip_wei: int
    max_fee_wei: int


async def suggested_tip_wei(rpc: RpcClient) -> int:
    """What the node thinks a block producer wants."""
    try:
        answer = await rpc.call("eth_maxPriorityFeePerGas")
    except NodeRefusal as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        return DEFAULT_TIP_WEI
    return quantity(answer, "the suggested tip", bits=128)


def offer(head: Block, tip_wei: int, most_wei: int) -> Fees:
    """Twice the base fee and the tip: good for six full blocks, which raise it by an eighth each.

    `most_wei` is the operator's limit; at the limit a transaction may wait, but it exists.
    """
    max_fee_wei = min(2 * head.base_fee_wei + tip_wei, most_wei)
    return Fees(min(tip_wei, max_fee_wei), max_fee_wei)


def raised(fees: Fees, head: Block, tip_wei: int, most_wei: int) -> Fees | None:
    """An offer that replaces `fees` at every node, or None if the operator's limit forbids it.

    Nodes demand 10 % (geth, reth) or 12.5 % (Nethermind, Erigon) more on both numbers.
    """
    fresh = offer(head, tip_wei, most_wei)
    tip_wei = max(_eighth_more(fees.tip_wei), fresh.tip_wei)
    max_fee_wei = max(_eighth_more(fees.max_fee_wei), fresh.max_fee_wei, tip_wei)
    if max_fee_wei > most_wei:
        return None
    return Fees(tip_wei, max_fee_wei)


def _eighth_more(wei: int) -> int:
    return max(-(-wei * 9 // 8), wei + 1)
