"""The rules of the adjudicator: deposits, what both agree on, and who may call what how."""

from collections.abc import Callable
from typing import Any

from bench.evm import CompactSignature
from tests.contracts.model import disputes, money, registries
from tests.contracts.model.agreement import require_agreed
from tests.contracts.model.books import DISPUTED, ETH, NONE, OPEN, STATUS, Books, Channel, Params, Refused
from tests.contracts.model.calls import Call, misfit
from tests.contracts.model.signing import CLOSE, NOBODY, WITHDRAW, hash_struct

MIN_PERIOD_S, MAX_PERIOD_S = 600, 30 * 86_400
MAX_POT = 2**95 - 1
MAX_COUNTER = 2**21


def with_deposits(channel: Channel, a: int, b: int) -> dict[str, int]:
    if a + b < 0:
        raise Refused("deposits: below zero")
    if max(a + b, a, b) > MAX_POT:
        raise Refused("deposits: too large", "pot" if a + b > MAX_POT else "one side")
    return {"a": a, "b": b}


def deposit(books: Books, sender: bytes, params: Params, to_b: bool, amount: int, value_wei: int = 0) -> None:
    if params.asset == ETH:
        if value_wei != amount:
            raise Refused("deposit: wrong value")
        got = amount
    else:
        if value_wei:
            raise Refused("deposit: no ETH here")
        got = money.fetch(books, params.asset, sender, amount)
    if got == 0:
        raise Refused("deposit: nothing or too large", "nothing")
    if got > MAX_POT:
        raise Refused("deposit: nothing or too large", "too large")
    identity, channel = books.channel(params)
    gift = {"a": 0 if to_b else got, "b": got if to_b else 0}
    if channel.status == NONE:
        if params.a == NOBODY:
            raise Refused("open: no address")
        if params.a >= params.b:
            raise Refused("open: a must be below b", "same" if params.a == params.b else "swapped")
        if not MIN_PERIOD_S <= params.period_s <= MAX_PERIOD_S:
            raise Refused("open: period", "short" if params.period_s < MIN_PERIOD_S else "long")
        books.channels[identity] = Channel(status=OPEN, **gift)
        books.fired["opened"] += 1
        return
    if channel.status != OPEN:
        raise Refused("deposit: not open", STATUS[channel.status])
    books.change(identity, **with_deposits(channel, channel.a + gift["a"], channel.b + gift["b"]))
    books.fired["topped up" + (" after a withdrawal" if channel.counter else "")] += 1


def deposit_with_permit(
    books: Books,
    sender: bytes,
    params: Params,
    to_b: bool,
    amount: int,
    deadline: int,
    v: int,
    r: bytes,
    s: bytes,
) -> None:
    saved = books.save()
    try:
        money.permit(books, params.asset, sender, amount, deadline, v, r, s)
        books.fired["permit: taken"] += 1
    except Refused as refused:
        books.restore(saved)
        books.fired[f"permit: {refused.path}, and no matter"] += 1
    deposit(books, sender, params, to_b, amount)


def close(
    books: Books,
    sender: bytes,
    params: Params,
    net: int,
    until_s: int,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    identity, channel = books.channel(params)
    if channel.status not in (OPEN, DISPUTED):
        raise Refused("close: no such channel", STATUS[channel.status])
    if books.now_s > until_s:
        raise Refused("close: too late")
    struct = hash_struct(CLOSE, identity, channel.counter, net, until_s)
    require_agreed(books, sender, params, struct, sig_a, sig_b)
    books.fired["closed " + STATUS[channel.status]] += 1
    if books.now_s == until_s:
        books.fired["closed in the last second"] += 1
    disputes.finish(books, params, net)


def withdraw(
    books: Books,
    sender: bytes,
    params: Params,
    to_a: int,
    to_b: int,
    until_s: int,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    identity, channel = books.channel(params)
    if channel.status != OPEN:
        raise Refused("withdraw: not open", STATUS[channel.status])
    if books.now_s > until_s:
        raise Refused("withdraw: too late")
    if channel.counter >= MAX_COUNTER:
        raise Refused("withdraw: too often")
    struct = hash_struct(WITHDRAW, identity, channel.counter, to_a, to_b, until_s)
    require_agreed(books, sender, params, struct, sig_a, sig_b)
    left = with_deposits(channel, channel.a - to_a, channel.b - to_b)
    books.change(identity, counter=channel.counter + 1, **left)
    books.fired["withdrawn" + (" what was earned" if min(left.values()) < 0 else "")] += 1
    money.push(books, params.asset, params.a, to_a)
    money.push(books, params.asset, params.b, to_b)


# name => (what it does, whether the one lock guards it)
LAW: dict[str, tuple[Callable[..., None], bool]] = {
    "deposit": (deposit, True),
    "deposit_with_permit": (deposit_with_permit, True),
    "close": (close, True),
    "withdraw": (withdraw, True),
    "challenge": (disputes.challenge, False),
    "challenge_for": (disputes.challenge_for, False),
    "respond": (disputes.respond, False),
    "settle": (disputes.settle, True),
    "settle_claims": (disputes.settle_claims, True),
    "settle_batch": (disputes.settle_batch, True),
    "register_secret": (registries.register_secret, False),
    "register_secrets": (registries.register_secrets, False),
    "publish_price": (registries.publish_price, False),
    "publish_redstone": (registries.publish_redstone, False),
    "claim_credit": (money.claim_credit, True),
    "claim_credits": (money.claim_credits, True),
}


def execute(books: Books, sender: bytes, call: Call) -> None:
    """Run one call against the books; Refused means that nothing changed."""
    saved = books.save()
    try:
        _execute(books, sender, call)
    except Refused as refused:
        books.restore(saved)
        books.fired[refused.path] += 1
        raise


def _execute(books: Books, sender: bytes, call: Call) -> None:
    rule, guarded = LAW[call.name]
    args: list[Any] = list(call.args)
    if (wrong := misfit(call.name, call.args)) is not None:
        raise Refused("", f"no {wrong}")
    if call.value_wei:
        if call.name != "deposit":
            raise Refused("", "takes no value")
        if books.balance(ETH, sender) < call.value_wei:
            raise Refused("", "sender has no such value")
        books.balances[ETH, sender] -= call.value_wei
        books.balances[ETH, books.court] = books.balance(ETH, books.court) + call.value_wei
    if guarded and books.locked:
        raise Refused("", "re-entered")
    if call.name == "settle_claims":
        args.append(call.tail)
    if call.name == "deposit":
        args.append(call.value_wei)
    before, books.locked = books.locked, guarded or books.locked
    rule(books, sender, *args)
    books.locked = before
    books.fired[f"{call.name} done"] += 1
