"""The variants of the protocol that look right and lose money, each played against bob the hub.

Alice and carol are mallory's here: they know every secret, keep whatever bob signed, and say what they
like. The names b1 to b10 and ok4 are those of the protocol's model; bob is the real core.
"""

import hashlib
from dataclasses import replace

import pytest

from channeld.core.channel import Ack, Update, child_version, receive_update
from channeld.core.claims import Claim, OptionTerms, PayoffKind, State
from channeld.core.effects import RegisterSecret, SendSigned
from channeld.core.errors import PeerViolation
from channeld.core.events import MessageReceived, PaymentRequested, QuoteGiven
from channeld.core.messages import Complaint, Deliver, ForwardTo, Message, WriteOption
from channeld.core.node import step
from channeld.core.operations import Add, Fail, Fulfil, Operation, apply_operations
from channeld.core.records import OptionLeg, Quote, Secret
from channeld.wire.eip712 import state_digest
from channeld.wire.packet import encode_instruction
from tests.core.network import T0_S, Network, signature

ETH = bytes(20)
SECRET = b"s" * 32
LOCK = hashlib.sha256(SECRET).digest()
DEADLINE_S = T0_S + 600
FEED = bytes(31) + b"\x01"
CALL = OptionTerms(PayoffKind.CALL, FEED, T0_S + 86_400, 4_000 * 10**8, 5_000 * 10**8)


class Street:
    """Bob between two peers who collude. `ab` and `bc` are the channels' ids."""

    def __init__(self) -> None:
        self.network = Network("alice", "bob", "carol")
        self.bob = self.network["bob"]
        self.ab = self.network.open("alice", "bob", 1_000, 1_000)
        self.bc = self.network.open("bob", "carol", 1_000, 1_000)
        self.bob.outbox.clear()

    def say(self, who: str, *messages: Message) -> None:
        """`who` says something to bob, who acts on it at once."""
        peer = self.network[who]
        self.bob.happen(*(MessageReceived(peer.node_id, message) for message in messages))

    def signed(self, who: str, channel_id: bytes, parent: State, *operations: Operation, version: int = 0):
        """A batch by `who` on any parent, of the version that follows from it or of another one."""
        side = self.bob.channel(channel_id).me.other
        version = version or child_version(parent.version, side)
        state = apply_operations(parent, version, side, operations, self.bob.tables)
        proof = signature(self.network[who].address, state_digest(bytes(32), channel_id, state))
        return Update(channel_id, version, parent.version, operations, proof)

    def ack(self, who: str, channel_id: bytes) -> Ack:
        """`who` countersigns what bob signed last."""
        state = self.bob.channel(channel_id).mine
        digest = state_digest(bytes(32), channel_id, state)
        return Ack(channel_id, state.version, signature(self.network[who].address, digest))

    def add(self, channel_id: bytes, amount: int, packet: bytes, terms: OptionTerms | None = None) -> Add:
        """An offer of the peer's in a channel, with its first free id."""
        side = self.bob.channel(channel_id).me.other
        claim_id = self.bob.channel(channel_id).theirs.last_ids[side] + 2
        return Add(Claim(claim_id, amount, LOCK, DEADLINE_S, terms), packet)

    def incoming(self) -> Add:
        """Alice offers 10 for carol."""
        last = encode_instruction(Deliver(bytes(32), 10))
        return self.add(self.ab, 10, encode_instruction(ForwardTo(self.bc, 10, DEADLINE_S, last)))

    def traffic(self, channel_id: bytes, tag: bytes) -> None:
        """Bob pays somebody in this channel: an unanswered proposal of his own."""
        lock = hashlib.sha256(tag).digest()
        self.bob.happen(PaymentRequested(lock, b"", ETH, 1, 0, channel_id, DEADLINE_S, b"", "", T0_S))

    def carried(self) -> list[Claim]:
        """What bob owes carol under the secret, in any state that can be enforced or will be signed."""
        channel = self.bob.channel(self.bc)
        claims = [claim for state in channel.enforceable for claim in state.claims.values()]
        claims += [op.claim for op in channel.waiting if isinstance(op, Add)]
        return [claim for claim in claims if claim.hashlock == LOCK and claim.payer is channel.me]

    def failed_back(self) -> bool:
        """Whether bob has let alice's offer go, signed or not."""
        channel = self.bob.channel(self.ab)
        operations = channel.unanswered + channel.waiting
        answered = any(isinstance(op, Fail) for op in operations)
        return answered or not any(c.hashlock == LOCK for c in channel.theirs.claims.values())


