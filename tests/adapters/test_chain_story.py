"""Deploy, deposit, read, dispute, settle: the adapter against the contract on two real nodes."""

import hashlib
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.events import (
    Challenged,
    ChannelClosed,
    ChannelOpened,
    Deposited,
    PricePublished,
    SecretsRegistered,
)
from channeld.adapters.chain.fields import MalformedAnswer
from channeld.adapters.chain.reads import code_at, eth_balance_wei, first_block_of, price_key
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient, RpcSettings
from channeld.adapters.chain.scanner import ConfirmedEvents, HeadSeen
from channeld.adapters.chain.slots import ChannelSlot, ChannelStatus
from channeld.adapters.signer import Signer
from channeld.core.claims import Claim, State
from channeld.wire.eip712 import (
    Feed,
    channel_id,
    claims_calldata,
    claims_hash,
    close_digest,
    price_digest,
    state_digest,
)
from contracts import artifacts
from tests.adapters.nodes import ALICE, BOB, A, B, Town


async def events_until_head(place: Town) -> list[object]:
    """Everything that the adjudicator logged since its deployment."""
    seen: list[object] = []
    head = await place.head()
    stream = await place.scan()
    async for item in stream:
        if isinstance(item, ConfirmedEvents):
            seen += item.events
        elif isinstance(item, HeadSeen) and item.number == head.number:
            break
    await stream.aclose()
    return seen


async def test_alice_opens_a_channel_in_eth_and_everybody_sees_it(place: Town) -> None:
    params = place.params()
    channel = channel_id(params, place.domain)
    before = await eth_balance_wei(place.rpc, place.adjudicator.address)
    await place.deposit(700)
    receipt = await place.deposit(41, to_b=True)

    assert await place.adjudicator.channel(channel) == ChannelSlot(700, 41, 0, ChannelStatus.OPEN, 0)
    earlier = await place.adjudicator.channel(channel, receipt.block_number - 1)
    assert earlier == ChannelSlot(700, 0, 0, ChannelStatus.OPEN, 0)
    assert await eth_balance_wei(place.rpc, place.adjudicator.address) == before + 741
    assert await events_until_head(place) == [
        ChannelOpened(channel, params, False, 700),
        Deposited(channel, ChannelSlot(700, 41, 0, ChannelStatus.OPEN, 0)),
    ]


async def test_alice_opens_a_channel_in_a_token_for_bob(place: Town) -> None:
    token = place.token
    await place.send(mint(ALICE.address, 10**20), to=token.address)
    params = place.params(asset=token.address)
    await place.send(calls.approve(place.adjudicator.address), to=token.address)
    assert await token.allowance(ALICE.address, place.adjudicator.address) == calls.UNLIMITED
    await place.send(calls.deposit(params, to_b=True, amount=10**19))

    assert await token.balance(ALICE.address) == 9 * 10**19
    assert await token.balance(place.adjudicator.address) == 10**19
    assert await token.decimals() == 6
    assert (await token.symbol()).isascii()
    channel = channel_id(params, place.domain)
    assert await events_until_head(place) == [ChannelOpened(channel, params, True, 10**19)]


async def test_both_agree_and_the_channel_closes_at_once(place: Town) -> None:
    params = place.params()
    channel = channel_id(params, place.domain)
    await place.deposit(1000)
    until_s = (await place.head()).timestamp_s + 3600
    digest = close_digest(place.domain, channel, 0, 300, until_s)
    await place.send(calls.close(params, 300, until_s, A.sign_digest(digest), B.sign_digest(digest)))
    slot = await place.adjudicator.channel(channel)
    assert slot == ChannelSlot(0, 0, 0, ChannelStatus.CLOSED, 0)
    assert (await events_until_head(place))[-1] == ChannelClosed(channel, 700, 300)


