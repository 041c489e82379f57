"""Liars: nodes whose daemon is a disguise. They say, sign, withhold and bring to the chain what they like.

A channel in which a liar has forged a batch is hers from then on: her daemon speaks no more in it, and
she plays both roles, the fitting answer and the wrong one. All liars tell each other everything.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from channeld.core.channel import Ack, Channel, Phase, Reestablish, Update, child_version
from channeld.core.claims import State
from channeld.core.messages import Complaint, DepositsSeen, Hello, Message, Shutdown
from channeld.core.operations import Add, Fulfil
from channeld.core.records import Invoice, Secret, Trade
from channeld.wire.messages import decode, encode
from tests.contracts.model.calls import Call
from tests.simulator import faults
from tests.simulator.chain import Transaction
from tests.simulator.forging import Forger, spoilt
from tests.simulator.lies import Repertoire
from tests.simulator.plots import plot
from tests.simulator.schemes import scheme
from tests.simulator.suing import challenge, register, settle_on_chain, submit_close

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode


class Mischief:
    def __init__(self, life: "Life") -> None:
        self._life = life
        self.repertoire = Repertoire(life)
        self.taken: set[tuple[str, bytes]] = set()
        self._silent: set[str] = set()
        self._said: dict[str, list[bytes]] = {}
        self._reserved: dict[tuple[str, bytes], int] = {}
        self.over = False
        self.end_ms = 0

    def begin(self) -> None:
        if not self._life.liars():
            return
        end_ms = self.end_ms = self._life.now_ms + self._life.plan.storm_ms
        pace = self._life.dice.pick(((300, 2_000), (1_000, 9_000), (8_000, 40_000)))

        def strike() -> None:
            if self._life.now_ms >= end_ms:
                return
            self._strike()
            self._life.after(self._life.dice.pick(pace), strike)

        self._life.after(self._life.dice.pick(pace), strike)

    def ends(self) -> None:
        """Some are never seen again; those who have taken no channel of their own may go on honestly."""
        self.over = True
        self._silent.clear()
        for liar in self._life.liars():
            taken = any(name == liar.name for name, _ in self.taken)
            if taken or liar.bewildered or self._life.dice.below(2):
                liar.vanished = liar.doomed = True
                self._life.ledger.count("mischief", "vanish for ever")

    def _strike(self) -> None:
        dice = self._life.dice
        self._gather()
        name, act = dice.pick(_SCHEMING if self._life.schemes else _WEIGHTED)
        forger = self._somebody()
        if forger is not None and act(self, forger):
            self._life.ledger.count("mischief", name)
            self._life.note("mischief", f"{forger.liar.name} to {forger.victim.name}: {name}")

    def _somebody(self) -> Forger | None:
        """A liar and one of her channels with somebody honest, mostly one that is still alive."""
        dice = self._life.dice
        pairs = [
            Forger(self._life.by_id[channel.peer], victim, channel.channel_id)
            for victim in self._life.honest()
            if victim.alive and not victim.doomed
            for channel in victim.channels()
            if channel.peer in self._life.by_id and not self._life.by_id[channel.peer].honest
            if channel.phase is not Phase.CLOSED and (channel.phase.signs_states or dice.one_in(3))
        ]
        pairs = [each for each in pairs if each.liar.alive and not each.liar.vanished]
        pairs = [each for each in pairs if not self._is_reserved(each)]
        return self._life.dice.pick(pairs) if pairs else None

    def reserve(self, forger: Forger, until_s: int) -> None:
        """Nothing but its plot happens in a channel until then."""
        self._reserved[forger.liar.name, forger.channel_id] = until_s

    def _is_reserved(self, forger: Forger) -> bool:
        return self._life.now_s < self._reserved.get((forger.liar.name, forger.channel_id), 0)

    def _gather(self) -> None:
        """Whatever any liar's daemon knows, all of them know."""
        for liar in self._life.liars():
            if not liar.alive:
                continue
            records = liar.tables.records
            for record in (*records[Invoice].values(), *records[Secret].values(), *records[Trade].values()):
                assert isinstance(record, Invoice | Secret | Trade)
                if record.preimage:
                    self.repertoire.know(record.preimage)

    # --- speech ---------------------------------------------------------------------------------------

    def spoken(self, liar: "SimulatedNode", peer_id: bytes, data: bytes) -> list[bytes]:
        """What becomes of what her daemon wants to say."""
        victim = self._life.by_id[peer_id]
        if liar.name in self._silent and not isinstance(decode(data), Hello):
            return []
        channel_id = getattr(decode(data), "channel_id", b"")
        if (liar.name, channel_id) not in self.taken or not victim.honest:
            self._remember(liar, data)
            return [data]
        if not isinstance(decode(data), Reestablish) or not victim.alive:
            return []
        if channel_id not in victim.tables.records[Channel]:
            return []
        return [encode(Forger(liar, victim, channel_id).reestablish())]

    def overheard(self, liar: "SimulatedNode", peer_id: bytes, data: bytes) -> bool:
        """Whether her daemon shall not hear it: it is about a channel that she has taken."""
        message = decode(data)
        if isinstance(message, Update):
            for operation in message.operations:
                if isinstance(operation, Fulfil):
                    self.repertoire.know(operation.preimage)
                elif isinstance(operation, Add):
                    self.repertoire.meet(operation.claim.hashlock)
        self._remember(liar, data)
        channel_id = getattr(message, "channel_id", b"")
        if (liar.name, channel_id) not in self.taken:
            return False
        victim = self._life.by_id[peer_id]
        if isinstance(message, Update) and victim.alive and not self.over and self._life.dice.below(4):
            forger = Forger(liar, victim, channel_id)
            delay_ms = self._life.dice.pick((5, 100, 2_000))
            self._life.after(delay_ms, lambda: self._react(forger))
        return True

    def _react(self, forger: Forger) -> None:
        if self.over or not forger.victim.alive or forger.victim.doomed or self._is_reserved(forger):
            return
        if self._life.dice.below(3):
            self.say(forger, forger.ack(forger.view.mine))
        else:
            play_along(self, forger)

    def _remember(self, liar: "SimulatedNode", data: bytes) -> None:
        said = self._said.setdefault(liar.name, [])
        said.append(data)
        del said[:-30]

    def old_words(self, liar: "SimulatedNode") -> list[bytes]:
        return self._said.get(liar.name, [])

    def say(self, forger: Forger, message: Message) -> bool:
        """Whoever would not be listened to introduces herself first, mostly."""
        listens = forger.channel_id in forger.victim.tables.online
        if isinstance(message, Update | Ack) and not listens and self._life.dice.below(12):
            self.say_bytes(forger, encode(forger.reestablish()))
        data = encode(message)
        self._remember(forger.liar, data)
        return self.say_bytes(forger, data)

    def say_bytes(self, forger: Forger, data: bytes) -> bool:
        link = self._life.network.link(forger.liar.node_id, forger.victim.node_id)
        if link is None or not link.up:
            return False
        self._life.network.carry(link, forger.liar, data)
        return True

    def take(self, forger: Forger) -> None:
        self.taken.add((forger.liar.name, forger.channel_id))

    def hush(self, liar: "SimulatedNode") -> None:
        """She sends nothing for a while, though she hears."""
        self._silent.add(liar.name)
        self._life.after(
            self._life.dice.pick((5_000, 60_000, 300_000)), lambda: self._silent.discard(liar.name)
        )

    def cut(self, forger: Forger) -> None:
        hang_up(self, forger)

    def leave(self, forger: Forger) -> None:
        if not self.over and forger.victim.alive and not forger.victim.doomed:
            challenge(self, forger)

    def submit(self, forger: Forger, call: Call) -> bool:
        liar = forger.liar
        now_ms = self._life.now_ms
        self._life.chain.submit(Transaction(liar.address, liar.wallet.next_nonce(), call, now_ms, now_ms))
        return True


