"""Blocks, transactions, receipts and logs as the Ethereum JSON-RPC API shows them."""

from typing import Any

from channeld.services.devchain.accounts import COINBASE
from channeld.services.devchain.blocks import (
    EMPTY_REQUESTS,
    EMPTY_TRIE,
    EMPTY_UNCLES,
    Block,
    LogEntry,
    Receipt,
    bloom_of,
)
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.transactions import Transaction, decode_transaction

View = dict[str, Any]


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def block_view(chain: DevChain, block: Block, *, full: bool) -> View:
    header = block.header
    if full:
        transactions: list[Any] = [mined_view(chain, receipt) for receipt in block.receipts]
    else:
        transactions = [hexed(receipt.transaction_hash) for receipt in block.receipts]
    return {
        "hash": hexed(block.hash),
        "parentHash": hexed(header.parent_hash),
        "sha3Uncles": hexed(EMPTY_UNCLES),
        "miner": hexed(header.coinbase),
        "stateRoot": hexed(header.state_root),
        "transactionsRoot": hexed(header.transactions_root),
        "receiptsRoot": hexed(header.receipts_root),
        "logsBloom": hexed(header.bloom),
        "difficulty": "0x0",
        "number": hex(header.number),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp_s),
        "extraData": "0x",
        "mixHash": hexed(header.prev_randao),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": hex(header.base_fee_wei),
        "withdrawalsRoot": hexed(EMPTY_TRIE),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": hexed(bytes(32)),
        "requestsHash": hexed(EMPTY_REQUESTS),
        "size": hex(block.size_bytes),
        "uncles": [],
        "transactions": transactions,
        "withdrawals": [],
    }


def pending_block_view(chain: DevChain, *, full: bool) -> View:
    """The block that would be mined now; what it will contain is not executed, so it has no roots."""
    context = chain.context("pending")
    waiting = chain.pool.best_first(chain.history.ledger.get_nonce, context.base_fee_wei)
    if full:
        transactions: list[Any] = [transaction_view(one, context.base_fee_wei) for one in waiting]
    else:
        transactions = [hexed(one.hash) for one in waiting]
    return {
        "hash": None,
        "parentHash": hexed(chain.head.hash),
        "miner": hexed(COINBASE),
        "difficulty": "0x0",
        "number": hex(context.number),
        "gasLimit": hex(context.gas_limit),
        "gasUsed": "0x0",
        "timestamp": hex(context.timestamp_s),
        "extraData": "0x",
        "mixHash": hexed(context.prev_randao),
        "nonce": None,
        "baseFeePerGas": hex(context.base_fee_wei),
        "uncles": [],
        "transactions": transactions,
        "withdrawals": [],
    }


def transaction_view(transaction: Transaction, base_fee_wei: int, receipt: Receipt | None = None) -> View:
    """A waiting transaction, or with its receipt a mined one."""
    view: View = {
        "blockHash": hexed(receipt.block_hash) if receipt else None,
        "blockNumber": hex(receipt.block_number) if receipt else None,
        "transactionIndex": hex(receipt.transaction_index) if receipt else None,
        "hash": hexed(transaction.hash),
        "type": hex(transaction.type_id),
        "chainId": hex(transaction.chain_id),
        "from": hexed(transaction.sender),
        "to": hexed(transaction.to) if transaction.to else None,
        "nonce": hex(transaction.nonce),
        "value": hex(transaction.value),
        "gas": hex(transaction.gas),
        "gasPrice": hex(transaction.gas_price_wei(base_fee_wei)),
        "input": hexed(transaction.data),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if transaction.type_id == 0:
        view["v"] = hex(35 + 2 * transaction.chain_id + transaction.y_parity)
        return view
    view["v"] = view["yParity"] = hex(transaction.y_parity)
    view["accessList"] = [
        {"address": hexed(address), "storageKeys": [hexed(slot.to_bytes(32, "big")) for slot in slots]}
        for address, slots in transaction.access_list
    ]
    if transaction.type_id == 2:
        view["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        view["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    return view


def mined_view(chain: DevChain, receipt: Receipt) -> View:
    """Receipts keep the raw bytes only; the fields are decoded when somebody asks."""
    base_fee_wei = chain.history.blocks[receipt.block_number].header.base_fee_wei
    return transaction_view(decode_transaction(receipt.raw, chain.chain_id), base_fee_wei, receipt)


def receipt_view(receipt: Receipt) -> View:
    return {
        "transactionHash": hexed(receipt.transaction_hash),
        "transactionIndex": hex(receipt.transaction_index),
        "blockHash": hexed(receipt.block_hash),
        "blockNumber": hex(receipt.block_number),
        "from": hexed(receipt.sender),
        "to": hexed(receipt.to) if receipt.to else None,
        "type": hex(receipt.type_id),
        "status": hex(receipt.status),
        "gasUsed": hex(receipt.gas_used),
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "effectiveGasPrice": hex(receipt.effective_gas_price_wei),
        "contractAddress": hexed(receipt.contract_address) if receipt.contract_address else None,
        "logs": [log_view(entry) for entry in receipt.logs],
        "logsBloom": hexed(bloom_of((entry.address, entry.topics) for entry in receipt.logs)),
    }


def log_view(entry: LogEntry) -> View:
    return {
        "address": hexed(entry.address),
        "topics": [hexed(topic) for topic in entry.topics],
        "data": hexed(entry.data),
        "blockNumber": hex(entry.block_number),
        "blockHash": hexed(entry.block_hash),
        "blockTimestamp": hex(entry.timestamp_s),
        "transactionHash": hexed(entry.transaction_hash),
        "transactionIndex": hex(entry.transaction_index),
        "logIndex": hex(entry.log_index),
        "removed": False,
    }
