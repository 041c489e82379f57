"""Two and three honest nodes over links that drop, processes that die and a chain that confirms late.

Whatever happens in whatever order: no honest node accuses another, no peer could take a hub's money, no
secret is forgotten, and when the network heals everything is resolved and the books agree to the unit.
"""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from channeld.core.channel import Channel, Phase, is_gone
from channeld.core.claims import State
from channeld.core.events import SettlementRequested
from channeld.core.operations import MAX_OPERATIONS
from channeld.core.records import Forward, ForwardStatus, Payment, Secret, Trade
from channeld.core.solvency import NO_EXPOSURE, require_solvent
from tests.core import pushes
from tests.core.books import Prices, due_by_records, fees_earned, prices_now, worst_case
from tests.core.network import T0_S, Node
from tests.core.pushes import Pushing
from tests.core.soak import Fired, examples
from tests.core.town import EXPIRY_S, GRACE_S, LEGS, PRICE, Town

AMOUNTS = st.sampled_from([1, 7, 90, 400, 1_100, 2_900, 5_000])
SPOILT = st.sampled_from(["", "", "", "", "hash", "secret", "fee"])


class HonestNetwork(Pushing, RuleBasedStateMachine):
    path: tuple[str, ...]
    fired: Fired

    @initialize(
        skews=st.lists(st.sampled_from([-5, 0, 0, 5]), min_size=3, max_size=3),
        lags=st.lists(st.sampled_from([0, 0, 24, 50]), min_size=3, max_size=3),
    )
    def begin(self, skews: list[int], lags: list[int]) -> None:
        skew_s = dict(zip(self.path, skews, strict=False))
        lag_s = dict(zip(self.path, lags, strict=False))
        fees = dict.fromkeys(self.path[1:-1], 2)
        self.town = Town(self.path, fees=fees, skew_s=skew_s, lag_s=lag_s)
        self.signed_price: int | None = None
        self.slept: set[str] = set()
        self.asked = {}
        self.known: dict[str, set[bytes]] = {name: set() for name in self.path}
        self.contents: dict[tuple[bytes, int], object] = {}
        self.checked: set[tuple[str, bytes]] = set()

    # --- what the nodes' owners do --------------------------------------------------------------------

    def _pair(self, data: st.DataObject) -> tuple[str, str]:
        one = data.draw(st.sampled_from(self.path))
        other = data.draw(st.sampled_from([name for name in self.path if name != one]))
        return one, other

    def _both_awake(self, one: str, other: str) -> bool:
        return not self.town.chain.asleep & {one, other}

    @rule(data=st.data(), amount=AMOUNTS, spoil=SPOILT)
    def pay(self, data: st.DataObject, amount: int, spoil: str) -> None:
        source, target = self._pair(data)
        if not self._both_awake(source, target):
            return
        asked = self.town.pay(source, target, amount, spoil=spoil)
        self.fired("paid" if asked else "payment rejected")
        self.fired(f"paid over {len(self.town.route(source, target)) - 1} hops")

    @rule(data=st.data(), amounts=st.lists(AMOUNTS, min_size=3, max_size=6))
    def pay_several_at_once(self, data: st.DataObject, amounts: list[int]) -> None:
        for amount in amounts:
            source, target = self._pair(data)
            if self._both_awake(source, target):
                self.town.pay(source, target, amount)
        self.fired("paid several at once")

    @rule(data=st.data(), number=st.integers(0, len(LEGS) - 1))
    def buy(self, data: st.DataObject, number: int) -> None:
        source, target = self._pair(data)
        if not self._both_awake(source, target):
            return
        if self.town.buy(source, target, number):
            self.fired(f"bought over {len(self.town.route(source, target)) - 1} hops")

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        node = self.town[data.draw(st.sampled_from(self.path))]
        channel_id = data.draw(st.sampled_from(list(self.town.links.values())))
        if node not in self.town.awake() or channel_id not in node.tables.records[Channel]:
            return
        if self.town.ask(node.name, SettlementRequested(channel_id, LEGS[0].terms.feed, EXPIRY_S)):
            self.fired("settlement asked for")

    @precondition(lambda self: self.town.chain.now_s > T0_S + 300)
    @rule(data=st.data(), how=st.sampled_from(("not yet", "cooperative", "unilateral")))
    def close(self, data: st.DataObject, how: str) -> None:
        node = self.town[data.draw(st.sampled_from(self.path))]
        link = data.draw(st.sampled_from(list(self.town.links)))
        known = self.town.links[link] in node.tables.records[Channel]
        if how == "not yet" or node not in self.town.awake() or not known:
            return
        if self.town.leave(node.name, link, unilateral=how == "unilateral"):
            self.fired(f"{how} close")
        self.town.catch_up()

    # --- what the world does to them ------------------------------------------------------------------

    @rule(names=st.lists(st.sampled_from(["alice", "bob", "bob", "carol"]), min_size=1, max_size=6))
    def deliver_some(self, names: list[str]) -> None:
        for name in names:
            if name in self.path and self.town.network.deliver(name):
                self.fired("delivered")

    @rule(all_of_it=st.booleans())
    def deliver_much(self, all_of_it: bool) -> None:
        for _ in range(100 if all_of_it else 3):
            if not sum(self.town.network.deliver(name) for name in self.path):
                break
        if all_of_it:
            self.town.deliver_all()
            self.fired("delivered everything")

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        up = sorted(map(sorted, self.town.network.up))
        if up:
            self.town.drop(*data.draw(st.sampled_from(up)))
            self.fired("dropped")

    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        down = [sorted(link) for link in self.town.links if link not in self.town.network.up]
        down = [link for link in down if self._both_awake(*link)]
        if down:
            self.town.reconnect(*data.draw(st.sampled_from(down)))
            self.fired("reconnected")

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.path))
        if name not in self.town.chain.asleep:
            self.town.crash(name)
            self.town.revive(name)
            self.fired("restarted")

    @rule(data=st.data(), lucky=st.integers(0, 2))
    def fall_asleep(self, data: st.DataObject, lucky: int) -> None:
        name = data.draw(st.sampled_from(self.path))
        if not lucky and name not in self.town.chain.asleep:
            self.town.crash(name)
            self.slept.add(name)
            self.fired("fell asleep")

    @precondition(lambda self: self.town.chain.asleep)
    @rule()
    def wake_up(self) -> None:
        self.town.revive(min(self.town.chain.asleep))
        self.town.catch_up()
        self.fired("woke up")

    @rule(seconds=st.sampled_from([1, 5, 20, 60, 200, 480, 700]))
    def pass_time(self, seconds: int) -> None:
        self.town.pass_time(seconds)
        self.fired("time passed" if seconds < 400 else "deadlines passed")

    @rule(lucky=st.integers(0, 3))
    def reach_expiry(self, lucky: int) -> None:
        if not lucky and self.town.chain.now_s < EXPIRY_S:
            self.town.pass_time(EXPIRY_S - self.town.chain.now_s)
            self.fired("expired")

    @rule(data=st.data())
    def learn_price(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.path))
        if self.town.chain.now_s >= EXPIRY_S and name not in self.town.chain.asleep:
            self.signed_price = PRICE
            self.town.learn_price(name)
            self.fired("price learnt")

    @rule(data=st.data())
    def register_secret(self, data: st.DataObject) -> None:
        known = [
            record.preimage
            for node in self.town.network.nodes.values()
            for record in node.tables.records[Secret].values()
            if isinstance(record, Secret)
        ]
        if known:
            self.town.chain.register(data.draw(st.sampled_from(sorted(known))))
            self.town.catch_up()
            self.fired("secret registered")

    # --- what must hold after every step --------------------------------------------------------------

    def _channels(self, node: Node) -> list[Channel]:
        return [record for record in node.tables.records[Channel].values() if isinstance(record, Channel)]

    @invariant()
    def nobody_is_accused(self) -> None:
        for node in self.town.network.nodes.values():
            assert node.refused == [], (node.name, node.refused)

    @invariant()
    def one_version_has_one_content(self) -> None:
        for node in self.town.network.nodes.values():
            for channel_id, state in node.signed:
                content = (state.net, tuple(state.claims.values()), state.last_ids)
                assert self.contents.setdefault((channel_id, state.version), content) == content

    @invariant()
    def versions_and_queues_are_in_order(self) -> None:
        for node in self.town.network.nodes.values():
            for channel in self._channels(node):
                assert len(channel.waiting) <= 3 * MAX_OPERATIONS
                if not channel.answered:
                    assert channel.mine.version & 1 == channel.me
                    assert channel.mine.version <= channel.theirs.version + 4
                    assert channel.unanswered

    @invariant()
    def every_enforceable_state_is_solvent(self) -> None:
        for node in self.town.network.nodes.values():
            for channel in self._channels(node):
                for state in channel.enforceable:
                    require_solvent(state, channel.deposits.a, channel.deposits.b)
                    assert state.exposure in (None, NO_EXPOSURE.after(added=state.claims.values()))

    @invariant()
    def no_secret_is_forgotten_while_it_is_worth_something(self) -> None:
        for node in self.town.network.nodes.values():
            for hashlock in node.tables.records[Secret]:
                self.known[node.name].add(hashlock)
            for channel in self._channels(node):
                if channel.phase is Phase.CLOSED:
                    continue
                for claim in channel.theirs.claims.values():
                    if claim.payee is channel.me and claim.hashlock in self.known[node.name]:
                        assert claim.hashlock in node.tables.records[Secret]

    @invariant()
    def an_answer_goes_back_only_when_it_is_final(self) -> None:
        for node in self.town.network.nodes.values():
            for (table, key), record in node.history.items():
                if table is not Forward or (node.name, key) in self.checked:
                    continue
                self.checked.add((node.name, key))
                assert isinstance(record, Forward)
                if record.status is ForwardStatus.FAILED:
                    channel = node.channel(record.outgoing.channel_id)
                    dead = node.tables.confirmed_s > record.deadline_s
                    dead &= record.hashlock not in self.town.chain.registered_s
                    assert dead or is_gone(channel, record.outgoing.claim_id)
                self.fired(f"forward {record.status.name.lower()}")

    @invariant()
    def nobody_can_be_robbed(self) -> None:
        prices = prices_now(self.town, self.signed_price)
        for node in self.town.network.nodes.values():
            start = self.town.deposit * len(self._channels(node))
            floor = start + due_by_records(node, prices, slept=node.name in self.slept)
            assert worst_case(self.town.chain, node, prices) >= floor, node.name

    # --- the end: everything heals --------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "town"):
            return
        town = self.town
        for name in sorted(town.chain.asleep):
            town.revive(name)
        town.catch_up()
        self._heal(EXPIRY_S + 120, learn=False)
        self._heal(EXPIRY_S + GRACE_S + 7_200 + 3_600, learn=True)
        self.nobody_is_accused()
        self.an_answer_goes_back_only_when_it_is_final()
        self._everything_is_resolved()
        self._books_agree()
        self.pushes_were_answered()
        if not self.slept:
            self.streams_agree()

    def _heal(self, until_s: int, *, learn: bool) -> None:
        town = self.town
        while town.chain.now_s < until_s:
            if learn and (self.signed_price is None or town.chain.now_s < EXPIRY_S + GRACE_S // 2):
                self.signed_price = PRICE
                for name in self.path:
                    town.learn_price(name)
            for link in town.links:
                if link not in town.network.up:
                    town.reconnect(*sorted(link))
            town.deliver_all()
            town.pass_time(min(400, until_s - town.chain.now_s))
        town.deliver_all()

    def _everything_is_resolved(self) -> None:
        for node in self.town.network.nodes.values():
            assert not node.tables.records[Payment], node.name
            assert not node.tables.records[Forward], node.name
            assert not node.tables.records[Trade], node.name
            for channel in self._channels(node):
                entry = self.town.chain.channels[channel.channel_id]
                assert entry.closed or channel.phase in (Phase.OPEN, Phase.SHUTTING, Phase.CLOSING)
                if not entry.closed:
                    assert _is_bare(channel.mine) and _is_bare(channel.theirs), (node.name, channel)
                    assert channel.answered and not channel.waiting
            assert not node.tables.held

    def _books_agree(self) -> None:
        town = self.town
        prices = prices_now(town, self.signed_price)
        total = 0
        for node in town.network.nodes.values():
            start = town.deposit * len(self._channels(node))
            gain = town.wealth(node.name) - start
            total += gain
            due = due_by_records(node, prices, slept=node.name in self.slept)
            if self.slept:
                assert gain >= due, node.name
            else:
                assert gain == due + fees_earned(node), (node.name, prices)
        assert total == 0
        self.fired("books agreed")


def _is_bare(state: State) -> bool:
    return not state.claims


class TwoNodes(HonestNetwork):
    path = ("alice", "bob")
    fired = Fired()


class ThreeNodes(HonestNetwork):
    path = ("alice", "bob", "carol")
    fired = Fired()


TestTwoNodes = TwoNodes.TestCase
TestTwoNodes.settings = examples(60, 40)
TestThreeNodes = ThreeNodes.TestCase
TestThreeNodes.settings = examples(120, 50)

ALWAYS = (
    "paid",
    "payment rejected",
    "paid over 1 hops",
    "paid several at once",
    "bought over 1 hops",
    "cooperative close",
    "unilateral close",
    "delivered",
    "delivered everything",
    "dropped",
    "reconnected",
    "restarted",
    "fell asleep",
    "woke up",
    "time passed",
    "deadlines passed",
    "expired",
    "price learnt",
    "secret registered",
    "books agreed",
    *pushes.ALWAYS,
)


@pytest.mark.parametrize(
    ("machine", "more"),
    [
        (TwoNodes, ()),
        (ThreeNodes, ("paid over 2 hops", "bought over 2 hops", "forward fulfilled", "forward failed")),
    ],
)
def test_everything_that_can_happen_has_happened(machine: type[HonestNetwork], more: tuple[str, ...]) -> None:
    if not machine.fired.counts:
        pytest.skip("the machine itself was not selected")
    machine.fired.live_until(machine, *ALWAYS, *more)


def test_options_stand_in_the_books_at_what_they_pay() -> None:
    paid = [Prices(PRICE).of(leg) for leg in LEGS]
    assert paid == [400, 300, 150, 0]
