"""What can be asked of the chain without a transaction: the adjudicator's storage, balances, tokens."""

import logging

from channeld.adapters.chain import calls
from channeld.adapters.chain.blocks import LATEST, BlockTag, block_param, newest_block
from channeld.adapters.chain.fields import MalformedAnswer, data, hex_data, quantity
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient
from channeld.adapters.chain.slots import ChannelSlot, DisputeSlot, channel_slot, dispute_slot
from channeld.core.world import PublishedPrice
from channeld.wire.eip712 import keccak

log = logging.getLogger(__name__)

MAX_SYMBOL_BYTES = 32
"""A symbol is shown in tables; a token could return a novel."""
MAX_DECIMALS = 77
"""10^77 is the largest power of ten in 256 bits."""


def price_key(feed: bytes, instant_s: int) -> bytes:
    """Where the registry keeps the price of a feed (32 bytes) at an instant."""
    return keccak(feed + instant_s.to_bytes(32, "big"))


async def call_contract(rpc: RpcClient, to: bytes, payload: bytes, block: BlockTag = LATEST) -> bytes:
    """eth_call: the returned bytes. Raises NodeRefusal if the call reverts."""
    request = {"to": hex_data(to), "data": hex_data(payload)}
    return data(await rpc.call("eth_call", request, block_param(block)), "the result of eth_call")


async def _word(rpc: RpcClient, to: bytes, payload: bytes, block: BlockTag) -> int:
    returned = await call_contract(rpc, to, payload, block)
    if len(returned) != 32:
        what = f"the word at 0x{to.hex()}"  # no bytes at all: there is no contract at this address
        raise MalformedAnswer(what, "32 bytes (is the contract's address right?)", f"{len(returned)} bytes")
    return int.from_bytes(returned, "big")


async def chain_id(rpc: RpcClient) -> int:
    """The chain's id; signatures and transactions are bound to it."""
    return quantity(await rpc.call("eth_chainId"), "the chain id", bits=64)


async def latest_time_s(rpc: RpcClient) -> int:
    """What time it is on the chain: that of its newest block (unix seconds)."""
    return (await newest_block(rpc)).timestamp_s


async def eth_balance_wei(rpc: RpcClient, owner: bytes, block: BlockTag = LATEST) -> int:
    """The chain's own coin at an address (20 bytes)."""
    return quantity(await rpc.call("eth_getBalance", hex_data(owner), block_param(block)), "a balance")


async def code_at(rpc: RpcClient, address: bytes, block: BlockTag = LATEST) -> bytes:
    """The code at an address; empty if there is no contract."""
    return data(await rpc.call("eth_getCode", hex_data(address), block_param(block)), "code")


class AdjudicatorReader:
    """Reads of one adjudicator, at the latest block or at a given one."""

    def __init__(self, rpc: RpcClient, address: bytes) -> None:
        self._rpc = rpc
        self.address = address

    async def channel(self, channel_id: bytes, block: BlockTag = LATEST) -> ChannelSlot:
        """The slot of a channel; status NONE if it never lived."""
        return channel_slot(await self._stored("channels", channel_id, block))

    async def dispute(self, channel_id: bytes, block: BlockTag = LATEST) -> DisputeSlot:
        """The state that stands in a dispute."""
        return dispute_slot(await self._stored("disputes", channel_id, block))

    async def secret_registered_s(self, hashlock: bytes, block: BlockTag = LATEST) -> int | None:
        """Block time at which the secret of a hashlock was first shown; None if never."""
        return await self._stored("secrets", hashlock, block) or None

    async def price(self, feed: bytes, instant_s: int, block: BlockTag = LATEST) -> PublishedPrice | None:
        """The published price of a feed at an instant; None if there is none."""
        word = await self._stored("prices", price_key(feed, instant_s), block)
        return PublishedPrice(word & ((1 << 128) - 1), word >> 128) if word else None

    async def credit(self, asset: bytes, owner: bytes, block: BlockTag = LATEST) -> int:
        """What a failed push left for an owner, in the asset's smallest unit."""
        return await _word(self._rpc, self.address, calls.view_credits(asset, owner), block)

    async def _stored(self, name: str, key: bytes, block: BlockTag) -> int:
        return await _word(self._rpc, self.address, calls.view_word(name, key), block)


class TokenReader:
    """Reads of one ERC-20 token."""

    def __init__(self, rpc: RpcClient, address: bytes) -> None:
        self._rpc = rpc
        self.address = address

    async def balance(self, owner: bytes, block: BlockTag = LATEST) -> int:
        """In the token's smallest unit."""
        return await _word(self._rpc, self.address, calls.view_balance(owner), block)

    async def allowance(self, owner: bytes, spender: bytes, block: BlockTag = LATEST) -> int:
        """What `spender` may take from `owner`, in the token's smallest unit."""
        return await _word(self._rpc, self.address, calls.view_allowance(owner, spender), block)

    async def decimals(self) -> int:
        """By how many digits amounts are shifted for display."""
        number = await _word(self._rpc, self.address, calls.view_decimals(), LATEST)
        if number > MAX_DECIMALS:
            raise MalformedAnswer("a token's decimals", f"at most {MAX_DECIMALS}", number)
        return number

    async def symbol(self) -> str:
        """For display only: anyone can call a token USDC. Printable ASCII, at most 32 characters."""
        returned = await call_contract(self._rpc, self.address, calls.view_symbol())
        if len(returned) == 32:  # some old tokens return bytes32
            text = returned.rstrip(b"\0")
        elif len(returned) >= 64 and int.from_bytes(returned[:32], "big") == 32:
            text = returned[64 : 64 + min(int.from_bytes(returned[32:64], "big"), MAX_SYMBOL_BYTES)]
        else:
            raise MalformedAnswer("a token's symbol", "an ABI string", returned.hex())
        return "".join(chr(byte) if 0x20 < byte < 0x7F else "?" for byte in text)


async def first_block_of(rpc: RpcClient, address: bytes) -> int:
    """The block in which a contract was created, by bisection: where a first scan may begin.

    About 25 questions on a long chain. A node that has no old states refuses them; then 0, which is
    always right. Raises MalformedAnswer if there is no contract now.
    """
    if not await code_at(rpc, address):
        raise MalformedAnswer(f"the contract 0x{address.hex()}", "code at the latest block", "none")
    low, high = 0, quantity(await rpc.call("eth_blockNumber"), "the latest block's number", bits=64)
    try:
        while low < high:
            middle = (low + high) // 2
            if await code_at(rpc, address, middle):
                high = middle
            else:
                low = middle + 1
    except NodeRefusal as error:
        log.info("the node has no old states (%s): scanning begins at block 0", error)
        return 0
    return low