def test_b1_a_proposal_of_bobs_own_version_is_not_acted_upon():
    street = Street()
    street.traffic(street.ab, b"t")
    mine = street.bob.channel(street.ab).mine
    other = street.signed("alice", street.ab, State(), street.incoming(), version=mine.version)
    street.say("alice", other)
    assert street.carried() == [] and street.bob.channel(street.ab).theirs == State()


def test_b2_a_proposal_below_bobs_own_signature_is_not_acted_upon():
    street = Street()
    if street.bob.channel(street.ab).me == 1:  # bob signs odd versions: 1, then 3 above alice's 2
        street.traffic(street.ab, b"t")
        street.say("alice", street.ack("alice", street.ab))
    street.traffic(street.ab, b"u")
    channel = street.bob.channel(street.ab)
    assert channel.mine.version > channel.theirs.version
    below = channel.mine.version - 1
    parent = channel.theirs if channel.theirs.version < below else State()
    street.say("alice", street.signed("alice", street.ab, parent, street.incoming(), version=below))
    assert street.carried() == [] and street.bob.channel(street.ab) == channel


def test_ok4_a_lost_proposal_is_not_kept_as_theirs():
    street = Street()
    street.say("alice", street.signed("alice", street.ab, State(), street.incoming()))
    assert len(street.carried()) == 1
    bob = street.bob.channel(street.bc)
    assert bob.unanswered and bob.mine.version > bob.theirs.version
    # Carol signs below bob's offer, on a state of her own that bob never signed.
    hers = replace(State(), version=max(1, bob.mine.version - 1))
    street.say("carol", street.signed("carol", street.bc, hers, street.add(street.bc, 1, b"")))
    assert street.bob.channel(street.bc) == bob, "the record of the offer must not be touched"
    assert not street.failed_back()


def test_b3_an_unsigned_refusal_means_nothing():
    street = Street()
    street.say("alice", street.signed("alice", street.ab, State(), street.incoming()))
    street.say("carol", Complaint(street.bc, "I refuse this claim"))
    assert len(street.carried()) == 1 and not street.failed_back()
    # A signed one does: she takes the offer and lets it go in a higher version.
    street.say("carol", street.ack("carol", street.bc))
    (owed,) = street.carried()
    theirs = street.bob.channel(street.bc).theirs
    street.say("carol", street.signed("carol", street.bc, theirs, Fail(owed.claim_id, b"")))
    assert street.carried() == [] and street.failed_back()


def test_b4_a_fulfil_after_bob_has_answered_backwards_is_refused():
    street = Street()
    street.say("alice", street.signed("alice", street.ab, State(), street.incoming()))
    street.say("carol", street.ack("carol", street.bc))
    (owed,) = street.carried()
    theirs = street.bob.channel(street.bc).theirs
    late = street.signed("carol", street.bc, theirs, Fulfil(owed.claim_id, SECRET))
    past_s = DEADLINE_S + street.bob.tables.margins.reorg_s + 1 - T0_S
    street.bob.tables.now_s += past_s
    street.bob.tables.confirmed_s += past_s
    street.bob.ring()
    assert street.failed_back()
    street.say("carol", late)
    channel = street.bob.channel(street.bc)
    assert channel.theirs.net == theirs.net, "carol must not be paid after alice has her money back"


