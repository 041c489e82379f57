"""The part of the Ethereum JSON-RPC API that clients of a full node use."""

from typing import Any

from channeld.services.devchain import rpc_params as read
from channeld.services.devchain.blocks import Block
from channeld.services.devchain.chain import At, DevChain
from channeld.services.devchain.rpc_params import SERVER_ERROR, Params, RpcError, invalid
from channeld.services.devchain.rpc_views import (
    block_view,
    hexed,
    log_view,
    mined_view,
    pending_block_view,
    receipt_view,
    transaction_view,
)

CLIENT_VERSION = "channeld/devchain/py-evm"
# What clients are told to tip: the usual figure of a quiet mainnet.
SUGGESTED_TIP_WEI = 10**9
# As go-ethereum: a longer history serves no fee estimator.
FEE_HISTORY_LIMIT_BLOCKS = 1024
PERCENTILES_LIMIT = 100


def client_version(chain: DevChain, params: Params) -> str:
    return CLIENT_VERSION


def net_version(chain: DevChain, params: Params) -> str:
    return str(chain.chain_id)


def chain_id(chain: DevChain, params: Params) -> str:
    return hex(chain.chain_id)


def block_number(chain: DevChain, params: Params) -> str:
    return hex(chain.head.number)


def syncing(chain: DevChain, params: Params) -> bool:
    return False


def accounts(chain: DevChain, params: Params) -> list[str]:
    return [hexed(account.address) for account in chain.accounts]


def get_block_by_number(chain: DevChain, params: Params) -> Any:
    at = read.block_number(chain, params.need(read.anything, "block"), "argument 0 (block)")
    full = params.may(read.boolean, "full transactions", False)
    if at == "pending":
        return pending_block_view(chain, full=full)
    block = chain.block(at)
    return None if block is None else block_view(chain, block, full=full)


def get_block_by_hash(chain: DevChain, params: Params) -> Any:
    block = chain.history.block_by_hash(params.need(read.hash32, "block hash"))
    full = params.may(read.boolean, "full transactions", False)
    return None if block is None else block_view(chain, block, full=full)


def get_block_receipts(chain: DevChain, params: Params) -> Any:
    at = _state(chain, params)
    block = chain.head if at == "pending" else chain.history.blocks[at]
    return [receipt_view(receipt) for receipt in block.receipts]


def get_transaction_by_hash(chain: DevChain, params: Params) -> Any:
    transaction_hash = params.need(read.hash32, "transaction hash")
    receipt = chain.receipt(transaction_hash)
    if receipt is not None:
        return mined_view(chain, receipt)
    waiting = chain.pool.get(transaction_hash)
    return None if waiting is None else transaction_view(waiting, chain.context("pending").base_fee_wei)


def get_transaction_receipt(chain: DevChain, params: Params) -> Any:
    receipt = chain.receipt(params.need(read.hash32, "transaction hash"))
    return None if receipt is None else receipt_view(receipt)


def send_raw_transaction(chain: DevChain, params: Params) -> str:
    return hexed(chain.send_raw_transaction(params.need(read.data, "raw transaction")))


def call(chain: DevChain, params: Params) -> str:
    request = params.need(read.call_object, "call")
    return hexed(chain.call(request, _state(chain, params)))


def estimate_gas(chain: DevChain, params: Params) -> str:
    request = params.need(read.call_object, "call")
    return hex(chain.estimate_gas(request, _state(chain, params, default="pending")))


def gas_price(chain: DevChain, params: Params) -> str:
    return hex(chain.context("pending").base_fee_wei + SUGGESTED_TIP_WEI)


def max_priority_fee(chain: DevChain, params: Params) -> str:
    return hex(SUGGESTED_TIP_WEI)


def get_balance(chain: DevChain, params: Params) -> str:
    address = params.need(read.address, "address")
    return hex(chain.ledger_at(_state(chain, params)).get_balance(address))


def get_transaction_count(chain: DevChain, params: Params) -> str:
    address = params.need(read.address, "address")
    at = _state(chain, params)
    if at == "pending":
        return hex(chain.nonce(address, pending=True))
    return hex(chain.ledger_at(at).get_nonce(address))


def get_code(chain: DevChain, params: Params) -> str:
    address = params.need(read.address, "address")
    return hexed(chain.ledger_at(_state(chain, params)).get_code(address))


