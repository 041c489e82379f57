"""Where all the money is, read through JSON-RPC: for the demonstration, and for whoever doubts it.

What accounts hold, what the adjudicator holds for them and what they paid for gas adds up to what there
was before, to the last unit, as long as nobody else pays them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from channeld.adapters.chain.blocks import block_param, newest_block
from channeld.adapters.chain.fields import MalformedAnswer, data, mapping, member, sequence
from channeld.adapters.chain.reads import TokenReader, eth_balance_wei
from channeld.adapters.chain.receipts import receipt_of
from channeld.adapters.chain.rpc import RpcClient
from channeld.core.identity import ETH

MAX_TRANSACTIONS = 100_000
"""In one block: more than the gas of any chain allows."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Holdings of one asset at one block, by address, in its smallest unit; `gas_wei` is empty for tokens.

    `gas_wei` counts the transactions of the owners from the chain's first block on.
    """

    block_number: int
    held: Mapping[bytes, int]
    in_channels: int
    gas_wei: Mapping[bytes, int]

    @property
    def total(self) -> int:
        """The same at any two blocks between which the owners dealt with each other only."""
        return sum(self.held.values()) + self.in_channels + sum(self.gas_wei.values())


async def audit(rpc: RpcClient, adjudicator: bytes, asset: bytes, owners: Collection[bytes]) -> Audit:
    """What `owners` have of an asset (20 zero bytes for ETH), all at the latest block.

    Reads every block when the asset is ETH: for development chains. Raises OperationalError.
    """
    head = await newest_block(rpc)
    held = {owner: await _held(rpc, asset, owner, head.number) for owner in owners}
    in_channels = await _held(rpc, asset, adjudicator, head.number)
    gas_wei = await _gas_wei(rpc, owners, head.number) if asset == ETH else {}
    return Audit(head.number, held, in_channels, gas_wei)


async def _held(rpc: RpcClient, asset: bytes, owner: bytes, block_number: int) -> int:
    if asset == ETH:
        return await eth_balance_wei(rpc, owner, block_number)
    return await TokenReader(rpc, asset).balance(owner, block_number)


async def _gas_wei(rpc: RpcClient, owners: Collection[bytes], last: int) -> dict[bytes, int]:
    """What each owner has paid for gas up to block `last`."""
    spent = dict.fromkeys(owners, 0)
    for number in range(1, last + 1):
        block = mapping(await rpc.call("eth_getBlockByNumber", block_param(number), True), "a block")
        listed = sequence(member(block, "transactions", "a block"), "transactions", limit=MAX_TRANSACTIONS)
        for entry in listed:
            transaction: Mapping[str, Any] = mapping(entry, "a transaction")
            sender = data(member(transaction, "from", "a transaction"), "a transaction's from", length=20)
            if sender not in spent:
                continue
            name = data(member(transaction, "hash", "a transaction"), "a transaction's hash", length=32)
            receipt = await receipt_of(rpc, name)
            if receipt is None:
                raise MalformedAnswer(f"the receipt of 0x{name.hex()}", "a receipt", None)
            spent[sender] += receipt.gas_used * receipt.gas_price_wei
    return spent
