"""A node without chain and peers: real enough to hold channels, invoices and money, small enough to read.

It knows two peers, bob (connected) and carol (through bob). What it is told to fail on, it fails on.
"""

import asyncio
from dataclasses import replace

from channeld.api.commands import (
    AssetInfo,
    ChannelInfo,
    CreditInfo,
    DecodedInvoice,
    InvoiceInfo,
    NodeInfo,
    Page,
    PaymentInfo,
    PeerInfo,
    PeerPage,
)
from channeld.core.errors import OperationalError, Rejected
from channeld.wire import bech32m
from tests.api.cast import ADDRESSES, ALICE, BOB, CAROL, DECIMALS, T0_S, digest, named, page_of
from tests.api.scripted_options import ScriptedOptions
from tests.api.scripted_pushes import ScriptedPushes


class ScriptedNode(ScriptedOptions, ScriptedPushes):
    """Implements Commands. Alice's view."""

    def __init__(self) -> None:
        self.failing: Exception | None = None
        self.stopped = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Semaphore(0)  # one to take for each payment that began
        self.paying = 0
        self.most_paying = 0
        self.owed: dict[str, int] = {}
        self.refusing: set[str] = set()  # assets that go nowhere
        self.sent_to: list[bytes | None] = []
        self._purse = {"ETH": 10 * 10**18, "TEST": 1_000 * 10**6}
        self._peers = {BOB: self._peer(BOB, "bob", True), CAROL: self._peer(CAROL, "carol", False)}
        self._channels: dict[bytes, ChannelInfo] = {}
        self._invoices: dict[bytes, InvoiceInfo] = {}
        self._payments: dict[bytes, PaymentInfo] = {}
        super().__init__()

    def _peer(self, node_id: bytes, alias: str, connected: bool) -> PeerInfo:
        return PeerInfo(node_id, node_id[-20:], alias, connected, "ws://127.0.0.1:9740/", 0)

    def _check(self) -> None:
        if self.failing is not None:
            raise self.failing

    # the node and its peers

    async def info(self) -> NodeInfo:
        self._check()
        assets = tuple(
            AssetInfo(ADDRESSES[s], s, DECIMALS[s], amount, self._in_channels(s), self.owed.get(s, 0))
            for s, amount in self._purse.items()
        )
        connected = sum(peer.connected for peer in self._peers.values())
        return NodeInfo(
            node_id=ALICE,
            address=ALICE[-20:],
            alias="alice",
            version="0.1.0",
            chain_id=1337931,
            adjudicator=b"\xad" * 20,
            block_number=42,
            block_time_s=T0_S,
            synced=True,
            clock_trusted=True,
            listen_port=9740,
            peers=connected,
            channels=len((await self.channels(False))[0]),
            assets=assets,
        )

    def _in_channels(self, symbol: str) -> int:
        return sum(c.ours for c in self._channels.values() if c.symbol == symbol and c.phase != "closed")

    async def peers(
        self, named: str = "", after: bytes | None = None, limit: int = 100
    ) -> tuple[list[PeerInfo], PeerPage]:
        self._check()
        fits = [
            peer
            for peer in self._peers.values()
            if named in ("", peer.alias) or peer.node_id.hex().startswith(named)
        ]
        first = 0 if after is None else 1 + [peer.node_id for peer in fits].index(after)
        more = len(fits) > first + limit
        return fits[first : first + limit], PeerPage(fits[first + limit - 1].node_id if more else None)

    async def connect(self, address: str) -> PeerInfo:
        self._check()
        node_id, at, url = address.partition("@")
        if not at or len(node_id) != 66:
            raise Rejected(f"expected PUBLIC_KEY@HOST:PORT, got {address!r}")
        known = bytes.fromhex(node_id)
        self._peers[known] = PeerInfo(known, known[-20:], "", True, f"ws://{url}/", 0)
        return self._peers[known]

    async def disconnect(self, node_id: bytes) -> None:
        self._check()
        if self._peers.pop(node_id, None) is None:
            raise Rejected(f"no peer {node_id.hex()}")

    async def stop(self) -> None:
        self.stopped.set()

    # channels

    async def channels(
        self, closed: bool, begins: str = "", before: int | None = None, limit: int = 100
    ) -> tuple[list[ChannelInfo], Page]:
        self._check()
        channels = [
            channel
            for channel in self._channels.values()
            if (closed or channel.phase != "closed") and channel.channel_id.hex().startswith(begins)
        ]
        return page_of(channels, before, limit)

    async def channel(self, channel_id: bytes) -> ChannelInfo:
        self._check()
        if channel_id not in self._channels:
            raise Rejected(f"no channel 0x{channel_id.hex()}")
        return self._channels[channel_id]

    async def open_channel(
        self, peer: bytes, asset: str, amount: int, challenge_period_s: int | None, timeout_s: float
    ) -> ChannelInfo:
        self._check()
        asset = named(asset)
        if not self._peers[peer].connected:
            raise Rejected(f"expected a connected peer, {peer.hex()} is not; connect to it first")
        self._spend(asset, amount)
        channel = ChannelInfo(
            channel_id=digest("channel", len(self._channels)),
            peer=peer,
            peer_alias=self._peers[peer].alias,
            phase="open",
            online=True,
            asset=ADDRESSES[asset],
            symbol=asset,
            decimals=DECIMALS[asset],
            deposit_ours=amount,
            deposit_theirs=0,
            ours=amount,
            theirs=0,
            locked_ours=0,
            locked_theirs=0,
            spendable=amount,
            receivable=0,
            open_claims=0,
            version=0,
            challenge_period_s=86_400 if challenge_period_s is None else challenge_period_s,
            note="",
        )
        self._channels[channel.channel_id] = channel
        return channel

    def _spend(self, symbol: str, amount: int) -> None:
        if symbol not in self._purse:
            raise Rejected(f"expected one of the configured assets (ETH, TEST), got {symbol!r}")
        if self._purse[symbol] < amount:
            raise Rejected(f"expected at most {self._purse[symbol]} of {symbol}, got {amount}")
        self._purse[symbol] -= amount

    async def deposit(self, channel_id: bytes, amount: int, timeout_s: float) -> ChannelInfo:
        channel = await self.channel(channel_id)
        if channel.phase != "open":
            raise Rejected(f"channel 0x{channel_id.hex()} is {channel.phase}, expected open")
        self._spend(channel.symbol, amount)
        ours = channel.ours + amount
        deposited = replace(
            channel,
            deposit_ours=channel.deposit_ours + amount,
            ours=ours,
            spendable=channel.spendable + amount,
        )
        self._channels[channel_id] = deposited
        return deposited

    async def close_channel(self, channel_id: bytes, unilateral: bool, timeout_s: float) -> ChannelInfo:
        channel = await self.channel(channel_id)
        if channel.phase == "closed":
            raise Rejected(f"channel 0x{channel_id.hex()} is closed already")
        phase, note = ("disputed", "settles after the window") if unilateral else ("closed", "")
        if not unilateral:
            self._purse[channel.symbol] += channel.ours
        self._channels[channel_id] = replace(channel, phase=phase, note=note, spendable=0)
        return self._channels[channel_id]

    # credits

    def _credit(self, symbol: str) -> CreditInfo:
        return CreditInfo(ADDRESSES[symbol], symbol, DECIMALS[symbol], self.owed[symbol])

    async def credits(self) -> list[CreditInfo]:
        self._check()
        return [self._credit(symbol) for symbol in self.owed]

    async def claim_credit(self, asset: str, to: bytes | None, timeout_s: float) -> CreditInfo:
        symbol = named(asset)
        if symbol not in self.owed:
            raise Rejected(f"no credit of {symbol} is left to fetch")
        if symbol in self.refusing:
            raise OperationalError(f"{symbol} refuses still")
        fetched = self._credit(symbol)
        self._purse[symbol] += self.owed.pop(symbol) if to is None else 0
        self.owed.pop(symbol, None)
        self.sent_to.append(to)
        return fetched

    # invoices and payments

    async def create_invoice(
        self, asset: str, amount: int, description: str, expiry_s: int | None, count: int
    ) -> list[InvoiceInfo]:
        self._check()
        asset = named(asset)
        if asset not in ADDRESSES:
            raise Rejected(f"expected one of the configured assets (ETH, TEST), got {asset!r}")
        made = []
        for _ in range(count):
            hashlock = digest("invoice", len(self._invoices))
            expires_s = T0_S + (3_600 if expiry_s is None else expiry_s)
            text = bech32m.encode("chd", hashlock)
            invoice = InvoiceInfo(
                *(hashlock, text, ADDRESSES[asset], asset, DECIMALS[asset], amount, 0, description),
                *("open", T0_S, expires_s, 0),
            )
            self._invoices[hashlock] = invoice
            made.append(invoice)
        return made

    async def invoices(self, before: int | None, limit: int) -> tuple[list[InvoiceInfo], Page]:
        self._check()
        return page_of(list(self._invoices.values()), before, limit)

    async def invoice(self, hashlock: bytes) -> InvoiceInfo:
        self._check()
        if hashlock not in self._invoices:
            raise Rejected(f"no invoice 0x{hashlock.hex()}")
        return self._invoices[hashlock]

    async def decode_invoice(self, text: str) -> DecodedInvoice:
        self._check()
        invoice = self._named(text)
        return DecodedInvoice(
            CAROL,
            invoice.hashlock,
            invoice.asset,
            invoice.symbol,
            invoice.decimals,
            invoice.amount,
            invoice.description,
            invoice.created_s,
            invoice.expires_s,
        )

    def _named(self, text: str) -> InvoiceInfo:
        for invoice in self._invoices.values():
            if invoice.text == text:
                return invoice
        raise Rejected(f"expected an invoice (chd1...), got {text[:20]!r}")

    async def pay(
        self,
        invoice: str,
        amount: int | None,
        max_fee: int | None,
        timeout_s: float,
        channel_id: bytes | None = None,
    ) -> PaymentInfo:
        """A description of "unpayable" fails for good, "slow" stays pending."""
        self._check()
        asked = self._named(invoice)
        value = asked.amount or amount
        if not value:
            raise Rejected("the invoice leaves the amount open; say how much to pay")
        self.paying += 1
        self.most_paying = max(self.paying, self.most_paying)
        self.begun.release()
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        self.paying -= 1
        status = {"unpayable": "failed", "slow": "pending"}.get(asked.description, "succeeded")
        payment = PaymentInfo(
            hashlock=asked.hashlock,
            destination=CAROL,
            asset=asked.asset,
            symbol=asked.symbol,
            decimals=asked.decimals,
            amount=value,
            fee=value // 1_000,
            status=status,
            created_s=T0_S,
            preimage=digest("preimage", asked.hashlock) if status == "succeeded" else b"",
            failure="no route with enough money" if status == "failed" else "",
            attempts=1,
            hops=2,
        )
        self._payments[asked.hashlock] = payment
        return payment

    async def payments(
        self, before: int | None, limit: int, status: str = ""
    ) -> tuple[list[PaymentInfo], Page]:
        self._check()
        fits = [payment for payment in self._payments.values() if status in ("", payment.status)]
        return page_of(fits, before, limit)

    async def payment(self, hashlock: bytes) -> PaymentInfo:
        self._check()
        if hashlock not in self._payments:
            raise Rejected(f"no payment 0x{hashlock.hex()}")
        return self._payments[hashlock]
