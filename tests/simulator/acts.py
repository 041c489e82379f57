"""What people want of their own nodes, rightly or not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from channeld.core.channel import Channel, Phase
from channeld.core.events import (
    CloseRequested,
    Event,
    InvoiceCreated,
    OptionRequested,
    PaymentRequested,
    PushesRequested,
    SettlementRequested,
)
from channeld.core.forwarding import hub_fee
from channeld.core.messages import Deliver, Instruction, QuoteReply, WriteOption
from channeld.core.operations import NO_STREAM, STREAM_BYTES, Push
from channeld.core.records import Invoice, OptionLeg
from channeld.wire.packet import Hop, build_packet
from tests.simulator.market import FEED_ID, Offer
from tests.simulator.place import deposit, open_channel

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

AMOUNTS = (1, 3, 40, 40, 150, 150, 600, 600, 1_500, 2_990, 9_000)
LIVES_S = (600, 600, 600, 400, 280, 1_500, 3_000, 7_000)
"""From an offer to its deadline: too short and too long ones too."""
USUAL_S = 600


@dataclass(frozen=True, slots=True)
class Way:
    """A route of channels through nodes; `nodes` has one more than `channels`."""

    nodes: tuple["SimulatedNode", ...]
    channels: tuple[bytes, ...]
    asset: bytes


def begin(life: "Life") -> None:
    """People want things all the time until the storm is over."""
    end_ms = life.now_ms + life.plan.storm_ms

    def want() -> None:
        if life.now_ms >= end_ms:
            return
        name, act = life.dice.pick(_WEIGHTED)
        life.ledger.count("act" if act(life) else "act in vain", name)
        life.after(life.dice.pick((100, 500, 3_000, 10_000, 30_000)), want)

    want()


def way(life: "Life", *, longest: int = 4) -> Way | None:
    """A random walk over channels of one asset that never meets a node twice."""
    up = life.up()
    if not up:
        return None
    node = life.dice.pick(up)
    asset = life.dice.pick((bytes(20), *life.chain.tokens))
    nodes, channels = [node], []
    hops = 1 + life.dice.below(longest)
    while len(channels) < hops:
        onward = [
            channel
            for channel in nodes[-1].channels()
            if channel.params.asset == asset and life.by_id.get(channel.peer, node) not in nodes
        ]
        onward = [each for each in onward if each.peer in life.by_id and _usable(life, each)]
        if not onward:
            break
        channel = life.dice.pick(onward)
        nodes.append(life.by_id[channel.peer])
        channels.append(channel.channel_id)
        if not nodes[-1].alive or nodes[-1].doomed:
            break
    return Way(tuple(nodes), tuple(channels), asset) if channels else None


def _usable(life: "Life", channel: Channel) -> bool:
    return channel.phase is Phase.OPEN or life.dice.one_in(8)


def _packet(
    life: "Life", route: Way, amount: int, deadline_s: int, last: Instruction, leg: OptionLeg | None
) -> tuple[bytes, int]:
    """The packet for the first hop and the fees of all."""
    hops: list[Hop] = []
    owed = amount
    now_s = life.now_s
    for node, channel_id in reversed(list(zip(route.nodes[1:-1], route.channels[1:], strict=True))):
        hops.insert(0, Hop(channel_id, owed, deadline_s, leg))
        owed += hub_fee(node.policy, owed, leg, now_s)
    return build_packet(hops, last), owed - amount


def pay(life: "Life", *, amount: int = 0) -> bool:
    """An invoice and its payment; now and then something about it is wrong."""
    route = way(life)
    if route is None:
        return False
    source, target = route.nodes[0], route.nodes[-1]
    dice = life.dice
    amount = amount or dice.pick(AMOUNTS)
    preimage = life.market.fresh("invoice")
    hashlock = sha256(preimage).digest()
    secret = life.market.fresh("payment secret")
    spoil = dice.pick(("", "", "", "", "", "", "hash", "secret", "fee", "asset"))
    now_s = target.engine.clock.now_s if target.alive else life.now_s
    lives_s = dice.pick((3_600, 3_600, 3_600, 20))
    asset = bytes(20) if spoil == "asset" else route.asset
    bill = Invoice(hashlock, preimage, secret, asset, amount, "", now_s, now_s + lives_s)
    if spoil != "hash" and not target.ask(InvoiceCreated(bill)):
        return False
    deadline_s = source.tables.now_s + dice.pick(LIVES_S)
    last = Deliver(bytes(32) if spoil == "secret" else secret, amount)
    packet, fee = _packet(life, route, amount, deadline_s, last, None)
    request = PaymentRequested(
        hashlock,
        target.node_id,
        route.asset,
        amount,
        0 if spoil == "fee" else fee,
        route.channels[0],
        deadline_s,
        packet,
        "",
        source.tables.now_s,
    )
    if not _ask(life, source, request):
        return False
    life.ledger.count("act", f"pay over {len(route.channels)} hops")
    wait_ms = dice.pick((15_000, 60_000, 200_000))
    life.after(wait_ms, lambda: _pay_again(life, source, request) if dice.one_in(8) else None)
    if dice.one_in(20) and source.alive:  # once more, by mistake
        life.ledger.count("act", "pay twice" if _ask(life, source, request) else "refuse to pay twice")
    return True


def _pay_again(life: "Life", source: "SimulatedNode", request: PaymentRequested) -> None:
    """Its end was overlooked: a payment that has failed may be made again, one that succeeded not."""
    if source.alive and not source.doomed:
        again = replace(request, now_s=source.tables.now_s)
        life.ledger.count("act", "pay again" if _ask(life, source, again) else "refuse to pay again")


def pay_many(life: "Life") -> bool:
    return sum(pay(life, amount=1 + life.dice.below(60)) for _ in range(2 + life.dice.below(6))) > 0


def buy(life: "Life") -> bool:
    """Ask for a quote; the premium follows when the answer is there."""
    route = way(life)
    if route is None:
        return False
    source = route.nodes[0]
    offer = life.dice.pick(life.market.menu)
    if life.now_s + USUAL_S > offer.leg.terms.expiry_s and life.dice.below(4):
        return False

    def then(reply: QuoteReply) -> None:
        wait_ms = life.dice.pick((0, 0, 10, 500, 8_000))
        life.after(wait_ms, lambda: _take_quote(life, route, offer, reply))

    path = [node.node_id for node in route.nodes[1:]]
    return source.alive and life.market.ask(life, source, path, offer, route.asset, then)


def _take_quote(life: "Life", route: Way, offer: Offer, reply: QuoteReply) -> None:
    source = route.nodes[0]
    if not source.alive or source.doomed:
        return
    preimage = life.market.fresh("trade")
    deadline_s = min(source.tables.now_s + life.dice.pick(LIVES_S), offer.leg.terms.expiry_s)
    packet, fee = _packet(life, route, reply.premium, deadline_s, WriteOption(reply.quote_id), offer.leg)
    request = OptionRequested(
        preimage,
        sha256(preimage).digest(),
        offer.leg,
        route.asset,
        reply.premium,
        fee,
        route.nodes[-1].node_id,
        route.channels[0],
        deadline_s,
        packet,
        source.tables.now_s,
    )
    if _ask(life, source, request):
        life.ledger.count("act", f"buy over {len(route.channels)} hops")


def push(life: "Life") -> bool:
    """Money without a condition, to a neighbour."""
    found = _some_channel(life)
    if found is None:
        return False
    stream = life.dice.pick((NO_STREAM, b"s" * STREAM_BYTES))
    amounts = [life.dice.pick((1, 1, 7, 60, 700, 9_000)) for _ in range(1 + life.dice.below(4))]
    pushes = tuple(Push(stream, amount) for amount in amounts)
    return _ask(life, found[0], PushesRequested(found[1].channel_id, pushes))


def settle(life: "Life") -> bool:
    found = _some_channel(life)
    if found is None:
        return False
    node, channel = found
    expiry_s = life.dice.pick(life.market.expiries)
    return _ask(life, node, SettlementRequested(channel.channel_id, FEED_ID, expiry_s))


def close(life: "Life") -> bool:
    found = _some_channel(life)
    if found is None or not life.dice.one_in(6):
        return False
    return _ask(life, found[0], CloseRequested(found[1].channel_id, False))


def close_under_load(life: "Life") -> bool:
    """Money goes both ways without a pause while both ends ask for the close, or one of them."""
    free = [
        (node, life.by_id[channel.peer], channel.channel_id)
        for node in life.up()
        for channel in node.channels()
        if channel.phase is Phase.OPEN and channel.peer in life.by_id and not channel.theirs.claims
        if channel.channel_id in node.tables.online
    ]
    if not free or not life.dice.one_in(2):
        return False
    *ends, channel_id = life.dice.pick(free)
    request = PushesRequested(channel_id, (Push(NO_STREAM, 1),))
    closing = CloseRequested(channel_id, False)
    asked: list[tuple[int, SimulatedNode, Event]] = [
        (wait_ms, life.dice.pick(ends), request) for wait_ms in range(1, 300, 12)
    ]
    closers = life.dice.pick((ends, ends, ends[:1]))
    asked += [(60 + life.dice.below(120), closer, closing) for closer in closers]
    for wait_ms, who, what in asked:
        life.after(wait_ms, partial(_ask, life, who, what))
    return True


def leave(life: "Life") -> bool:
    found = _some_channel(life)
    if found is None or not life.dice.one_in(14):
        return False
    return _ask(life, found[0], CloseRequested(found[1].channel_id, True))


def top_up(life: "Life") -> bool:
    """And spend it as soon as may be: the peer may see it later."""
    found = _some_channel(life)
    if found is None:
        return False
    node, channel = found
    if channel.phase not in (Phase.OPEN, Phase.OPENING):
        return False
    deposit(life, node, channel.params, bool(channel.me), life.dice.pick((5, 500, 2_000)))
    if life.dice.one_in(2):
        for wait_s in range(36, 110, 3):
            life.after(1000 * wait_s, partial(_spend_all, life, node, channel.channel_id))
    return True


def _spend_all(life: "Life", node: "SimulatedNode", channel_id: bytes) -> None:
    """What this end sees paid in, while the other has not said that it sees it too."""
    if not node.alive or node.doomed:
        return
    channel = node.channel(channel_id)
    me, seen, said = channel.me, channel.deposits, channel.announced
    has = (seen.a - channel.theirs.net, seen.b + channel.theirs.net)[me]
    if (seen.a, seen.b)[me] > (said.a, said.b)[me] and has > 0:
        _ask(life, node, PushesRequested(channel_id, (Push(NO_STREAM, has),)))


def open_another(life: "Life") -> bool:
    """With a neighbour, or with one that nobody had for a neighbour."""
    if not life.dice.one_in(2) or len(life.nodes) < 2:
        return False
    one = life.dice.pick(life.nodes)
    two = life.dice.pick([node for node in life.nodes if node is not one])
    life.network.add(one, two)
    asset = life.dice.pick((bytes(20), *life.chain.tokens))
    salt = 1_000 + int.from_bytes(life.market.fresh("salt")[-8:], "big")
    open_channel(life, one, two, asset, salt, 2_000, life.dice.pick((0, 1_000)))
    for node in (one, two):
        if node.alive:
            node.peering.welcome((two if node is one else one).node_id)
    link = life.network.link(one.node_id, two.node_id)
    assert link is not None
    life.network.connect(link)
    return True


def _some_channel(life: "Life") -> tuple["SimulatedNode", Channel] | None:
    pairs = [(node, channel) for node in life.up() for channel in node.channels()]
    return life.dice.pick(pairs) if pairs else None


def _ask(life: "Life", node: "SimulatedNode", event: Event) -> bool:
    done = node.ask(event)
    life.note("asked" if done else "in vain", f"{node.name} {type(event).__name__}")
    return done


ACTS: dict[str, tuple[Callable[["Life"], bool], int]] = {
    "pay": (pay, 12),
    "pay many": (pay_many, 4),
    "ask for a quote": (buy, 8),
    "push": (push, 3),
    "settle": (settle, 2),
    "close": (close, 2),
    "close under load": (close_under_load, 3),
    "leave": (leave, 2),
    "top up": (top_up, 1),
    "open another": (open_another, 1),
}
_WEIGHTED = [(name, act) for name, (act, weight) in ACTS.items() for _ in range(weight)]
