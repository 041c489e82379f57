"""What people do with daemons that die: each act is asked for until it is done, and done once."""

from contextlib import suppress
from datetime import UTC, datetime

from channeld.api.commands import ChannelInfo, InvoiceInfo, TradeInfo
from channeld.core.errors import OperationalError, Rejected
from tests.daemon.cluster import USD
from tests.daemon.mortal_life import NAMES, PATIENCE_S, Act, Life, insist, until
from tests.daemon.town import STAKE

STRIKE_USD = 4_000
CAPPED_USD = 50
SETTLED_AT_USD = 4_030
LIFETIME_S = 400
"""Of an option: longer than the trade needs at least, so short that a life has many."""


async def nothing(life: Life) -> None:
    """No preparation."""


def pays(payer: str, payee: str, amount: int) -> Act:
    """An invoice is made and paid, once."""

    async def play(life: Life, _: None) -> None:
        made: list[InvoiceInfo] = []

        async def invoiced() -> bool:
            made.extend(await life[payee].create_invoice("USD", amount, "", None, 1))
            return True

        async def paid() -> bool:
            with suppress(Rejected):  # the payer knows nothing of it
                if (await life[payer].payment(made[-1].hashlock)).status == "succeeded":
                    return True
            done = await life[payer].pay(made[-1].text, None, None, PATIENCE_S)
            return done.status == "succeeded"

        async def booked() -> bool:
            return (await life[payee].invoice(made[-1].hashlock)).status == "paid"

        await insist(invoiced)
        await insist(paid)
        await insist(booked)
        life.earn(payer, payee, amount, await fee_of(life, payer, made[-1].hashlock))

    return Act(f"{payer} pays {payee}", play, nothing)


async def fee_of(life: Life, payer: str, hashlock: bytes) -> int:
    fees: list[int] = []

    async def told() -> bool:
        fees.append((await life[payer].payment(hashlock)).fee)
        return True

    await insist(told)
    return fees[-1]


def is_refused(payer: str, payee: str, third: str, amount: int) -> Act:
    """An invoice that somebody else has paid: the payee lets go, and everything comes back."""

    async def prepare(life: Life) -> InvoiceInfo:
        (invoice,) = await life[payee].create_invoice("USD", amount, "", None, 1)
        paid = await life[third].pay(invoice.text, None, None, PATIENCE_S)
        assert paid.status == "succeeded"
        life.earn(third, payee, amount, paid.fee)
        await life.settled()
        return invoice

    async def play(life: Life, invoice: InvoiceInfo) -> None:
        async def refused() -> bool:
            done = await life[payer].pay(invoice.text, None, None, PATIENCE_S)
            assert done.status != "succeeded"
            return done.status == "failed" and "does not know this invoice" in done.failure

        await insist(refused)

    return Act(f"{payee} refuses {payer}", play, prepare)


async def bought(
    life: Life, buyer: str, writer: str, expiry_s: int, strike_usd: int = STRIKE_USD
) -> TradeInfo:
    """One call on one ETH, once, whatever dies meanwhile."""
    when = datetime.fromtimestamp(expiry_s, UTC).strftime("%d%b%yT%H%M%S").upper()
    name = f"ETH-{when}-{strike_usd}-C:{strike_usd + CAPPED_USD}"
    found: list[TradeInfo] = []

    async def bound() -> bool:
        trades, _ = await life[buyer].trades(None, 50)
        mine = [trade for trade in trades if trade.name == name and trade.status != "failed"]
        if not mine:
            quote = await life[buyer].quote_option(name, 10**8, "USD", life.node_id(writer), PATIENCE_S)
            mine = [await life[buyer].buy_option(quote.quote_id, None, PATIENCE_S)]
        if mine[0].status == "failed":
            raise OperationalError(mine[0].failure)
        found[:] = [trade for trade in mine if trade.status == "bound"]
        return bool(found)

    await insist(bound)
    await life.settled()
    (trade,) = found
    life.earn(buyer, writer, trade.premium, trade.fee)
    return trade


