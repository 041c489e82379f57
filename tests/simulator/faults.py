"""What befalls everybody: links break, processes die, the chain is late, dear or another one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

SPIKE_MS = 40_000
"""Longer than the margin for a secret allows, and even an honest node could not keep its own."""


def begin(life: "Life") -> None:
    end_ms = life.now_ms + life.plan.storm_ms
    pace = life.dice.pick(((3_000, 12_000), (15_000, 60_000), (40_000, 150_000)))

    def strike() -> None:
        if life.now_ms >= end_ms:
            return
        name, fault = life.dice.pick(_WEIGHTED)
        if fault(life):
            life.ledger.count("fault", name)
            life.note("fault", name)
        life.after(life.dice.pick(pace), strike)

    life.after(life.dice.pick(pace), strike)


def reorganises(life: "Life") -> bool:
    """A block in fifteen comes with another past, while there is trouble."""
    return life.network.troubled and life.dice.one_in(15) and len(life.chain.blocks) > 8


def cut(life: "Life") -> bool:
    up = [link for link in life.network.links.values() if link.up]
    if not up:
        return False
    link = life.dice.pick(up)
    life.network.disconnect(link, "cut")
    return True


def die_at_a_write(life: "Life") -> bool:
    node = _victim(life)
    if node is None:
        return False
    before = bool(life.dice.below(2))
    node.journal.die(1 + life.dice.below(4), before=before)
    life.ledger.count("fault", "crash before a write" if before else "crash after a write")
    return True


def die_between_effects(life: "Life") -> bool:
    node = _victim(life)
    if node is None:
        return False
    node.effects_left = 1 + life.dice.below(6)
    return True


def die_at_a_transaction(life: "Life") -> bool:
    node = _victim(life)
    if node is None:
        return False
    node.transactions_left = 1 + life.dice.below(2)
    return True


def sleep(life: "Life") -> bool:
    """Away for minutes: it may miss what it should have seen."""
    node = _victim(life)
    if node is None or not life.dice.one_in(3):
        return False
    node.slept = node.doomed = True
    life.note("sleeps", node.name)
    life.after(life.dice.pick((60_000, 200_000, 350_000)), lambda: revive(life, node))
    return True


def oversleep(life: "Life") -> bool:
    """Away until the deadline of something that it is owed is over."""
    owed = [
        (node, claim.deadline_s)
        for node in life.up()
        if node.honest
        for channel in node.channels()
        if channel.phase.signs_states
        for claim in channel.theirs.claims.values()
        if claim.payee is channel.me and claim.hashlock is not None
        if life.now_s < claim.deadline_s < life.now_s + 700
    ]
    if not owed or not life.dice.one_in(3):
        return False
    node, deadline_s = life.dice.pick(owed)
    node.slept = node.doomed = True
    life.note("sleeps", node.name)
    life.at((deadline_s + life.dice.pick((30, 150))) * 1000, lambda: revive(life, node))
    return True


def forget(life: "Life") -> bool:
    """Back from a backup that was made a while ago."""
    node = _victim(life)
    if node is None or not life.dice.one_in(25) or any(other.forgetful for other in life.nodes):
        return False
    backup = node.journal.backup()

    def restore() -> None:
        if node.alive:
            node.forgetful = node.doomed = True
            life.note("forgets", node.name)
            life.ledger.count("fault", "forgotten")
            node.next_journal = backup

    life.after(life.dice.pick((5_000, 60_000)), restore)
    return True


def stick(life: "Life") -> bool:
    """Its Ethereum node shows nothing new for a while; past two minutes the clocks disagree."""
    node = _victim(life)
    if node is None:
        return False
    node.stuck = True

    def loosen() -> None:
        node.stuck = False
        node.look()

    life.after(life.dice.pick((15_000, 30_000)), loosen)
    return True


def spike(life: "Life") -> bool:
    """Gas is dear: whatever waits, waits longer."""
    chain = life.chain
    chain.spike_until_ms = life.now_ms + 1000 * (10 + life.dice.below(SPIKE_MS // 1000 - 10))
    for transaction in chain.mempool:
        transaction.ready_ms = max(transaction.ready_ms, chain.spike_until_ms)
    return True


def drift(life: "Life") -> bool:
    """A computer's clock is set wrong, and set right again."""
    node = _victim(life)
    if node is None:
        return False
    node.wall_offset_s = life.dice.pick((500.0, -500.0, 20.0))

    def right() -> None:
        node.wall_offset_s = 0.0

    life.after(life.dice.pick((20_000, 120_000)), right)
    return True


def revive(life: "Life", node: "SimulatedNode") -> None:
    """It starts again, and its links come back one by one."""
    if node.alive or node.vanished:
        return
    life.note("starts", node.name)
    if node.next_journal is not None:
        node.journal, node.next_journal = node.next_journal, None
    node.start()
    life.stir(node)
    for link in life.network.links_of(node.node_id):
        life.after(life.dice.pick((10, 100, 900, 5_000)), lambda link=link: life.network.connect(link))


def _victim(life: "Life") -> "SimulatedNode | None":
    """Somebody honest: liars have their own ways of being away."""
    up = [node for node in life.up() if node.honest]
    return life.dice.pick(up) if up else None


FAULTS: dict[str, tuple[Callable[["Life"], bool], int]] = {
    "cut": (cut, 5),
    "die at a write": (die_at_a_write, 5),
    "die between effects": (die_between_effects, 2),
    "die at a transaction": (die_at_a_transaction, 1),
    "sleep": (sleep, 1),
    "oversleep": (oversleep, 1),
    "forget": (forget, 1),
    "stuck": (stick, 2),
    "gas spike": (spike, 3),
    "clock set wrong": (drift, 2),
}
_WEIGHTED = [(name, fault) for name, (fault, weight) in FAULTS.items() for _ in range(weight)]