def propose(mischief: Mischief, forger: Forger) -> bool:
    """Mostly right: on a state that the victim signed, of the version that follows from it."""
    dice = forger.liar.life.dice
    view = forger.view
    parent = dice.pick((forger.current, forger.current, forger.current, view.mine, view.theirs))
    mischief.take(forger)
    return mischief.say(forger, forger.update(parent, mischief.repertoire.batch(forger, parent)))


def play_along(mischief: Mischief, forger: Forger) -> bool:
    parent = forger.current
    wishes = mischief.repertoire.wishes(forger, parent)
    if not wishes:
        return False
    mischief.take(forger)
    return mischief.say(forger, forger.update(parent, wishes))


def leap(mischief: Mischief, forger: Forger) -> bool:
    """Over the victim's unanswered proposal, as one refuses it, or anywhere else."""
    dice, view = forger.liar.life.dice, forger.view
    parent = dice.pick((view.theirs, view.mine))
    over = dice.pick((view.mine.version, parent.version + 2, parent.version + 5))
    operations = mischief.repertoire.batch(forger, parent)
    mischief.take(forger)
    return mischief.say(forger, forger.update(parent, operations, child_version(over, view.me.other)))


def speak_nonsense(mischief: Mischief, forger: Forger) -> bool:
    """On any state of the past, of any version, or with a signature that is not hers."""
    dice = forger.liar.life.dice
    parent = dice.pick(forger.states())
    newest = forger.view.mine.version
    version = dice.pick((0, 1, newest, newest + 1, newest + 2, newest + 3, 2**64 - 1))
    update = forger.update(parent, [mischief.repertoire.operation(forger, parent, 0)], version)
    mischief.take(forger)
    return mischief.say(forger, spoilt(update) if dice.below(2) else update)


