"""Who there is and who has a channel with whom."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from channeld.core.draft import HubPolicy
from channeld.core.identity import ChannelParams
from tests.contracts.model.calls import Call
from tests.dice import Dice
from tests.simulator.chain import Transaction, as_model

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
SHAPES = ("line", "line", "star", "ring", "mesh")
ETH = bytes(20)
STAKE = 3_000


@dataclass(frozen=True, slots=True)
class Plan:
    names: tuple[str, ...]
    liars: frozenset[str]
    edges: tuple[tuple[str, str], ...]
    shape: str
    assets: int
    storm_ms: int


def plan(dice: Dice, *, honest: bool) -> Plan:
    """Mostly three or four: every one more makes lives slower, not richer."""
    if not honest and dice.one_in(4):
        return thieves(dice)
    count = dice.pick((2, 2, 3, 3, 3, 3, 4, 4, 5, 6, 8))
    names = NAMES[:count]
    shape = dice.pick(SHAPES) if count > 2 else "line"
    liars: frozenset[str] = frozenset()
    if not honest and dice.below(3):
        number = 1 if count == 2 else dice.pick((1, 1, 2))
        liars = frozenset(names[dice.below(count)] for _ in range(number))
        if len(liars) == count:
            liars = frozenset(names[:1])
    storm_ms = 1000 * dice.pick((200, 300, 500, 900))
    return Plan(names, liars, tuple(_edges(dice, names, shape)), shape, dice.pick((1, 1, 2)), storm_ms)


def thieves(dice: Dice) -> Plan:
    """Bob, with liars on both sides."""
    names = NAMES[: dice.pick((3, 3, 4))]
    edges = tuple((names[at], names[at + 1]) for at in range(len(names) - 1))
    return Plan(names, frozenset(("alice", "carol")), edges, "thieves", 1, 1000 * dice.pick((400, 900)))


def _edges(dice: Dice, names: tuple[str, ...], shape: str) -> list[tuple[str, str]]:
    row = [(names[at], names[at + 1]) for at in range(len(names) - 1)]
    match shape:
        case "star":
            return [(names[0], name) for name in names[1:]]
        case "ring":
            return [*row, (names[-1], names[0])]
        case "mesh":
            others = [
                (one, two)
                for at, one in enumerate(names)
                for two in names[at + 2 :]
                if len(names) < 5 or dice.one_in(4)
            ]
            return row + others
        case _:
            return row


def furnish(life: "Life") -> None:
    """Start everybody, and open a channel along every edge, funded from both sides."""
    for node in life.nodes:
        life.chain.endow(node.address)
        node.confirmations = life.dice.pick((4, 4, 6))
        node.wall_offset_s = life.dice.pick((0, 0, 0, 5, -5, 40, -40))
        node.policy = HubPolicy(
            base_fee=life.dice.pick((0, 1, 2)), fee_ppm=life.dice.pick((0, 0, 500, 10_000))
        )
    for one, two in life.plan.edges:
        life.network.add(life.node(one), life.node(two))
    for number, (one, two) in enumerate(life.plan.edges):
        for asset in (ETH, *life.chain.tokens)[: life.plan.assets]:
            open_channel(life, life.node(one), life.node(two), asset, number, STAKE, STAKE)
    for node in life.nodes:
        node.start()
    for link in life.network.links.values():
        life.network.connect(link)


def open_channel(
    life: "Life", one: "SimulatedNode", two: "SimulatedNode", asset: bytes, salt: int, first: int, second: int
) -> None:
    """Each end pays in its own part."""
    low, high = sorted((one, two), key=lambda node: node.address)
    period_s = life.dice.pick((900, 1_200, 3_600))
    params = ChannelParams(low.address, high.address, asset, period_s, salt)
    for node, amount in ((one, first), (two, second)):
        if amount:
            deposit(life, node, params, node is high, amount)


def deposit(life: "Life", node: "SimulatedNode", params: ChannelParams, to_b: bool, amount: int) -> None:
    value_wei = amount if params.asset == ETH else 0
    call = Call("deposit", (as_model(params), to_b, amount), value_wei=value_wei)
    life.chain.submit(Transaction(node.address, node.wallet.next_nonce(), call, life.now_ms, life.now_ms))
