"""Money into channels: parameters of a new one, allowances, deposits; and what a payout left behind."""

import asyncio
import secrets

from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.reads import AdjudicatorReader, TokenReader, eth_balance_wei
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient
from channeld.adapters.chain.transactions import Transactor
from channeld.core.claims import MAX_AMOUNT, Side
from channeld.core.errors import OperationalError, Rejected
from channeld.core.identity import ETH, ChannelParams
from channeld.daemon.views import Catalogue

SALT_BITS = 216


class Funding:
    """Deposits from our account (20-byte `address`) into the adjudicator, and credits out of it."""

    def __init__(
        self, rpc: RpcClient, transactor: Transactor, adjudicator: bytes, address: bytes, catalogue: Catalogue
    ) -> None:
        self._rpc = rpc
        self._catalogue = catalogue
        self._transactor = transactor
        self._adjudicator = adjudicator
        self._address = address
        self._claiming = asyncio.Lock()

    def new_params(self, peer: bytes, asset: bytes, challenge_period_s: int) -> ChannelParams:
        """Parameters of a channel with `peer` (20-byte address), with a fresh random salt."""
        a, b = sorted((self._address, peer))
        return ChannelParams(a, b, asset, challenge_period_s, secrets.randbits(SALT_BITS))

    def side_of(self, params: ChannelParams) -> Side:
        return Side.A if params.a == self._address else Side.B

    async def balance(self, asset: bytes) -> int:
        """What our account holds, in the asset's smallest unit."""
        if asset == ETH:
            return await eth_balance_wei(self._rpc, self._address)
        return await TokenReader(self._rpc, asset).balance(self._address)

    async def deposit(self, params: ChannelParams, amount: int) -> None:
        """Deposit for our side and wait until it is mined. Raises Rejected if the money is not there."""
        if not 0 < amount <= MAX_AMOUNT:
            raise Rejected(f"expected a deposit of 1 to {MAX_AMOUNT} smallest units, got {amount}")
        held = await self.balance(params.asset)
        if held < amount:
            there, needed = (self._catalogue.amount(params.asset, units) for units in (held, amount))
            raise Rejected(f"the account 0x{self._address.hex()} holds {there}, the deposit needs {needed}")
        if params.asset != ETH:
            await self._allow(params.asset, amount)
        data = calls.deposit(params, to_b=self.side_of(params) is Side.B, amount=amount)
        value_wei = amount if params.asset == ETH else 0
        intention = f"deposit:{secrets.token_hex(16)}"
        await self._transactor.execute(intention, Request(self._adjudicator, data, value_wei))

    async def _allow(self, asset: bytes, amount: int) -> None:
        """Let the adjudicator take the token; once and without limit, because it takes only what its
        caller deposits."""
        token = TokenReader(self._rpc, asset)
        if await token.allowance(self._address, self._adjudicator) < amount:
            data = calls.approve(self._adjudicator)
            await self._transactor.execute(f"approve:{secrets.token_hex(16)}", Request(asset, data))

    async def credit(self, asset: bytes) -> int:
        """What the contract keeps for us because a payout failed, in the asset's smallest unit."""
        return await AdjudicatorReader(self._rpc, self._adjudicator).credit(asset, self._address)

    async def claim_credit(self, asset: bytes, to: bytes | None, timeout_s: float) -> int:
        """Fetch the credit to an address (20 bytes; None: our account); wait until it is mined.

        Returns what was fetched, in smallest units. Raises Rejected if there is nothing to fetch or the
        address would swallow it, OperationalError if the asset refuses again or nobody mines it in time.
        """
        receiver = self._address if to is None else to
        if receiver in (bytes(20), self._adjudicator, asset):
            raise Rejected(f"expected an address that can spend the money, got 0x{receiver.hex()}")
        data = calls.claim_credit(asset, receiver)
        ours = f"credit:{asset.hex()}:"
        intention = ours + secrets.token_hex(16)
        request = Request(self._adjudicator, data)
        # One at a time: until the first is final, a second would only pay gas to find nothing left.
        async with self._claiming:
            amount = await self.credit(asset)
            if amount == 0:
                raise Rejected(f"no credit of the asset 0x{asset.hex()} is left to fetch")
            if any(name.startswith(ours) for name in self._transactor.unfinished()):
                raise Rejected("a claim of this credit is on its way already; wait until it is confirmed")
            try:
                await self._transactor.submit(intention, request)
            except NodeRefusal as error:
                raise OperationalError(
                    f"the credit stays in the contract, the call would fail ({error}): "
                    f"try later, or name another address than 0x{receiver.hex()}"
                ) from error
        try:
            async with asyncio.timeout(timeout_s):
                await self._transactor.execute(intention, request)
        except TimeoutError:
            raise OperationalError(
                f"the claim is sent and not mined within {timeout_s:g} s; see `credits` later"
            ) from None
        return amount
