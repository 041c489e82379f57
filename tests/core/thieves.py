"""Bob among thieves: both his neighbours are mallory's, and she sends whatever may be sent.

After every step the judge asks what bob could end with if everything went to the chain now, for every
state that he ever signed and every time at which a secret may be registered. It must never be less than
what his own records say; and nothing that she sends may stop him.
"""

from collections import defaultdict
from operator import add

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from channeld.core.channel import Channel, Update, child_version
from channeld.core.claims import Claim, State
from channeld.core.in_flight import Load
from channeld.core.messages import (
    Complaint,
    DepositsSeen,
    ForwardTo,
    Message,
    Shutdown,
    WriteOption,
)
from channeld.core.operations import Add, Expire, Fail, Fulfil, Operation, Settle
from channeld.core.records import Forward, OptionLeg, Trade, TradeRole
from channeld.core.solvency import NO_EXPOSURE, require_solvent
from channeld.wire.packet import encode_instruction
from tests.core.books import Prices, due_by_records, worst_case
from tests.core.mallory import Mallory, hash_of
from tests.core.repertoire import FEE, Repertoire, chance
from tests.core.soak import Fired
from tests.core.town import EXPIRY_S, FEED, LEGS, MARKS, PRICE, Town


class BobAmongThieves(RuleBasedStateMachine):
    """Subclasses say who sits around bob (the sides of the channels follow) and what bob does himself."""

    fired: Fired
    path: tuple[str, str, str]

    @initialize()
    def begin(self) -> None:
        self.town = Town(self.path, fees={"bob": FEE})
        self.mallory = Mallory(self.town, "bob")
        self.bob = self.town["bob"]
        self.ids = list(self.town.links.values())
        self.repertoire = Repertoire(self.mallory, self.bob, self.ids)
        self.mallory.listen()
        self.started = 2 * self.town.deposit
        self.signed_price: int | None = None
        self.count = 0

    # --- what mallory may say: batches ----------------------------------------------------------------

    @rule(data=st.data(), count=st.sampled_from([1, 1, 1, 2, 4]))
    def propose(self, data: st.DataObject, count: int) -> None:
        """Mostly right: on a state that bob signed, of the version that follows from it."""
        channel_id = self._channel(data, ready=True)
        channel = self.mallory.view(channel_id)
        current = self._current(channel_id)
        parent = data.draw(st.sampled_from([current, current, current, channel.mine, channel.theirs]))
        operations = [self.repertoire.operation(data, channel_id, parent, number) for number in range(count)]
        if chance(data, 5):
            operations = self.mallory.legal_among(channel_id, parent, operations) or operations
        self._say_update(channel_id, self.mallory.update(channel_id, parent, operations), "proposed")

    @rule(data=st.data(), what=st.sampled_from(["collect", "collect", "options", "settle", "let go"]))
    def play_along(self, data: st.DataObject, what: str) -> None:
        """Everything of one kind that she may do: so that the stories go far."""
        channel_id = self._channel(data, ready=True)
        channel = self.mallory.view(channel_id)
        parent = self._current(channel_id)
        known = {hash_of(secret): secret for secret in self.mallory.secrets}
        owed = [claim for claim in parent.claims.values() if claim.payer is channel.me and claim.hashlock]
        wishes: list[Operation] = []
        match what:
            case "collect":
                wishes = [Fulfil(c.claim_id, known[c.hashlock or b""]) for c in owed if c.hashlock in known]
            case "options":
                wishes = [self.repertoire.option(data, channel_id, parent, number) for number in range(2)]
            case "settle":
                wishes = [Settle(FEED, EXPIRY_S, PRICE), Settle(FEED, EXPIRY_S, 0)]
            case _:
                wishes = [Fail(c.claim_id, b"") for c in owed]
                wishes += [Expire(c.claim_id) for c in parent.claims.values() if c.payer is not channel.me]
        operations = self.mallory.legal_among(channel_id, parent, wishes)
        if operations:
            self._say_update(channel_id, self.mallory.update(channel_id, parent, operations), "played along")

    @rule(data=st.data())
    def leap(self, data: st.DataObject) -> None:
        """Over bob's unanswered proposal, as one refuses it, or anywhere else."""
        channel_id = self._channel(data, ready=True)
        channel = self.mallory.view(channel_id)
        parent = data.draw(st.sampled_from([channel.theirs, channel.mine]))
        operation = self.repertoire.operation(data, channel_id, parent, 0)
        over = data.draw(st.sampled_from([channel.mine.version, parent.version + 2, parent.version + 5]))
        version = child_version(over, channel.me.other)
        self._say_update(channel_id, self.mallory.update(channel_id, parent, [operation], version), "leapt")

    @rule(data=st.data(), lucky=st.integers(0, 2))
    def propose_nonsense(self, data: st.DataObject, lucky: int) -> None:
        """On any state of the past, of any version, or with a signature that is not hers."""
        if lucky:
            return
        channel_id = self._channel(data)
        parent = data.draw(st.sampled_from(self.mallory.states(channel_id)))
        operations = [self.repertoire.operation(data, channel_id, parent, 0)]
        newest = self.mallory.view(channel_id).mine.version
        version = data.draw(st.sampled_from([0, 1, newest, newest + 1, newest + 2, newest + 3, 2**64 - 1]))
        update: Message = self.mallory.update(channel_id, parent, operations, version)
        if data.draw(st.booleans()):
            update = self.mallory.spoil(update)
        self.mallory.say(channel_id, update)
        self.fired("nonsense")

    @rule(data=st.data(), stages=st.integers(1, 5), leg=st.sampled_from([None, *LEGS]))
    def use_bob(self, data: st.DataObject, stages: int, leg: OptionLeg | None) -> None:
        """A payment or a trade through bob as honest nodes make it, up to some point."""
        first = self._channel(data)
        second = self.repertoire.onward(first)
        for channel_id in (first, second):
            if not self.mallory.is_on(channel_id):
                self.mallory.call(channel_id)
        preimage = self.mallory.fresh()
        hashlock, deadline_s = hash_of(preimage), self.bob.tables.now_s + 600
        amount = 50 if leg is None else MARKS[LEGS.index(leg)]
        inner = encode_instruction(WriteOption(bytes(16)))
        packet = encode_instruction(ForwardTo(second, amount, deadline_s, inner, leg))
        for stage, channel_id in enumerate((first, second, first, second)[:stages]):
            parent = self._current(channel_id)
            next_id = self.mallory.next_id(channel_id, parent)
            offered = [
                Fulfil(claim.claim_id, preimage)
                for claim in parent.claims.values()
                if claim.hashlock == hashlock and claim.payer is self.mallory.view(channel_id).me
            ]
            operations: list[Operation] = list(offered)
            if stage == 0:
                operations = [Add(Claim(next_id, amount + FEE, hashlock, deadline_s), packet)]
            elif stage == 1 and leg is not None:
                operations = [Add(Claim(next_id, leg.size, hashlock, deadline_s, leg.terms), b"")]
            operations = self.mallory.legal_among(channel_id, parent, operations)
            if operations:
                self._say_update(channel_id, self.mallory.update(channel_id, parent, operations), "used bob")

    def _current(self, channel_id: bytes) -> State:
        channel = self.mallory.view(channel_id)
        return channel.theirs if channel.theirs.version > channel.mine.version else channel.mine

    def _say_update(self, channel_id: bytes, update: Update, what: str) -> None:
        on = self.mallory.is_on(channel_id)
        taken = self.mallory.say(channel_id, update)
        accepted = self.mallory.view(channel_id).theirs.version >= update.version
        if not on:
            self.fired("spoke before a connection")
        elif not taken:
            self.fired(f"{what}: refused")
        else:
            self.fired(f"{what}: taken" if accepted else f"{what}: ignored or held")
            for operation in update.operations:
                if accepted:
                    self.fired(f"bob took {type(operation).__name__}")

    def _channel(self, data: st.DataObject, *, ready: bool = False) -> bytes:
        """One of the two; if it shall be `ready`, a connection is made first, mostly."""
        channel_id = data.draw(st.sampled_from(self.ids))
        if ready and not self.mallory.is_on(channel_id) and chance(data, 15):
            self.mallory.call(channel_id)
        return channel_id

    # --- what mallory may say: everything else ---------------------------------------------------------

    @rule(data=st.data(), right=st.integers(0, 4))
    def acknowledge(self, data: st.DataObject, right: int) -> None:
        channel_id = self._channel(data, ready=True)
        mine = self.mallory.view(channel_id).mine
        if right:
            self.mallory.say(channel_id, self.mallory.ack(channel_id, mine))
            self.fired("acknowledged")
            return
        other = data.draw(st.sampled_from(self.mallory.states(channel_id)))
        state = State(mine.version, other.net, other.claims, other.last_ids)
        ack: Message = self.mallory.ack(channel_id, data.draw(st.sampled_from([other, state])))
        if data.draw(st.booleans()):
            ack = self.mallory.spoil(ack)
        self.mallory.say(channel_id, ack)
        self.fired("acknowledged wrongly")

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Something that she said before, here or in the other channel, or that bob said himself."""
        channel_id = self._channel(data)
        said = [message for known in self.ids for message in self.mallory.said[known][-20:]]
        heard = [message for _, message in self.mallory.heard[-20:]]
        if said or heard:
            self.mallory.say(channel_id, data.draw(st.sampled_from(said + heard)))
            self.fired("repeated")

    @rule(
        data=st.data(),
        lucky=st.integers(0, 2),
        lie=st.sampled_from([(0, 0)] * 6 + [(-1, 0), (1, 0), (0, -1), (0, 1), (-9, -9)]),
    )
    def call(self, data: st.DataObject, lucky: int, lie: tuple[int, int]) -> None:
        if lucky:
            return
        channel_id = self._channel(data)
        self.mallory.call(channel_id, lie=lie)
        self.fired("called" if lie == (0, 0) else "called with a lie")

    @rule(data=st.data(), lucky=st.integers(0, 3))
    def hang_up(self, data: st.DataObject, lucky: int) -> None:
        if not lucky:
            self.mallory.hang_up(self._channel(data))
            self.fired("hung up")

    @rule(data=st.data(), lucky=st.integers(0, 3))
    def forge(self, data: st.DataObject, lucky: int) -> None:
        """A copy of an old state or of one that bob never signed; deposits that nobody made."""
        if lucky:
            return
        channel_id = self._channel(data)
        state = data.draw(st.sampled_from(self.mallory.states(channel_id)))
        made_up = State(state.version + 10, -3_000, state.claims, state.last_ids)
        messages: list[Message] = [
            self.mallory.copy(channel_id, state, forged=False),
            self.mallory.copy(channel_id, made_up, forged=True),
            DepositsSeen(channel_id, 10**9, 10**9),
            DepositsSeen(channel_id, 0, 0),
            Complaint(channel_id, "you owe me"),
        ]
        self.mallory.say(channel_id, data.draw(st.sampled_from(messages)))
        self.fired("forged")

    @rule(data=st.data(), lucky=st.integers(0, 120))
    def close_together(self, data: st.DataObject, lucky: int) -> None:
        """With the right net or another one, for now or for too long."""
        channel_id = self._channel(data)
        channel = self.mallory.view(channel_id)
        if lucky > 2:
            return
        if lucky == 2:
            self.mallory.say(channel_id, Shutdown(channel_id))
        net = channel.theirs.net + data.draw(st.sampled_from([0, 0, 0, 1, -500]))
        until_s = self.bob.tables.now_s + data.draw(st.sampled_from([600, 600, 10**6, -5]))
        self.mallory.say(channel_id, self.mallory.close_offer(channel_id, net, until_s, 0))
        self.fired("offered a close")

    # --- what happens on chain --------------------------------------------------------------------------

    @rule(data=st.data(), lucky=st.integers(0, 3))
    def register_secret(self, data: st.DataObject, lucky: int) -> None:
        if lucky:
            return
        self.town.chain.register(data.draw(st.sampled_from(self.mallory.secrets)))
        self._turn()
        self.fired("registered a secret")

    @rule(data=st.data(), lucky=st.integers(0, 40))
    def challenge(self, data: st.DataObject, lucky: int) -> None:
        """With any state that bob ever signed."""
        channel_id = self._channel(data)
        state = data.draw(st.sampled_from(self.mallory.states(channel_id)))
        if lucky or not self._has_both(channel_id, state):
            return
        if self.town.chain.channels[channel_id].state is None:
            self.town.chain.challenge(channel_id, state)
        else:
            self.town.chain.respond(channel_id, state)
        self._turn()
        self.fired("challenged")
        entry = self.town.chain.channels[channel_id]
        assert entry.closed or entry.state is not None
        if entry.state is not None and not entry.closed:
            assert entry.state.version >= self.mallory.view(channel_id).theirs.version, "bob did not answer"

    def _has_both(self, channel_id: bytes, state: State) -> bool:
        signed = [s for known, s in self.bob.signed if known == channel_id]
        return state.version == 0 or state in signed

    @rule(data=st.data())
    def settle_on_chain(self, data: st.DataObject) -> None:
        channel_id = self._channel(data)
        entry = self.town.chain.channels[channel_id]
        if entry.state is not None:
            self.town.chain.settle(channel_id, entry.state)
            self._turn()
            self.fired("settled on chain")

    @rule(data=st.data())
    def submit_a_close(self, data: st.DataObject) -> None:
        if self.bob.closes:
            offer = data.draw(st.sampled_from(self.bob.closes))
            entry = self.town.chain.channels[offer.channel_id]
            if offer.counter == entry.deposits.counter:
                self.town.chain.close(offer.channel_id, offer.net, offer.until_s)
                self._turn()
                self.fired("submitted a close")

    @rule(seconds=st.sampled_from([1, 5, 30, 130, 350, 470, 700, 2_000]))
    def pass_time(self, seconds: int) -> None:
        if self.town.chain.now_s + seconds < self.last_s():
            self.town.pass_time(seconds)
            self.mallory.listen()
            self.fired("time passed")

    def last_s(self) -> int:
        """When the story ends at the latest."""
        return EXPIRY_S - 60

    @rule(lucky=st.integers(0, 3))
    def restart_bob(self, lucky: int) -> None:
        if lucky:
            return
        self.town.crash("bob")
        self.town.revive("bob")
        self.mallory.listen()
        self._turn()
        self.fired("bob restarted")

    def _turn(self) -> None:
        self.town.catch_up()
        self.mallory.listen()

    # --- what must hold after every step ----------------------------------------------------------------

    def prices(self) -> Prices:
        """Bob's own trades are not settled here: their options stand at their premiums."""
        return Prices(None)

    @invariant()
    def bob_cannot_be_robbed(self) -> None:
        prices = self.prices()
        due = due_by_records(self.bob, prices)
        assert worst_case(self.town.chain, self.bob, prices) >= self.started + due

    @invariant()
    def whatever_bob_signed_is_solvent(self) -> None:
        for channel in self._channels():
            for state in channel.enforceable:
                require_solvent(state, channel.deposits.a, channel.deposits.b)
                assert state.exposure in (None, NO_EXPOSURE.after(added=state.claims.values()))

    @invariant()
    def bob_never_signs_two_states_of_one_version(self) -> None:
        contents: dict[tuple[bytes, int], State] = {}
        for channel_id, state in self.bob.signed:
            assert contents.setdefault((channel_id, state.version), state) == state

    @invariant()
    def bob_remembers_no_more_than_he_must(self) -> None:
        open_ids = {
            (channel.channel_id, claim_id)
            for channel in self._channels()
            for state in channel.enforceable
            for claim_id in state.claims
        }
        waiting = {
            (channel.channel_id, operation.claim.claim_id)
            for channel in self._channels()
            for operation in channel.waiting
            if isinstance(operation, Add)
        }
        for refs in self.bob.tables.refs_of_hash.values():
            for ref in refs:
                assert (ref.channel_id, ref.claim_id) in open_ids | waiting
        for channel in self._channels():
            assert len(channel.waiting) < 60

    @invariant()
    def bob_counts_exactly_what_he_carries(self) -> None:
        records, carried = self.bob.tables.records, self.bob.tables.carried
        owed = {f.outgoing.key for f in records[Forward].values() if isinstance(f, Forward)}
        for trade in records[Trade].values():
            if isinstance(trade, Trade) and trade.role is TradeRole.WRITER and trade.option_claim is not None:
                owed.add(trade.option_claim.key)
        assert carried.held.keys() == owed
        sums: dict[bytes, Load] = defaultdict(Load)
        for channel_id, peer, load in carried.held.values():
            for place in (channel_id, channel_id + peer):
                sums[place] = Load(*map(add, sums[place], load))
        assert carried.loads == sums

    def _channels(self) -> list[Channel]:
        return [r for r in self.bob.tables.records[Channel].values() if isinstance(r, Channel)]

    def teardown(self) -> None:
        if hasattr(self, "town"):
            self.fired("told to the end")
