"""Pushes between honest neighbours, for the state machines: each that is asked for is answered once."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import rule

from channeld.core.channel import Channel, Phase
from channeld.core.draft import Tables
from channeld.core.effects import AnswerPushes
from channeld.core.events import PushesRequested
from channeld.core.operations import NO_STREAM, Push
from channeld.core.records import Stream
from tests.core.network import Node
from tests.core.soak import Fired
from tests.core.town import Town

STREAMS = st.sampled_from([NO_STREAM, b"a" * 16, b"b" * 16])
PUSHES = st.lists(st.builds(Push, STREAMS, st.sampled_from([1, 2, 30, 700, 2_999])), min_size=1, max_size=4)
ALWAYS = ("pushed", "push rejected", "push sent", "push dropped", "streams agreed")

Streams = dict[tuple[bytes, bytes], tuple[int, int]]


class Pushing:
    """A part of a state machine over a town; `asked` counts the pushes that each node has taken on."""

    town: Town
    fired: Fired
    asked: dict[str, Counter[tuple[bytes, Push]]]

    @rule(data=st.data(), pushes=PUSHES)
    def push(self, data: st.DataObject, pushes: list[Push]) -> None:
        link = data.draw(st.sampled_from(sorted(map(sorted, self.town.links))))
        name = data.draw(st.sampled_from(link))
        channel_id = self.town.channel_id(*link)
        if name in self.town.chain.asleep:
            return
        if not self.town.ask(name, PushesRequested(channel_id, tuple(pushes))):
            self.fired("push rejected")
            return
        self.asked.setdefault(name, Counter()).update((channel_id, push) for push in pushes)
        self.fired("pushed")

    def pushes_were_answered(self) -> None:
        """At the end: every push that was asked for was sent or dropped, once; every one sent is counted."""
        for name, node in self.town.network.nodes.items():
            sent, dropped = answered(node)
            assert sent + dropped == self.asked.get(name, Counter()), name
            sums: dict[tuple[bytes, bytes], tuple[int, int]] = {}
            for (channel_id, push), times in sent.items():
                count, total = sums.get((channel_id, push.stream), (0, 0))
                sums[channel_id, push.stream] = count + times, total + times * push.amount
            assert sums == streams(node, outgoing=True), name
            self.fired.counts["push sent"] += sent.total()
            self.fired.counts["push dropped"] += dropped.total()

    def streams_agree(self) -> None:
        """What one end has sent the other has received, push by push."""
        for (one, other), channel_id in ((sorted(link), key) for link, key in self.town.links.items()):
            for payer, payee in ((self.town[one], self.town[other]), (self.town[other], self.town[one])):
                assert _of(payer, channel_id, True) == _of(payee, channel_id, False)
        self.fired("streams agreed")


def answered(node: Node) -> tuple[Counter[tuple[bytes, Push]], Counter[tuple[bytes, Push]]]:
    """What a node has told those who asked for pushes: sent, and dropped."""
    sent: Counter[tuple[bytes, Push]] = Counter()
    dropped: Counter[tuple[bytes, Push]] = Counter()
    for effect in node.effects:
        if isinstance(effect, AnswerPushes):
            sent.update((effect.channel_id, push) for push in effect.sent)
            dropped.update((effect.channel_id, push) for push in effect.dropped)
    return sent, dropped


class Holder(Protocol):
    """A node's records, live and past."""

    @property
    def tables(self) -> Tables: ...
    @property
    def history(self) -> Mapping[Any, Any]: ...


def streams(node: Holder, *, outgoing: bool) -> Streams:
    """Count and total by (channel, stream)."""
    return {
        (record.channel_id, record.stream): (record.count, record.total)
        for record in node.history.values()
        if isinstance(record, Stream) and record.outgoing is outgoing and record.count
    }


def _of(node: Holder, channel_id: bytes, outgoing: bool) -> Streams:
    return {key: sums for key, sums in streams(node, outgoing=outgoing).items() if key[0] == channel_id}


def pushed_net(node: Holder, *, slept: bool, asset: bytes | None = None) -> int:
    """What pushes have brought (in one asset), by the records; one that the peer may take counts as taken.

    Whoever `slept` over a dispute may have lost what it had received.
    """
    channels = {c.channel_id: c for c in node.tables.channels() if asset in (None, c.params.asset)}
    received, sent = (
        sum(total for (key, _), (_, total) in streams(node, outgoing=outgoing).items() if key in channels)
        for outgoing in (False, True)
    )
    return (0 if slept else received) - sent - sum(in_doubt(channel) for channel in channels.values())


def in_doubt(channel: Channel) -> int:
    """The pushes in our proposal while it is unanswered: nobody knows whether the peer has taken it."""
    if channel.answered or channel.phase is Phase.CLOSED:
        return 0
    return sum(operation.amount for operation in channel.unanswered if isinstance(operation, Push))
