"""A peer that answers pings and nothing else holds up its own channel, and that not for long."""

import pytest

from channeld.core.channel import Ack, Channel, Update, enqueue, reestablish
from channeld.core.effects import Effect, SendSigned
from channeld.core.events import MessageReceived
from channeld.core.operations import NO_STREAM, Push
from channeld.daemon import patience
from channeld.daemon.patience import FIRST_LOOKS, MOST_LOOKS, Patience
from tests.core.network import Network, Node
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE, is_quiet


class Couple:
    """alice and bob with a channel; alice looks."""

    def __init__(self) -> None:
        self.network = Network("alice", "bob")
        self.ab = self.network.open("alice", "bob", 1_000, 1_000)
        self.patience = Patience(self.alice.tables)

    @property
    def alice(self) -> Node:
        return self.network["alice"]

    def propose(self) -> None:
        """alice pays bob a little, and says so."""
        channel = self.alice.channel(self.ab)
        self.alice.tables.records[Channel][self.ab] = enqueue(channel, Push(NO_STREAM, 1))
        self.alice.tables.dirty.add(self.ab)
        self.alice.happen()
        assert not self.alice.channel(self.ab).answered
        self.patience.proposed(self.ab)

    def looks(self, most: int) -> int:
        """How often alice looks until she hangs up on bob; `most` if she does not."""
        for look in range(1, most + 1):
            given_up = self.patience.look()
            if given_up:
                assert list(given_up) == [self.network["bob"].node_id]
                return look
        return most

    def connect_anew(self) -> None:
        self.network.disconnect("alice", "bob")
        self.network.hello("alice", "bob")
        for _ in range(4):  # both say what they hold; what alice says again stays with her
            while self.alice.outbox and not isinstance(self.alice.outbox[0][1], Update):
                self.network.deliver("alice")
            self.network.deliver("bob")
        assert self.ab in self.alice.tables.online and not self.alice.channel(self.ab).answered
        self.patience.proposed(self.ab)


def test_a_proposal_without_an_answer_is_given_up_twice_as_late_each_time():
    couple = Couple()
    couple.propose()
    (given_up,) = [couple.patience.look() for _ in range(FIRST_LOOKS + 1)][-1].items()
    version = couple.alice.channel(couple.ab).mine.version
    assert given_up[1] == f"does not answer version {version} of channel {couple.ab.hex()[:16]}"
    patience = FIRST_LOOKS
    for _ in range(8):
        couple.connect_anew()
        patience = min(2 * patience, MOST_LOOKS)
        assert couple.looks(2 * MOST_LOOKS) == patience + 1
    assert patience == MOST_LOOKS


def test_whoever_answers_is_not_given_up_and_has_all_the_time_for_the_next():
    couple = Couple()
    for _ in range(5):
        couple.propose()
        assert couple.looks(FIRST_LOOKS) == FIRST_LOOKS
        couple.network.run()
        assert couple.alice.channel(couple.ab).answered
    couple.propose()
    assert couple.looks(100) == FIRST_LOOKS + 1
    couple.connect_anew()
    couple.network.run()
    assert couple.looks(100) == 100, "it is answered"
    couple.propose()
    assert couple.looks(100) == FIRST_LOOKS + 1, "what was slow once is forgotten"


def test_time_without_a_connection_does_not_count():
    couple = Couple()
    couple.propose()
    assert couple.looks(FIRST_LOOKS) == FIRST_LOOKS
    couple.network.disconnect("alice", "bob")
    assert couple.looks(100) == 100
    couple.connect_anew()
    assert couple.looks(100) == FIRST_LOOKS + 1


def test_saying_hello_again_and_again_gives_mallory_no_more_time():
    couple = Couple()
    couple.propose()
    mallory, alice = couple.network["bob"], couple.alice
    for _ in range(FIRST_LOOKS):
        assert not couple.patience.look()
        alice.happen(MessageReceived(mallory.node_id, reestablish(mallory.channel(couple.ab))))
        assert isinstance(alice.outbox[-1][1], Update), "she says again what she proposed"
        couple.patience.proposed(couple.ab)
    assert list(couple.patience.look()) == [mallory.node_id]


def test_whoever_announces_a_proposal_and_says_nothing_is_given_up():
    """alice signs nothing until she has heard it (R12)."""
    couple = Couple()
    couple.network.disconnect("alice", "bob")
    couple.alice.tables.awaited.add(couple.ab)
    couple.alice.tables.online.add(couple.ab)
    reasons = [couple.patience.look() for _ in range(FIRST_LOOKS + 1)]
    assert [len(each) for each in reasons] == [0] * FIRST_LOOKS + [1]
    assert "does not say again what it announced" in next(iter(reasons[-1].values()))


@pytest.mark.parametrize("lost", [Ack, Update], ids=["an ack", "an update"])
async def test_an_answer_that_bob_forgets_to_send_comes_on_the_next_connection(tmp_path, monkeypatch, lost):
    """His program has a fault, his machine had a hiccup: without this the payment would hang for ever."""
    monkeypatch.setattr(patience, "LOOK_S", 0.05)
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        engine, forgotten = net["bob"].engine, []
        honest = engine._act

        def forget_one(effect: Effect) -> None:
            if isinstance(effect, SendSigned) and isinstance(effect.message, lost) and not forgotten:
                forgotten.append(effect)
            else:
                honest(effect)

        engine._act = forget_one
        if lost is Ack:
            await eventually(lambda: ab in net["alice"].engine.tables.terms)
            await net["alice"].push(net.node_id("bob"), "USD", bytes(16), [USD], 30.0)
        else:
            (invoice,) = await net["bob"].create_invoice("USD", 5 * USD, "", None, 1)
            paid = await net["alice"].pay(invoice.text, None, None, 30.0)
            assert paid.status == "succeeded"
        await eventually(lambda: all(is_quiet(net.state(name, ab)) for name in ("alice", "bob")))
        assert len(forgotten) == 1