def buys(buyer: str, writer: str) -> Act:
    """Each time a call with a strike of its own."""

    async def play(life: Life, _: None) -> None:
        strike_usd = STRIKE_USD + len(life.victim.deaths)
        await bought(life, buyer, writer, life.far_s, strike_usd)
        payoff = max(0, min(SETTLED_AT_USD - strike_usd, CAPPED_USD)) * USD
        life.open_interest.append((writer, buyer, payoff))

        async def everywhere() -> bool:
            counts = []
            for name in NAMES:
                held = [p for p in (await life[name].positions())[0] if f"-{strike_usd}-" in p.name]
                counts.append(len(held))
            return counts == [1, 2, 1]

        await until(everywhere)

    return Act(f"{buyer} buys from {writer}", play, nothing)


def everything_expires() -> Act:
    """All that was bought is settled at one price, and the first channel can end."""

    async def play(life: Life, _: None) -> None:
        life.net.reach(life.far_s)
        await life.net.price(life.far_s, SETTLED_AT_USD)

        async def gone() -> bool:
            return not any([(await life[name].positions())[0] for name in NAMES])

        await until(gone)
        while life.open_interest:
            life.earn(*life.open_interest.pop())

    return Act("everything expires", play, nothing)


def ends(name: str, other: str) -> Act:
    """The channel of the beginning is closed."""

    async def play(life: Life, _: None) -> None:
        await closed_together(life, name, life.channel(name, other))

    return Act(f"{name} ends the channel with {other}", play, nothing)


def settles(buyer: str, writer: str) -> Act:
    """An option expires, and everybody settles by himself."""

    async def prepare(life: Life) -> int:
        expiry_s = life.net.now_s + LIFETIME_S
        await bought(life, buyer, writer, expiry_s)
        return expiry_s

    async def play(life: Life, expiry_s: int) -> None:
        life.net.reach(expiry_s)
        await life.net.price(expiry_s, SETTLED_AT_USD)

        async def gone() -> bool:
            held = [p for name in NAMES for p in (await life[name].positions())[0]]
            return all(position.expires_s != expiry_s for position in held)

        await until(gone)
        life.earn(writer, buyer, (SETTLED_AT_USD - STRIKE_USD) * USD)

    return Act(f"{writer} settles with {buyer}", play, prepare)


def deposits(name: str, other: str) -> Act:
    """More money into a channel. Dying between deposit and answer, one must look before one asks again."""

    async def prepare(life: Life) -> ChannelInfo:
        return await life[name].channel(life.channel(name, other))

    async def play(life: Life, before: ChannelInfo) -> None:
        async def deposited() -> bool:
            if not life.victim.has_unfinished_transactions():
                now = await life[name].channel(before.channel_id)
                if now.deposit_ours == before.deposit_ours:
                    await life[name].deposit(before.channel_id, 10 * USD, PATIENCE_S)
            now = await life[name].channel(before.channel_id)
            return now.deposit_ours == before.deposit_ours + 10 * USD

        await insist(deposited)

    return Act(f"{name} deposits", play, prepare)


async def between(life: Life, name: str, other: str) -> list[ChannelInfo]:
    """The channels that they have or had."""
    found, _ = await life[name].channels(closed=True)
    return [info for info in found if info.peer == life.node_id(other)]


def opens(name: str, other: str) -> Act:
    """A channel is opened and closed again together."""

    async def prepare(life: Life) -> set[bytes]:
        return {info.channel_id for info in await between(life, name, other)}

    async def play(life: Life, known: set[bytes]) -> None:
        fresh: list[bytes] = []

        async def opened() -> bool:
            there = [info for info in await between(life, name, other) if info.channel_id not in known]
            if not there and not life.victim.has_unfinished_transactions():
                await life[name].open_channel(life.node_id(other), "USD", STAKE, None, PATIENCE_S)
            fresh[:] = [info.channel_id for info in there]
            return bool(fresh)

        await insist(opened)
        await life.settled()
        for channel in fresh:
            await closed_together(life, name, channel)

    return Act(f"{name} opens a channel", play, prepare)