def acknowledge(mischief: Mischief, forger: Forger) -> bool:
    mischief.take(forger)
    return mischief.say(forger, forger.ack(forger.view.mine))


def acknowledge_wrongly(mischief: Mischief, forger: Forger) -> bool:
    dice, mine = forger.liar.life.dice, forger.view.mine
    other = dice.pick(forger.states())
    ack = forger.ack(dice.pick((other, State(mine.version, other.net, other.claims, other.last_ids))))
    assert isinstance(ack, Ack)
    return mischief.say(forger, spoilt(ack) if dice.below(2) else ack)


def repeat(mischief: Mischief, forger: Forger) -> bool:
    """Something that was said before, by her or to her, here or elsewhere."""
    old = mischief.old_words(forger.liar)
    return bool(old) and mischief.say_bytes(forger, forger.liar.life.dice.pick(old))


def lie_about_versions(mischief: Mischief, forger: Forger) -> bool:
    lie = forger.liar.life.dice.pick(((-1, 0), (1, 0), (0, -1), (0, 1), (-9, -9), (0, 0)))
    mischief.take(forger)
    return mischief.say(forger, forger.reestablish(*lie))


def hang_up(mischief: Mischief, forger: Forger) -> bool:
    life = forger.liar.life
    link = life.network.link(forger.liar.node_id, forger.victim.node_id)
    assert link is not None
    life.network.disconnect(link, "hung up")
    return True


def forge_copy(mischief: Mischief, forger: Forger) -> bool:
    """A copy of an old state, or of one that the victim never signed."""
    dice = forger.liar.life.dice
    state = dice.pick(forger.states())
    if dice.below(2):
        return mischief.say(forger, forger.copy(state, forged=False))
    made_up = State(state.version + 10, -3_000, state.claims, state.last_ids)
    return mischief.say(forger, forger.copy(made_up, forged=True))


def claim_deposits(mischief: Mischief, forger: Forger) -> bool:
    amount = forger.liar.life.dice.pick((10**9, 0))
    return mischief.say(forger, DepositsSeen(forger.channel_id, amount, amount))


def complain(mischief: Mischief, forger: Forger) -> bool:
    return mischief.say(forger, Complaint(forger.channel_id, "you owe me"))


def babble(mischief: Mischief, forger: Forger) -> bool:
    """Bytes that are no message, or a message with a byte changed."""
    dice = forger.liar.life.dice
    data = bytearray(dice.pick(mischief.old_words(forger.liar) or [b"\x90"]))
    data[dice.below(len(data))] ^= 1 << dice.below(8)
    return mischief.say_bytes(forger, dice.pick((bytes(data), bytes(data), b"\xc1", data[:-1])))


def offer_close(mischief: Mischief, forger: Forger) -> bool:
    """With the right net or another one, for now or for too long."""
    dice = forger.liar.life.dice
    if dice.below(2):
        mischief.say(forger, Shutdown(forger.channel_id))
    net = forger.view.theirs.net + dice.pick((0, 0, 0, 1, -500))
    until_s = max(0, forger.victim.tables.now_s + dice.pick((300, 600, 10**6, -5)))
    return mischief.say(forger, forger.close_offer(net, until_s, forger.view.deposits.counter))


def keep_silent(mischief: Mischief, forger: Forger) -> bool:
    mischief.hush(forger.liar)
    return True


def vanish(mischief: Mischief, forger: Forger) -> bool:
    """For minutes."""
    life, liar = forger.liar.life, forger.liar
    if not life.dice.one_in(4):
        return False
    liar.doomed = True
    life.after(life.dice.pick((30_000, 300_000)), lambda: faults.revive(life, liar))
    return True


MISCHIEF: dict[str, tuple[Callable[[Mischief, Forger], bool], int]] = {
    "scheme": (scheme, 10),
    "plot": (plot, 3),
    "propose": (propose, 6),
    "play along": (play_along, 8),
    "leap": (leap, 2),
    "nonsense": (speak_nonsense, 1),
    "acknowledge": (acknowledge, 4),
    "acknowledge wrongly": (acknowledge_wrongly, 1),
    "repeat": (repeat, 2),
    "lie about versions": (lie_about_versions, 1),
    "hang up": (hang_up, 1),
    "forge a copy": (forge_copy, 1),
    "claim deposits": (claim_deposits, 1),
    "complain": (complain, 1),
    "babble": (babble, 1),
    "offer a close": (offer_close, 1),
    "challenge": (challenge, 1),
    "settle on chain": (settle_on_chain, 2),
    "submit a close": (submit_close, 2),
    "register a secret": (register, 2),
    "keep silent": (keep_silent, 1),
    "vanish": (vanish, 1),
}
_WEIGHTED = [(name, act) for name, (act, weight) in MISCHIEF.items() for _ in range(weight)]
_SCHEMING = [("scheme", scheme), ("plot", plot)]
