"""The model and the core, side by side along random paths: so that the model cannot drift from the code.

After every move both must hold the same states of the same versions, with the same things waiting, held and
known. An adversary around the real core, a random path of the model's.
"""

import random
from collections import Counter

import pytest

from tests.model.comparing import Compared, has_counterpart
from tests.model.exploring import Packer
from tests.model.neighbourhood import Neighbourhood
from tests.model.play import Play
from tests.model.product import as_addressed
from tests.model.scenes import Scene, buyer, line, neighbours, payment, trade, two_payments, writer
from tests.model.world import Label, Move

SCENES = {
    "a payment": payment(),
    "two payments under one hashlock": two_payments(same_lock=True),
    "two payments": two_payments(),
    "two payments in opposite directions": two_payments(opposite=True),
    "a trade": trade(),
    "bob writes an option": writer(),
    "bob buys an option": buyer(),
}

KINDS = {
    "ack",
    "hang up",
    "looks again",
    "parent said again",
    "peer acks",
    "peer signs",
    "peer tells",
    "register",
    "tick",
    "update",
}
"""The kinds of moves that the product has a counterpart of, but for "dropped", which is seldom."""

NAMES = (("alice", "bob", "carol"), ("mallory", "bob", "mallet"), ("ann", "bob", "dan"))
"""Three casts, whose addresses give bob other sides of his channels."""


def drawn(chance: random.Random, moves: list[Move]) -> Move:
    """Some move; what there is little choice of comes as often as what there is much of, but time seldom."""
    kinds: dict[tuple[str, str], list[Move]] = {}
    for move in moves:
        kinds.setdefault((str(move.label[0]), str(move.label[-1])), []).append(move)
    calm = [alike for (kind, _), alike in kinds.items() if kind not in ("tick", "register")]
    return chance.choice(chance.choice(calm if calm and chance.random() < 0.85 else list(kinds.values())))


def led(scene: Scene, names: tuple[str, ...], seed: int, steps: int) -> Counter[object]:
    """One random path; how often each kind of move came."""
    chance = random.Random(seed)
    scene, network = as_addressed(scene, names[: len(scene.nodes)])
    play = Play(scene)
    world, product = play.begin(), Compared(play, network)
    trace: list[Label] = []
    for _ in range(steps):
        assert product.differences(world) == [], trace
        moves = [move for move in play.moves(world) if has_counterpart(play, move)]
        if not moves:
            break
        move = drawn(chance, moves)
        trace.append(move.label)
        product.move(move.label, world)
        world = move.world
    assert product.differences(world) == [], trace
    return Counter(label[0] for label in trace)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_the_core_goes_where_the_model_goes(scene: Scene, counted: list[str]):
    kinds: Counter[object] = Counter()
    for seed in range(60):
        kinds += led(scene, NAMES[seed % len(NAMES)], seed, steps=40)
    counted.append(f"the core beside the model: {kinds.total():,} moves, {dict(kinds)}")
    assert kinds.keys() >= KINDS - {"looks again", "peer tells"}


@pytest.mark.parametrize(
    "scene",
    [payment(traffic=False), buyer(traffic=False), writer(traffic=False)],
    ids=["payment", "buyer", "writer"],
)
def test_the_core_goes_every_way_that_the_model_goes(scene: Scene, counted: list[str]):
    """Complete: every move of every state, from a copy of the core that has come the same way."""
    scene, network = as_addressed(scene, NAMES[0][: len(scene.nodes)])
    play = Play(scene)
    packer, kinds = Packer(play), Counter()
    start = play.begin()
    ways, seen = [(start, Compared(play, network))], {packer.pack(start)}
    while ways:
        world, product = ways.pop()
        for move in play.moves(world):
            if not has_counterpart(play, move):
                continue
            there = product.fork()
            there.move(move.label, world)
            assert there.differences(move.world) == [], (move.label, world)
            kinds[move.label[0]] += 1
            key = packer.pack(move.world)
            if key not in seen:
                seen.add(key)
                ways.append((move.world, there))
    counted.append(f"the core in {len(seen):,} states of the model: {kinds.total():,} moves, {dict(kinds)}")
    assert kinds.keys() >= (KINDS if scene.owners == (None,) else KINDS - {"peer tells"})


HONEST = {
    "neighbours, two losses": neighbours(drops=2),
    "a line of three, one loss": line(drops=1),
    "a line of three there and back, two losses": line(there_and_back=True, drops=2),
    "a line of four, one loss": line(hops=3, drops=1),
}


@pytest.mark.parametrize("scene", HONEST.values(), ids=HONEST.keys())
def test_honest_cores_go_where_the_model_goes(scene: Scene, counted: list[str]):
    """Several cores, what is on its way between them, and connections that are lost (R12)."""
    kinds: Counter[object] = Counter()
    for seed in range(40):
        chance = random.Random(seed)
        sided, network = as_addressed(scene, scene.nodes)
        play = Play(sided)
        world, cores = play.begin(), Neighbourhood(play, network)
        trace: list[Label] = []
        while moves := list(play.moves(world)):
            assert cores.differences(world) == [], trace
            move = chance.choice(moves)
            trace.append(move.label)
            cores.move(move.label)
            world = move.world
        assert cores.differences(world) == [], trace
        kinds += Counter(label[0] for label in trace)
    counted.append(f"cores beside the model: {kinds.total():,} moves, {dict(kinds)}")
    assert kinds.keys() >= {"update", "ack", "hears", "drop", "connect", "tick"}


def test_a_model_with_another_rule_is_told_from_the_core(monkeypatch: pytest.MonkeyPatch):
    """The comparison can fail: here the core signs other versions than the model."""
    monkeypatch.setattr("channeld.core.channel.child_version", lambda parent, proposer: parent + 2)
    with pytest.raises(AssertionError):
        for seed in range(50):
            led(payment(), NAMES[0], seed, steps=40)