async def closed_together(life: Life, name: str, channel: bytes) -> None:
    """Asked for until both see it closed."""

    async def closed() -> bool:
        if (await life[name].channel(channel)).phase == "open":
            await life[name].close_channel(channel, False, PATIENCE_S)
        return (await life[name].channel(channel)).phase == "closed"

    await insist(closed)


def closes(name: str, other: str) -> Act:
    """A channel with some history ends with one transaction."""

    async def prepare(life: Life) -> bytes:
        return await life.open(name, other)

    async def play(life: Life, channel: bytes) -> None:
        await closed_together(life, name, channel)

    return Act(f"{name} closes with {other}", play, prepare)


async def challenged(life: Life, name: str, channel: bytes) -> None:
    """Asked for until the challenge is seen."""

    async def seen() -> bool:
        now = await life[name].channel(channel)
        if now.phase == "open":
            now = await life[name].close_channel(channel, True, PATIENCE_S)
        return now.phase == "disputed" and "to answer" in now.note

    await insist(seen)


async def settled_on_chain(life: Life, channel: bytes, *ends: str) -> None:
    """Time passes until both ends see the channel closed."""

    async def closed() -> bool:
        life.net.reach(life.net.now_s + 31)  # the next look at a dispute
        return all([(await life[who].channel(channel)).phase == "closed" for who in ends])

    await insist(closed)


def leaves(name: str, other: str) -> Act:
    """A channel is challenged, and settled after its window."""

    async def prepare(life: Life) -> bytes:
        return await life.open(name, other)

    async def play(life: Life, channel: bytes) -> None:
        await challenged(life, name, channel)
        life.net.reach(life.net.now_s + 600)
        await settled_on_chain(life, channel, name, other)

    return Act(f"{name} leaves {other}", play, prepare)


def leaves_with_a_position(name: str, other: str) -> Act:
    """Challenge, price and settlement of a call that `name` holds."""

    async def prepare(life: Life) -> tuple[bytes, int]:
        channel = await life.open(name, other)
        expiry_s = life.net.now_s + LIFETIME_S
        await bought(life, name, other, expiry_s)
        return channel, expiry_s

    async def play(life: Life, prepared: tuple[bytes, int]) -> None:
        channel, expiry_s = prepared
        await challenged(life, name, channel)
        life.net.reach(expiry_s)
        await life.net.price(expiry_s, SETTLED_AT_USD)
        life.net.reach(life.net.now_s + 600)
        await settled_on_chain(life, channel, name, other)
        life.earn(other, name, (SETTLED_AT_USD - STRIKE_USD) * USD)

    return Act(f"{name} leaves {other} with a position", play, prepare)


def leaves_with_a_secret(name: str, payer: str, amount: int) -> Act:
    """Paid through bob, who hears no answer any more: the chain must hear the secret in time."""

    async def prepare(life: Life) -> tuple[bytes, bytes]:
        channel = await life.open(name, "bob")
        (invoice,) = await life[name].create_invoice("USD", amount, "", None, 1)
        life.net.deafen("bob", life.node_id(name))
        with suppress(OperationalError):
            await life[payer].pay(invoice.text, None, None, 0.0)

        async def offered() -> bool:
            return (await life[name].invoice(invoice.hashlock)).status == "paid"

        await until(offered)
        return channel, invoice.hashlock

    async def play(life: Life, prepared: tuple[bytes, bytes]) -> None:
        channel, hashlock = prepared
        await challenged(life, name, channel)

        async def paid() -> bool:
            return (await life[payer].payment(hashlock)).status == "succeeded"

        await until(paid)
        life.net.undeafen("bob")
        life.net.reach(life.net.now_s + 600)
        await settled_on_chain(life, channel, name, "bob")
        life.earn(payer, name, amount, await fee_of(life, payer, hashlock))

    return Act(f"{name} leaves bob with a secret", play, prepare)