def test_b4_a_fulfil_that_leaves_bob_no_time_to_collect_is_not_taken_but_its_secret_is():
    street = Street()
    street.say("alice", street.signed("alice", street.ab, State(), street.incoming()))
    street.say("carol", street.ack("carol", street.bc))
    (owed,) = street.carried()
    theirs = street.bob.channel(street.bc).theirs
    late = street.signed("carol", street.bc, theirs, Fulfil(owed.claim_id, SECRET))
    street.bob.tables.now_s = DEADLINE_S - street.bob.tables.margins.register_s + 1
    street.say("carol", late)
    assert street.bob.channel(street.bc).theirs.net == theirs.net
    assert any(isinstance(effect, RegisterSecret) for effect in street.bob.effects), "he collects on chain"


def test_ok4_a_batch_on_a_state_that_bob_never_signed_is_refused():
    street = Street()
    channel = street.bob.channel(street.bc)
    hers = street.signed("carol", street.bc, State(), street.add(street.bc, 1, b""))
    accepted = receive_update(channel, hers, street.bob.tables, street.bob.tools().verify).channel
    assert accepted.theirs.version > accepted.mine.version == 0
    again = Add(Claim(hers.operations[0].claim.claim_id + 2, 1, LOCK, DEADLINE_S), b"")
    child = street.signed("carol", street.bc, accepted.theirs, again)
    with pytest.raises(PeerViolation, match="no state that we signed"):
        receive_update(accepted, child, street.bob.tables, street.bob.tools().verify)


def test_b5_a_step_changes_nothing_and_sends_nothing_until_it_is_committed():
    street = Street()
    before = street.bob.channel(street.ab)
    update = street.signed("alice", street.ab, State(), street.incoming())
    draft = step(
        street.bob.tables,
        MessageReceived(street.network["alice"].node_id, update),
        street.bob.tools(),
    )
    assert draft.changes and street.bob.channel(street.ab) == before
    assert not street.bob.outbox and not any(isinstance(e, SendSigned) for e in draft.effects)


def test_b6_b7_b9_b10_nobody_can_make_bob_owe_by_a_batch_of_their_own():
    street = Street()
    channel = street.bob.channel(street.ab)
    premium = street.add(street.ab, 10, b"")
    bobs_id = channel.theirs.last_ids[channel.me] + 2
    option = Add(Claim(bobs_id, 1, LOCK, DEADLINE_S, CALL), b"")
    # The bundle, signed as if it were legal: premium and bob's option in one state.
    state = State(
        child_version(0, channel.me.other),
        0,
        {premium.claim.claim_id: premium.claim, option.claim.claim_id: option.claim},
    )
    proof = signature(street.network["alice"].address, state_digest(bytes(32), street.ab, state))
    street.say("alice", Update(street.ab, state.version, 0, (premium, option), proof))
    assert any("must be added by its payer" in refusal for refusal in street.bob.refused)
    assert street.bob.channel(street.ab).theirs == State() and not street.bob.outbox


def test_b8_a_premium_is_paid_only_with_the_secret_of_whoever_bought():
    street = Street()
    writer = street.bob
    quote = Quote(b"q" * 16, OptionLeg(CALL, 1), ETH, 10, T0_S + 60, street.network["alice"].node_id)
    writer.happen(QuoteGiven(quote))
    premium = street.add(street.ab, 10, encode_instruction(WriteOption(quote.quote_id)))
    street.say("alice", street.signed("alice", street.ab, State(), premium))
    (option,) = [op for op in writer.channel(street.ab).unanswered if isinstance(op, Add)]
    assert option.claim.terms == CALL and option.claim.hashlock == LOCK
    # The writer holds no secret: it can neither collect the premium nor be made to reveal one.
    assert not writer.tables.records[Secret]
    street.say("alice", street.ack("alice", street.ab))
    assert writer.channel(street.ab).theirs.net == 0 and not writer.channel(street.ab).waiting
    theirs = writer.channel(street.ab).theirs
    revealed = street.signed("alice", street.ab, theirs, Fulfil(option.claim.claim_id, SECRET))
    street.say("alice", revealed)
    fulfilled = [op.claim_id for op in writer.channel(street.ab).unanswered if isinstance(op, Fulfil)]
    assert fulfilled == [premium.claim.claim_id], "both or neither"
