"""When carol answers bob: with her next offer if she makes one at once, else without it, and soon."""

import asyncio

from channeld.core.channel import Ack, Update
from channeld.core.effects import Effect, SendSigned
from channeld.daemon.paying import WOKEN_AT_ONCE
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.town import STAKE, assert_same_books, is_quiet


def signed_by(net: Cluster, name: str) -> list[type[Update | Ack]]:
    """What the node signs from now on, in order."""
    engine = net[name].engine
    honest, kinds = engine._act, []

    def act(effect: Effect) -> None:
        if isinstance(effect, SendSigned):
            kinds.append(type(effect.message))
        honest(effect)

    engine._act = act
    return kinds


async def _town(net: Cluster, count: int) -> tuple[bytes, list[str]]:
    await net.connect("carol", "bob")
    channel = await net.open("carol", "bob", "USD", STAKE, STAKE)
    made = await net["bob"].create_invoice("USD", 3 * USD, "", None, count)
    await eventually(lambda: len(net["carol"].peering._gossip.known()) == 2)
    return channel, [invoice.text for invoice in made]


async def _pay(net: Cluster, text: str) -> str:
    return (await net["carol"].pay(text, None, None, 30.0)).status


async def test_one_payment_after_the_other_takes_one_signature_of_each(tmp_path):
    """Only the last of them has no other behind it that could carry the answer."""
    async with cluster(tmp_path, "bob", "carol") as net:
        channel, texts = await _town(net, 12)
        carol, bob = signed_by(net, "carol"), signed_by(net, "bob")
        for text in texts:
            assert await _pay(net, text) == "succeeded"
        await eventually(lambda: is_quiet(net.state("carol", channel)))
        assert carol == [Update] * 12 + [Ack]
        assert bob == [Update] * 12
        assert_same_books(net, "bob", "carol", channel)


async def test_whoever_does_not_pay_again_answers_all_the_same(tmp_path):
    async with cluster(tmp_path, "bob", "carol") as net:
        channel, texts = await _town(net, 3)
        carol = signed_by(net, "carol")
        for text in texts:
            assert await _pay(net, text) == "succeeded"
            await eventually(lambda: is_quiet(net.state("carol", channel)))
            await eventually(lambda: is_quiet(net.state("bob", channel)))
        assert carol == [Update, Ack] * 3


async def test_hundreds_at_once_are_all_woken(tmp_path):
    """More than are woken between two turns, and all of them in one batch."""
    async with cluster(tmp_path, "bob", "carol") as net:
        count = 3 * WOKEN_AT_ONCE + 7
        channel, texts = await _town(net, count)
        paid = await asyncio.gather(*(_pay(net, text) for text in texts))
        assert paid == ["succeeded"] * count
        await eventually(lambda: is_quiet(net.state("carol", channel)))
        assert (await net["bob"].channel(channel)).ours == STAKE + count * 3 * USD
        assert_same_books(net, "bob", "carol", channel)
