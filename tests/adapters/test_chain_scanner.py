"""The scanner follows a chain that grows, reorganises and is behind; on two real nodes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.events import SecretsRegistered
from channeld.adapters.chain.logs import LogRanges
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient, RpcSettings
from channeld.adapters.chain.scanner import (
    Checkpoint,
    ConfirmedEvents,
    HeadSeen,
    NodeLost,
    Reorganised,
    ReorganisedTooDeep,
    ScanItem,
    Scanner,
    ScannerSettings,
    checkpoint_at,
)
from channeld.core.errors import OperationalError
from tests.adapters.nodes import Town


def secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


async def reveal(place: Town, *numbers: int) -> int:
    """Alice registers secrets, each in a block of its own; the last block's number."""
    number = 0
    for each in numbers:
        number = (await place.send(calls.register_secret(secret(each)))).block_number
    return number


def revealed(items: list[ScanItem]) -> list[int]:
    """The secrets among confirmed events, in order of delivery."""
    return [
        int.from_bytes(preimage, "big")
        for item in items
        if isinstance(item, ConfirmedEvents)
        for event in item.events
        if isinstance(event, SecretsRegistered)
        for preimage in event.preimages
    ]


async def until(stream: AsyncIterator[ScanItem], last: Callable[[ScanItem], bool]) -> list[ScanItem]:
    """Everything up to the item that is `last`; what never comes fails instead of hanging."""
    items: list[ScanItem] = []
    async with asyncio.timeout(30):
        async for item in stream:
            items.append(item)
            if last(item):
                break
    return items


async def until_head(stream: AsyncIterator[ScanItem], number: int) -> list[ScanItem]:
    """Everything up to the sight of block `number`."""
    return await until(stream, lambda item: isinstance(item, HeadSeen) and item.number == number)


async def until_confirmed(stream: AsyncIterator[ScanItem], number: int) -> list[ScanItem]:
    """Everything up to the confirmation of block `number`."""
    return await until(stream, lambda item: isinstance(item, ConfirmedEvents) and item.block_number >= number)


async def test_an_event_waits_for_its_confirmations(place: Town) -> None:
    stream = await place.scan(confirmations=3)
    block = await reveal(place, 7)
    assert revealed(await until_head(stream, block)) == []
    await place.mine()
    assert revealed(await until_head(stream, block + 1)) == []
    await place.mine()
    items = await until_head(stream, block + 2)
    assert revealed(items) == [7]
    (confirmed,) = (item for item in items if isinstance(item, ConfirmedEvents))
    assert confirmed.block_number == block
    assert confirmed.block_timestamp_s == await place.adjudicator.secret_registered_s(hash_of(7))
    await stream.aclose()


async def test_the_head_tells_time_and_the_price_of_gas(place: Town) -> None:
    stream = await place.scan()
    await place.mine()
    head = await place.head()
    items = await until_head(stream, head.number)
    assert items[-1] == HeadSeen(head.number, head.hash, head.timestamp_s, head.base_fee_wei)
    await stream.aclose()


async def test_with_one_confirmation_the_head_itself_counts(place: Town) -> None:
    stream = await place.scan()
    block = await reveal(place, 1, 2, 3)
    assert revealed(await until_head(stream, block)) == [1, 2, 3]
    await stream.aclose()


async def test_a_restart_from_any_checkpoint_delivers_the_rest_once(place: Town) -> None:
    block = await reveal(place, *range(1, 9))
    stream = await place.scan()
    items = [item for item in await until_head(stream, block) if isinstance(item, ConfirmedEvents)]
    await stream.aclose()
    assert revealed(list(items)) == list(range(1, 9))
    for at, item in enumerate(items):
        scanner = Scanner(place.rpc, place.adjudicator.address, ScannerSettings(poll_s=0.02))
        again = scanner.follow(item.checkpoint)
        rest = revealed(await until_head(again, block))
        assert revealed(list(items[: at + 1])) + rest == list(range(1, 9))
        await again.aclose()


@pytest.mark.parametrize("near_blocks", [2, 6, 64])
async def test_far_behind_and_near_the_head_the_same_is_seen(place: Town, near_blocks: int) -> None:
    await reveal(place, 1)
    await place.mine(5)
    await reveal(place, 2, 3)
    await place.mine(7)
    block = await reveal(place, 4)
    await place.mine(3)
    stream = await place.scan(near_blocks=near_blocks, max_range_blocks=3)
    items = await until_head(stream, block + 3)
    await stream.aclose()
    assert revealed(items) == [1, 2, 3, 4]
    numbers = [item.block_number for item in items if isinstance(item, ConfirmedEvents)]
    assert numbers == sorted(set(numbers)) and numbers[-1] == block + 3


async def test_an_unconfirmed_block_is_reorganised_away_and_its_event_with_it(place: Town) -> None:
    stream = await place.scan(confirmations=4)
    kept = await reveal(place, 1)
    gone = await reveal(place, 2)
    await until_head(stream, gone)
    await place.dev("anvil_reorg", 1, [])  # the transaction is not in the new block
    new_head = await place.head()
    assert new_head.number == gone
    seen = await anext(stream)
    assert seen == Reorganised(1, kept)
    items = [seen, *await until_head(stream, gone)]
    assert isinstance(items[-1], HeadSeen) and items[-1].hash == new_head.hash
    await place.mine(4)
    items += await until_confirmed(stream, gone)
    assert revealed(items) == [1]
    await stream.aclose()


