"""A request becomes a signed transaction: its nonce, its gas and its fees."""

from dataclasses import dataclass, replace
from typing import Protocol

from channeld.adapters.chain.blocks import LATEST, Block, BlockTag, block_param, newest_block
from channeld.adapters.chain.fees import Fees, offer, raised, suggested_tip_wei
from channeld.adapters.chain.fields import hex_data, hex_quantity, quantity
from channeld.adapters.chain.outbox import Entry, Request, Stage, Version
from channeld.adapters.chain.rpc import RpcClient
from channeld.wire.evm_transaction import TransactionFields, transaction_hash


class TransactionSigner(Protocol):
    """What signs: the key itself stays in the signer."""

    @property
    def address(self) -> bytes: ...

    def sign_transaction(self, fields: TransactionFields) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Preparer:
    """Signs for one key on one chain. Fees are per unit of gas; `tip_wei` None asks the node."""

    rpc: RpcClient
    signer: TransactionSigner
    chain_id: int
    gas_margin_percent: int
    tip_wei: int | None
    max_fee_wei: int

    async def prepared(
        self, intention: str, request: Request, gas_limit: int | None, least_nonce: int
    ) -> Entry:
        """A first version. The nonce is the next that the node knows of, but at least `least_nonce`:
        a node that forgot its pool does not count what we have sent."""
        head = await self.head()
        if gas_limit is None:
            gas_limit = await self._estimated_gas(request, head)
        fees = offer(head, await self._tip(), self.max_fee_wei)
        nonce = max(least_nonce, await self.count("pending"))
        return self._with_version(Entry(intention, Stage.SENT, nonce, request, gas_limit, ()), fees)

    async def repriced(self, entry: Entry, head: Block) -> Entry | None:
        """One more version at a higher fee; None at the operator's limit."""
        fees = raised(entry.versions[-1].fees, head, await self._tip(), self.max_fee_wei)
        return None if fees is None else self._with_version(entry, fees)

    async def head(self) -> Block:
        """The latest block."""
        return await newest_block(self.rpc)

    async def count(self, tag: BlockTag = LATEST) -> int:
        """How many transactions of the key are mined at a block (or waiting, at "pending")."""
        answer = await self.rpc.call(
            "eth_getTransactionCount", hex_data(self.signer.address), block_param(tag)
        )
        return quantity(answer, "a transaction count", bits=64)

    def _with_version(self, entry: Entry, fees: Fees) -> Entry:
        fields = TransactionFields(
            chain_id=self.chain_id,
            nonce=entry.nonce,
            tip_wei=fees.tip_wei,
            max_fee_wei=fees.max_fee_wei,
            gas_limit=entry.gas_limit,
            to=entry.request.to,
            value_wei=entry.request.value_wei,
            data=entry.request.data,
        )
        raw = self.signer.sign_transaction(fields)
        return replace(entry, versions=(*entry.versions, Version(transaction_hash(raw), raw, fees)))

    async def _estimated_gas(self, request: Request, head: Block) -> int:
        call = {
            "from": hex_data(self.signer.address),
            "data": hex_data(request.data),
            "value": hex_quantity(request.value_wei),
        }
        if request.to is not None:
            call["to"] = hex_data(request.to)
        estimate = quantity(await self.rpc.call("eth_estimateGas", call), "estimated gas", bits=64)
        return min(estimate * (100 + self.gas_margin_percent) // 100, head.gas_limit)

    async def _tip(self) -> int:
        return await suggested_tip_wei(self.rpc) if self.tip_wei is None else self.tip_wei