async def test_alice_leaves_alone_with_a_claim_whose_secret_is_registered(place: Town) -> None:
    params = place.params()
    channel = channel_id(params, place.domain)
    await place.deposit(1000)
    secret = b"s" * 32
    now_s = (await place.head()).timestamp_s
    claim = Claim(0, 250, hashlib.sha256(secret).digest(), now_s + 500)
    state = State(4, 100, {0: claim})
    signatures = signed_by_both(place, channel, state)
    await place.send(calls.challenge(params, 3, 90, bytes(32), *signed_by_both(place, channel, State(3, 90))))
    await place.send(calls.respond(params, 4, 100, claims_hash([claim]), *signatures))
    await place.send(calls.register_secret(secret))
    await place.send(calls.register_secrets([secret, b"t" * 32]))

    assert (await place.adjudicator.dispute(channel)).version == 4
    assert await place.adjudicator.secret_registered_s(claim.hashlock or b"") is not None
    assert await place.adjudicator.secret_registered_s(bytes(32)) is None
    events = await events_until_head(place)
    challenged = [event for event in events if isinstance(event, Challenged)]
    assert [(event.version, event.net) for event in challenged] == [(3, 90), (4, 100)]
    assert SecretsRegistered((secret,)) in events
    assert SecretsRegistered((secret, b"t" * 32)) in events

    settle = calls.settle_claims(params, 100, challenged[-1].salt, claims_calldata([claim]))
    with pytest.raises(NodeRefusal, match="settle: too early"):
        await place.send(settle)
    await place.mine_at((await place.adjudicator.channel(channel)).expiry_s)
    await place.send(settle)
    assert (await events_until_head(place))[-1] == ChannelClosed(channel, 650, 350)


async def test_version_0_needs_no_signature(place: Town) -> None:
    params = place.params()
    channel = channel_id(params, place.domain)
    await place.deposit(1000)
    nothing = calls.NO_SIGNATURE
    await place.send(calls.challenge(params, 0, 0, bytes(32), nothing, nothing))
    salt = [event.salt for event in await events_until_head(place) if isinstance(event, Challenged)]
    await place.mine_at((await place.adjudicator.channel(channel)).expiry_s)
    await place.send(calls.settle(params, 0, salt[0]))
    assert (await events_until_head(place))[-1] == ChannelClosed(channel, 1000, 0)


async def test_a_price_signed_by_two_of_three_is_published_once(place: Town) -> None:
    oracles = sorted((Signer.generate() for _ in range(3)), key=lambda signer: signer.address)
    feed = Feed("ETH/USD", 8, 1, 2, 24, tuple(signer.address for signer in oracles))
    instant_s = (await place.head()).timestamp_s
    digest = price_digest(feed.feed_id, instant_s, 4000 * 10**8)
    signatures = [signer.sign_digest(digest) for signer in (oracles[0], oracles[2])]
    with pytest.raises(NodeRefusal, match="must ascend"):
        await place.send(calls.publish_price(feed, instant_s, 4000 * 10**8, signatures[::-1]))
    receipt = await place.send(calls.publish_price(feed, instant_s, 4000 * 10**8, signatures))

    price = await place.adjudicator.price(feed.feed_id, instant_s)
    assert price is not None and price.price == 4000 * 10**8
    assert price.published_s >= instant_s and receipt.succeeded
    assert await place.adjudicator.price(feed.feed_id, instant_s + 1) is None
    published = PricePublished(price_key(feed.feed_id, instant_s), 4000 * 10**8)
    assert await events_until_head(place) == [published]


async def test_nobody_has_credit_before_a_push_failed(place: Town) -> None:
    assert await place.adjudicator.credit(bytes(20), ALICE.address) == 0
    with pytest.raises(NodeRefusal, match="nothing owed"):
        await place.send(calls.claim_credit(bytes(20), BOB.address))


async def test_the_first_block_of_a_contract_is_found(place: Town) -> None:
    await place.mine(20)
    first = await first_block_of(place.rpc, place.adjudicator.address)
    assert await code_at(place.rpc, place.adjudicator.address, first)
    assert not await code_at(place.rpc, place.adjudicator.address, first - 1)
    with pytest.raises(MalformedAnswer, match="code at the latest block"):
        await first_block_of(place.rpc, ALICE.address)


async def test_a_node_without_old_states_is_scanned_from_its_beginning(place: Town) -> None:
    class Pruned(RpcClient):
        async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
            if method == "eth_getCode" and params[1] != "latest":
                raise NodeRefusal(method, -32000, "missing trie node", None)
            return await super().call(method, *params, retried=retried)

    async with Pruned(RpcSettings(place.url)) as rpc:
        assert await first_block_of(rpc, place.adjudicator.address) == 0


async def test_the_deployed_code_is_the_committed_one(place: Town) -> None:
    code = await code_at(place.rpc, place.adjudicator.address)
    runtime = artifacts.adjudicator().bytecode_runtime
    assert code.startswith(runtime)  # what follows are the immutables


def mint(to: bytes, amount: int) -> bytes:
    """The test token's own call."""
    return calls.keccak(b"mint(address,uint256)")[:4] + bytes(12) + to + amount.to_bytes(32, "big")


def signed_by_both(place: Town, channel: bytes, state: State) -> tuple[bytes, bytes]:
    digest = state_digest(place.domain, channel, state)
    return A.sign_digest(digest), B.sign_digest(digest)
