"""Executing without a transaction: calls and gas estimates. Whatever they write is taken back."""

from dataclasses import dataclass, replace

from channeld.services.devchain.errors import CallFailed, CallReverted
from channeld.services.devchain.evm import BlockContext, Evm, Outcome
from channeld.services.devchain.ledger import Ledger
from channeld.services.devchain.transactions import GAS_TX, AccessList, Transaction

# Selectors of Solidity's and Vyper's own errors.
ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
CALL_STIPEND_GAS = 2300
# go-ethereum stops its search this close to the truth; the rest is not worth the executions.
ESTIMATE_ERROR_RATIO = 0.015


@dataclass(frozen=True, slots=True)
class Call:
    """`to` is empty for a creation. No gas: the block's limit. No fee: gas is free, as for other nodes."""

    to: bytes
    data: bytes = b""
    sender: bytes = bytes(20)
    value_wei: int = 0
    gas: int | None = None
    max_fee_per_gas_wei: int = 0
    max_priority_fee_per_gas_wei: int = 0
    access_list: AccessList = ()


def run_call(ledger: Ledger, block: BlockContext, call: Call) -> Outcome:
    """The outcome, failed or not. CallFailed if it cannot even begin; nothing is changed either way."""
    transaction = _unsigned(call, min(call.gas or block.gas_limit, block.gas_limit), block.chain_id)
    if transaction.gas < transaction.entry_gas:
        raise CallFailed(
            f"intrinsic gas too low: gas {transaction.gas}, minimum needed {transaction.entry_gas}"
        )
    if call.max_fee_per_gas_wei == 0:
        block = replace(block, base_fee_wei=0)
    elif call.max_fee_per_gas_wei < block.base_fee_wei:
        raise CallFailed(
            "max fee per gas less than block base fee: "
            f"maxFeePerGas: {call.max_fee_per_gas_wei}, baseFee: {block.base_fee_wei}"
        )
    balance_wei = ledger.get_balance(call.sender)
    if balance_wei < transaction.cost_limit_wei:
        raise CallFailed(
            "insufficient funds for gas * price + value: "
            f"balance {balance_wei}, tx cost {transaction.cost_limit_wei}, "
            f"overshot {transaction.cost_limit_wei - balance_wei}"
        )
    mark = ledger.mark()
    try:
        return Evm(ledger, block).execute(transaction)
    finally:
        ledger.rewind(mark)


def output_of(outcome: Outcome) -> bytes:
    """What a call returns; CallReverted with the data if it reverted, CallFailed if it ran into an error."""
    if outcome.reverted:
        raise CallReverted(_reverted_words(outcome.output), outcome.output)
    if outcome.failure is not None:
        raise CallFailed(outcome.failure)
    return outcome.output


def estimate_gas(ledger: Ledger, block: BlockContext, call: Call) -> int:
    """A gas limit with which the call succeeds, at most 1.5 % above the least such limit.

    The gas used is not enough: a call inside may be given 63/64 of what is left only [EIP-150], and refunds
    come after the end.
    """
    high = min(call.gas or block.gas_limit, block.gas_limit)
    if call.max_fee_per_gas_wei:
        spare_wei = ledger.get_balance(call.sender) - call.value_wei
        if spare_wei < 0:
            raise CallFailed("insufficient funds for transfer")
        high = min(high, spare_wei // call.max_fee_per_gas_wei)
    plain = call.to and not call.data and not ledger.get_code(call.to)
    if plain and high >= GAS_TX and _succeeds(ledger, block, replace(call, gas=GAS_TX)):
        # The search would stop a little above it.
        return GAS_TX
    floor = _unsigned(call, high, block.chain_id)
    if high < max(floor.entry_gas, floor.floor_gas):
        raise CallFailed(f"gas required exceeds allowance ({high})")
    outcome = run_call(ledger, block, replace(call, gas=high))
    if outcome.failure == "out of gas":
        raise CallFailed(f"gas required exceeds allowance ({high})")
    output_of(outcome)
    low = outcome.gas_used - 1
    guess = (outcome.gas_used + outcome.gas_refunded + CALL_STIPEND_GAS) * 64 // 63
    while low + 1 < high and (high - low) / high >= ESTIMATE_ERROR_RATIO:
        middle = min(guess, high - 1) if guess else min((low + high) // 2, 2 * low)
        guess = 0
        if middle >= floor.entry_gas and _succeeds(ledger, block, replace(call, gas=middle)):
            high = middle
        else:
            low = middle
    return max(high, floor.floor_gas)


def _succeeds(ledger: Ledger, block: BlockContext, call: Call) -> bool:
    return run_call(ledger, block, call).failure is None


def _unsigned(call: Call, gas: int, chain_id: int) -> Transaction:
    return Transaction(
        raw=b"",
        hash=b"",
        type_id=2,
        sender=call.sender,
        nonce=0,
        max_priority_fee_per_gas=call.max_priority_fee_per_gas_wei,
        max_fee_per_gas=call.max_fee_per_gas_wei,
        gas=gas,
        to=call.to,
        value=call.value_wei,
        data=call.data,
        access_list=call.access_list,
        chain_id=chain_id,
        y_parity=0,
        r=0,
        s=0,
    )


def _reverted_words(data: bytes) -> str:
    if data[:4] == ERROR_STRING and len(data) >= 68:
        length = int.from_bytes(data[36:68], "big")
        reason = data[68 : 68 + min(length, len(data))]
        return "execution reverted: " + reason.decode("utf-8", "replace")
    if data[:4] == PANIC and len(data) == 36:
        return f"execution reverted: panic code 0x{int.from_bytes(data[4:], 'big'):02x}"
    return "execution reverted"