async def test_a_deep_reorganisation_of_unconfirmed_blocks_is_measured(place: Town) -> None:
    stream = await place.scan(confirmations=10)
    await place.mine(6)
    top = await place.head()
    await until_head(stream, top.number)
    await place.dev("anvil_reorg", 5, [])
    await place.mine()
    assert await anext(stream) == Reorganised(5, top.number - 5)
    await stream.aclose()


async def test_a_shorter_chain_is_followed_once_it_grows_differently(place: Town) -> None:
    stream = await place.scan(confirmations=5)
    await reveal(place, 1)
    gone = await reveal(place, 2)
    await until_head(stream, gone)
    await place.dev("anvil_rollback", 1)
    await place.mine(6)
    items = await until_confirmed(stream, gone)
    assert Reorganised(1, gone - 1) in items
    assert revealed(items) == [1]
    await stream.aclose()


async def test_a_reorganisation_below_the_confirmed_blocks_stops_the_scan(place: Town) -> None:
    stream = await place.scan(confirmations=2)
    block = await reveal(place, 1, 2)
    await place.mine(1)
    await until_confirmed(stream, block)
    await place.dev("anvil_reorg", 3, [])
    await place.mine()
    with pytest.raises(ReorganisedTooDeep, match=f"block {block} was confirmed"):
        await until_head(stream, block + 2)
    await stream.aclose()


@pytest.mark.parametrize("near_blocks", [2, 64])
async def test_a_checkpoint_of_another_chain_stops_the_scan(place: Town, near_blocks: int) -> None:
    await place.mine(10)
    settings = ScannerSettings(poll_s=0.02, near_blocks=near_blocks)
    scanner = Scanner(place.rpc, place.adjudicator.address, settings)
    stream = scanner.follow(Checkpoint(place.deployed_in, b"\x11" * 32))
    with pytest.raises(ReorganisedTooDeep):
        await anext(stream)
    await stream.aclose()
    with pytest.raises(OperationalError, match="expected a block"):
        await checkpoint_at(place.rpc, 1_000_000)


async def test_another_contracts_address_is_noticed(place: Town) -> None:
    block = (await place.send(mint(), to=place.token.address)).block_number
    scanner = Scanner(place.rpc, place.token.address, ScannerSettings(poll_s=0.02))
    stream = scanner.follow(await checkpoint_at(place.rpc, block - 1))
    lost = await anext(stream)
    assert isinstance(lost, NodeLost) and "is the address right?" in lost.reason
    await stream.aclose()


def mint() -> bytes:
    return calls.keccak(b"mint(address,uint256)")[:4] + bytes(12) + b"\x01" * 20 + secret(5)


def hash_of(number: int) -> bytes:
    return hashlib.sha256(secret(number)).digest()


# --- a node that limits, and one that goes away -----------------------------------------------------


class Limited(RpcClient):
    """A client whose node refuses ranges of more than `most` blocks, as public nodes do."""

    most = 5
    refusals = 0
    ranges: list[int]

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            blocks = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            if blocks > self.most:
                self.refusals += 1
                raise NodeRefusal(method, -32005, "query returned more than 10000 results", None)
            self.ranges.append(blocks)
        return await super().call(method, *params, retried=retried)


async def test_ranges_shrink_to_what_the_node_accepts_and_grow_again(place: Town) -> None:
    await place.mine(400)
    block = await reveal(place, 1)
    async with Limited(RpcSettings(place.url, attempts=1)) as rpc:
        rpc.ranges = []
        ranges = LogRanges(rpc, place.adjudicator.address, 64)
        first, logs = place.deployed_in + 1, []
        while first <= block:
            found, last = await ranges.fetch(first, block)
            logs += found
            first = last + 1
        assert [entry.block_number for entry in logs] == [block]
        assert sum(rpc.ranges) == block - place.deployed_in
        assert max(rpc.ranges) == 4
        assert rpc.refusals < len(rpc.ranges) / 4
        rpc.most = 1_000
        rpc.ranges.clear()
        for _ in range(40):
            await ranges.fetch(1, block)
        assert max(rpc.ranges) == 64
        rpc.most = 0
        with pytest.raises(NodeRefusal):
            await ranges.fetch(1, block)


class Flaky(RpcClient):
    """A client whose node is away while `away` is set."""

    away = False

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if self.away:
            raise OperationalError("node: no answer")
        return await super().call(method, *params, retried=retried)


async def test_a_node_that_goes_away_is_reported_and_nothing_is_lost(place: Town) -> None:
    async with Flaky(RpcSettings(place.url, attempts=1)) as rpc:
        scanner = Scanner(rpc, place.adjudicator.address, ScannerSettings(poll_s=0.02))
        stream = scanner.follow(await checkpoint_at(rpc, place.deployed_in))
        await until_head(stream, await reveal(place, 1))
        rpc.away = True
        assert await anext(stream) == NodeLost("node: no answer")
        block = await reveal(place, 2, 3)
        assert isinstance(await anext(stream), NodeLost)
        rpc.away = False
        assert revealed(await until_head(stream, block)) == [2, 3]
        await stream.aclose()


async def test_a_request_may_be_submitted_while_the_scanner_runs(place: Town) -> None:
    stream = await place.scan()
    await place.alice.submit("a secret", Request(place.adjudicator.address, calls.register_secret(secret(9))))
    await until(stream, lambda item: revealed([item]) == [9])
    await stream.aclose()