def get_storage_at(chain: DevChain, params: Params) -> str:
    address = params.need(read.address, "address")
    slot = params.need(read.slot, "slot")
    return hexed(chain.ledger_at(_state(chain, params)).get_storage(address, slot).to_bytes(32, "big"))


def get_logs(chain: DevChain, params: Params) -> list[Any]:
    wanted = read.log_filter(chain, params.need(read.anything, "filter"), "argument 0 (filter)")
    return [log_view(entry) for entry in chain.logs(wanted)]


def fee_history(chain: DevChain, params: Params) -> Any:
    count = params.need(read.number, "block count")
    newest = read.state_at(chain, params.need(read.anything, "newest block"), "argument 1 (newest block)")
    none: list[float] = []
    percentiles = params.may(_percentiles, "reward percentiles", none)
    if not 1 <= count <= FEE_HISTORY_LIMIT_BLOCKS:
        raise invalid(f"block count must be 1 to {FEE_HISTORY_LIMIT_BLOCKS}, not {count}")
    last = chain.head.number if newest == "pending" else newest
    blocks = chain.history.blocks[max(0, last - count + 1) : last + 1]
    following = chain.block(last + 1)
    next_fee_wei = (following.header if following else chain.context("pending")).base_fee_wei
    history = {
        "oldestBlock": hex(blocks[0].number),
        "baseFeePerGas": [*(hex(block.header.base_fee_wei) for block in blocks), hex(next_fee_wei)],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
        "baseFeePerBlobGas": ["0x1"] * (len(blocks) + 1),
        "blobGasUsedRatio": [0.0] * len(blocks),
    }
    if percentiles:
        history["reward"] = [_rewards(block, percentiles) for block in blocks]
    return history


def _percentiles(value: Any, name: str) -> list[float]:
    if not isinstance(value, list) or len(value) > PERCENTILES_LIMIT:
        raise invalid(f"invalid {name}: expected a list of at most {PERCENTILES_LIMIT} numbers")
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 <= one <= 100:
            raise invalid(f"invalid {name}: expected numbers from 0 to 100")
    if value != sorted(value):
        raise RpcError(SERVER_ERROR, "invalid reward percentile: expected ascending numbers")
    return [float(one) for one in value]


def _rewards(block: Block, percentiles: list[float]) -> list[str]:
    """Tips at these percentiles of the gas that the block used."""
    base_fee_wei = block.header.base_fee_wei
    paid = sorted((one.effective_gas_price_wei - base_fee_wei, one.gas_used) for one in block.receipts)
    rewards = []
    for percentile in percentiles:
        reached_gas, at_percentile_wei = 0, 0
        for tip_wei, gas in paid:
            reached_gas += gas
            at_percentile_wei = tip_wei
            if reached_gas * 100 >= percentile * block.header.gas_used:
                break
        rewards.append(hex(at_percentile_wei))
    return rewards


def _state(chain: DevChain, params: Params, default: At | None = None) -> At:
    fallback = chain.head.number if default is None else default
    value = params.may(read.anything, "block", None)
    return fallback if value is None else read.state_at(chain, value, "block")


# Each with the most parameters it takes: more are refused, because ignoring an override would answer wrongly.
ETH_METHODS = {
    "web3_clientVersion": (client_version, 0),
    "net_version": (net_version, 0),
    "eth_chainId": (chain_id, 0),
    "eth_blockNumber": (block_number, 0),
    "eth_syncing": (syncing, 0),
    "eth_accounts": (accounts, 0),
    "eth_getBlockByNumber": (get_block_by_number, 2),
    "eth_getBlockByHash": (get_block_by_hash, 2),
    "eth_getBlockReceipts": (get_block_receipts, 1),
    "eth_getTransactionByHash": (get_transaction_by_hash, 1),
    "eth_getTransactionReceipt": (get_transaction_receipt, 1),
    "eth_sendRawTransaction": (send_raw_transaction, 1),
    "eth_call": (call, 2),
    "eth_estimateGas": (estimate_gas, 2),
    "eth_gasPrice": (gas_price, 0),
    "eth_maxPriorityFeePerGas": (max_priority_fee, 0),
    "eth_feeHistory": (fee_history, 3),
    "eth_getBalance": (get_balance, 2),
    "eth_getTransactionCount": (get_transaction_count, 2),
    "eth_getCode": (get_code, 2),
    "eth_getStorageAt": (get_storage_at, 3),
    "eth_getLogs": (get_logs, 1),
}
