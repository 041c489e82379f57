"""One life: a number decides who lives where, what they want, and everything that befalls them.

Virtual time in milliseconds; one event after the other. First everybody wants things while the world
is cruel to them, then the network heals, and in the end everything must be resolved.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from channeld.core.channel import Channel
from channeld.core.claims import Claim
from channeld.core.effects import (
    Disconnect,
    Effect,
    PublishPrice,
    RegisterSecret,
    SubmitChallenge,
    SubmitClose,
    SubmitResponse,
    SubmitSettlement,
)
from channeld.core.messages import Relay
from tests.dice import Dice
from tests.simulator import acts, faults, healing
from tests.simulator.chain import SLOT_S, Chain
from tests.simulator.judge import Judge
from tests.simulator.ledger import Ledger, Trace
from tests.simulator.market import Market
from tests.simulator.mischief import Mischief
from tests.simulator.network import Network, Speaker, message_name
from tests.simulator.node import SimulatedNode, operations_in
from tests.simulator.place import furnish, plan, thieves

T0_S = 1_900_000_000 // SLOT_S * SLOT_S
PULSE_MS = 3_000
IDLE_SLOT_S = 60
NEAR_S = 400
TOKEN = b"\x77" * 20

ASYNCHRONOUS = (
    Disconnect,
    RegisterSecret,
    PublishPrice,
    SubmitClose,
    SubmitChallenge,
    SubmitResponse,
    SubmitSettlement,
)
"""Effects that go on in a task."""


class Broken(AssertionError):
    """Something that must never be."""


class Life:
    def __init__(self, seed: int, *, loud: bool = False, honest: bool = False, schemes: bool = False) -> None:
        """`honest`: nobody lies. `schemes`: liars around bob do nothing else, and nothing else happens."""
        self.seed = seed
        self.schemes = schemes
        self.dice = Dice(seed)
        self.ledger = Ledger(lives=1)
        self.trace = Trace(loud=loud)
        self.now_ms = T0_S * 1000
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._stirred: dict[str, SimulatedNode] = {}
        self._unsettled = False
        self._broken: list[str] = []
        self.idle = False
        self.close_validity_s = self.dice.pick((300, 900, 3_600))
        self.chain = Chain(self.dice, T0_S, (TOKEN,), self.ledger.of("chain"))
        self.market = Market(self.dice, T0_S, lambda: self.now_s, early=schemes)
        self.network = Network(self.dice, lambda: self.now_ms, self.at, self.accuse, self.note)
        self.plan = thieves(self.dice) if schemes else plan(self.dice, honest=honest)
        self.nodes = [
            SimulatedNode(self, name, honest=name not in self.plan.liars) for name in self.plan.names
        ]
        self.by_id = {node.node_id: node for node in self.nodes}
        self.mischief = Mischief(self)
        self.judge = Judge(self)

    # --- who is who -----------------------------------------------------------------------------------

    def node(self, name: str) -> SimulatedNode:
        return next(node for node in self.nodes if node.name == name)

    def honest(self) -> list[SimulatedNode]:
        return [node for node in self.nodes if node.honest]

    def liars(self) -> list[SimulatedNode]:
        return [node for node in self.nodes if not node.honest]

    def up(self) -> list[SimulatedNode]:
        """Those that can be asked for something."""
        return [node for node in self.nodes if node.alive and not node.doomed]

    def neighbours(self, node: SimulatedNode) -> list[SimulatedNode]:
        return [self.by_id[link.other(node.node_id).node_id] for link in self.network.links_of(node.node_id)]

    # --- what the parts tell --------------------------------------------------------------------------

    @property
    def now_s(self) -> int:
        return self.now_ms // 1000

    def note(self, what: str, text: str) -> None:
        self.trace.note(f"{self.now_ms - T0_S * 1000:>9} {what}: {text}")
        self.ledger.count("event", what)

    def at(self, at_ms: int, happens: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_ms, self._count, happens))

    def after(self, delay_ms: int, happens: Callable[[], None]) -> None:
        self.at(self.now_ms + delay_ms, happens)

    def stir(self, node: SimulatedNode) -> None:
        """The node has something to do."""
        self._stirred[node.name] = node
        self._unsettled = True

    def delivered(self, target: SimulatedNode, source_id: bytes, data: bytes) -> None:
        name = message_name(data)
        self.ledger.count("message", name)
        kinds = operations_in(data) if name == "Update" else []
        for kind in kinds:
            self.ledger.count("operation", kind)
        source = self.by_id[source_id].name
        self.note("heard", f"{target.name} from {source}: {name} {' '.join(kinds)} {data.hex()[:24]}")

    def effect(self, node: SimulatedNode, effect: Effect) -> None:
        self.ledger.count("effect", type(effect).__name__)
        if node.honest:
            self.judge.leaves(node, effect)
        if isinstance(effect, ASYNCHRONOUS):
            self._unsettled = True
            self.note("does", f"{node.name} {type(effect).__name__}")

    def turned(self, node: SimulatedNode) -> None:
        if node.honest and node.alive:
            self.judge.look(node)

    def accuse(self, accuser: Speaker, accused: Speaker, reason: str) -> None:
        self.note("accused", f"{accuser.name} drops {accused.name}: {reason}")
        other = self.by_id[accused.node_id]
        if self.by_id[accuser.node_id].honest and other.honest and not other.forgetful:
            self._broken.append(f"{accuser.name} accuses {accused.name}, who is honest: {reason}")

    def fail(self, why: str) -> None:
        """Something is that must never be; the life ends with it."""
        self.note("BROKEN", why)
        self._broken.append(why)

    def relayed(self, node: SimulatedNode, relay: Relay) -> None:
        self.market.heard(self, node, relay)

    def watcher_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._broken.append(f"a chain watcher ended: {task.exception()!r}")

    # --- living ---------------------------------------------------------------------------------------

    async def live(self) -> Ledger:
        asyncio.get_running_loop().set_exception_handler(self._unheard)
        furnish(self)
        await self._until(lambda: False, self.now_ms + 1)
        self._slot()
        self._pulse()
        await healing.settle_in(self)
        if not self.schemes:
            acts.begin(self)
            faults.begin(self)
        self.mischief.begin()
        await self._until(lambda: False, self.now_ms + self.plan.storm_ms)
        await healing.heal(self)
        self.judge.last_look()
        await self.come_to_rest()
        for node in self.nodes:
            await node.crash()
        self.ledger.steps = self._steps
        return self.ledger

    _steps = 0

    async def _until(self, done: Callable[[], bool], end_ms: int) -> None:
        """One event after the other until something is so, or until a time."""
        while not done() and self._events and self._events[0][0] <= end_ms:
            at_ms, _, happens = heapq.heappop(self._events)
            self.now_ms = max(self.now_ms, at_ms)
            self._steps += 1
            happens()
            await self.come_to_rest()
        if not done():
            self.now_ms = max(self.now_ms, end_ms)

    async def run_until(self, done: Callable[[], bool], within_s: int) -> bool:
        await self._until(done, self.now_ms + within_s * 1000)
        return done()

    async def come_to_rest(self) -> None:
        """Let tasks run and nodes turn until nothing is left to do at this instant."""
        for _ in range(200):
            if self._unsettled:
                self._unsettled = False
                for _ in range(4):
                    await asyncio.sleep(0)
            stirred, self._stirred = self._stirred, {}
            for node in stirred.values():
                node.turn()
            for node in self.nodes:
                if node.doomed and node.alive:
                    await self._bury(node)
            if self._broken:
                raise Broken(self._broken[0])
            if not self._unsettled and not self._stirred:
                return
        raise Broken("the nodes never come to rest")

    async def _bury(self, node: SimulatedNode) -> None:
        await node.crash()
        if node.vanished:
            return
        self.ledger.count("fault", "crash")
        self.after(self.dice.pick((300, 1_000, 4_000, 15_000)), lambda: faults.revive(self, node))

    def _unheard(self, loop: Any, context: dict[str, Any]) -> None:
        self._broken.append(f"a task failed: {context.get('exception')!r} {context.get('message')}")

    # --- time on the chain ----------------------------------------------------------------------------

    def _slot(self) -> None:
        now_s = self.now_s
        if faults.reorganises(self):
            depth = 1 + self.dice.below(min(3, len(self.chain.blocks) - 1))
            self.chain.reorganise(depth, self.now_ms)
            self.note("reorganisation", str(depth))
        block = self.chain.mine(now_s, self.now_ms)
        mined = [f"{each.call.name}{'!' if each.outcome else ''}" for each in block.transactions]
        if mined:
            self.note("block", f"{block.number}: {' '.join(mined)}")
        self.judge.new_block()
        for node in self.nodes:
            self.after(self.dice.pick((100, 400, 900, 2_000, 5_000)), node.look)
        self.after(1000 * (IDLE_SLOT_S if self.idle and self._may_idle() else SLOT_S), self._slot)

    def _may_idle(self) -> bool:
        """Whether nobody waits for a block: nothing is to be mined, and no deadline is near."""
        return not self.chain.mempool and not any(
            claim.hashlock is not None and -IDLE_SLOT_S <= claim.deadline_s - self.now_s <= NEAR_S
            for node in self.up()
            for channel in node.channels()
            for claim in open_claims_of(channel)
        )

    def _pulse(self) -> None:
        for node in self.up():
            node.fetch_prices()
            node.hang_up()
            self._stirred[node.name] = node
        self.after(15_000 if self.idle else PULSE_MS, self._pulse)


def open_claims_of(channel: Channel) -> list[Claim]:
    return [claim for state in channel.enforceable for claim in state.claims.values()]


def run_life(seed: int, *, loud: bool = False, honest: bool = False, schemes: bool = False) -> Life:
    """Live one life; raises Broken, or whatever else went wrong, with the life's last lines."""
    life = Life(seed, loud=loud, honest=honest, schemes=schemes)
    try:
        asyncio.run(life.live())
    except Exception as error:
        tail = "\n".join(life.trace.lines[-40:])
        raise Broken(f"life {seed}: {type(error).__name__}: {error}\n{tail}") from error
    return life
