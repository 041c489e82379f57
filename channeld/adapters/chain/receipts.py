"""Receipts: what became of a transaction."""

from dataclasses import dataclass

from channeld.adapters.chain.fields import MalformedAnswer, data, hex_data, mapping, member, quantity
from channeld.adapters.chain.rpc import RpcClient


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. `created` is the address of the contract that it created, if any."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    gas_price_wei: int
    created: bytes | None


async def receipt_of(rpc: RpcClient, transaction_hash: bytes) -> Receipt | None:
    """The receipt of a transaction; None while it is in no block that the node knows."""
    answer = await rpc.call("eth_getTransactionReceipt", hex_data(transaction_hash))
    if answer is None:
        return None
    what = "a receipt"
    fields = mapping(answer, what)
    if fields.get("blockNumber") is None:  # some nodes answer so for a pending transaction
        return None
    named = data(member(fields, "transactionHash", what), "a receipt's transactionHash", length=32)
    if named != transaction_hash:
        raise MalformedAnswer("a receipt's transactionHash", transaction_hash.hex(), named.hex())
    created = fields.get("contractAddress")
    return Receipt(
        transaction_hash=transaction_hash,
        block_number=quantity(fields["blockNumber"], "a receipt's blockNumber", bits=64),
        block_hash=data(member(fields, "blockHash", what), "a receipt's blockHash", length=32),
        succeeded=quantity(member(fields, "status", what), "a receipt's status", bits=1) == 1,
        gas_used=quantity(member(fields, "gasUsed", what), "a receipt's gasUsed", bits=64),
        gas_price_wei=quantity(member(fields, "effectiveGasPrice", what), "a receipt's gas price", bits=128),
        created=None if created is None else data(created, "a receipt's contractAddress", length=20),
    )
