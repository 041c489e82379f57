"""The rules of leaving alone, and of paying out."""

from bench.evm import CompactSignature
from tests.contracts.model import agreement, money
from tests.contracts.model.books import (
    DISPUTED,
    OPEN,
    STATUS,
    TOMBSTONE,
    Books,
    Channel,
    Params,
    Refused,
    Standing,
)
from tests.contracts.model.signing import START, STATE, hash_struct, typed
from tests.contracts.valuation import MAX_NETTED, Valued, chain_of, read_list, value

NO_CLAIMS = bytes(32)


def finish(books: Books, params: Params, net: int) -> None:
    to_a, to_b = entomb(books, params, net)
    money.push(books, params.asset, params.a, to_a)
    money.push(books, params.asset, params.b, to_b)


def entomb(books: Books, params: Params, net: int) -> tuple[int, int]:
    identity, channel = books.channel(params)
    to_a = max(0, min(channel.a - net, channel.pot))
    if to_a != channel.a - net:
        books.fired["clamped to " + ("nothing" if to_a == 0 else "the pot")] += 1
    books.channels[identity] = TOMBSTONE
    books.disputes.pop(identity, None)
    return to_a, channel.pot - to_a


def challenge(
    books: Books,
    sender: bytes,
    params: Params,
    version: int,
    net: int,
    claims: bytes,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    if sender not in params[:2]:
        raise Refused("challenge: not a party")
    _start(books, params)
    _store(books, sender, params, version, net, claims, sig_a, sig_b)


def challenge_for(
    books: Books,
    sender: bytes,
    params: Params,
    version: int,
    net: int,
    claims: bytes,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
    minimum: int,
    until_s: int,
    permit: CompactSignature,
) -> None:
    struct = hash_struct(START, params.id(books.domain), sender, minimum, until_s)
    if agreement.signer(typed(books.domain, struct), permit) not in params[:2]:
        raise Refused("permit: not by a party")
    if books.now_s > until_s:
        raise Refused("permit: too late")
    if minimum == 0 or version < minimum:
        raise Refused("permit: version too low", "no minimum" if minimum == 0 else "below the minimum")
    _start(books, params)
    _store(books, sender, params, version, net, claims, sig_a, sig_b)


def _start(books: Books, params: Params) -> None:
    identity, channel = books.channel(params)
    if channel.status != OPEN:
        raise Refused("challenge: not open", STATUS[channel.status])
    books.change(identity, status=DISPUTED, expiry_s=books.now_s + params.period_s)


def _store(
    books: Books,
    sender: bytes,
    params: Params,
    version: int,
    net: int,
    claims: bytes,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    identity = params.id(books.domain)
    if version == 0:
        if net or claims != NO_CLAIMS:
            raise Refused("state: version 0 is empty", "net" if net else "claims")
        books.fired["left with nothing signed"] += 1
    else:
        struct = hash_struct(STATE, identity, version, net, claims)
        agreement.require_agreed(books, sender, params, struct, sig_a, sig_b)
    books.disputes[identity] = Standing(version, net, claims, books.salt)


def respond(
    books: Books,
    sender: bytes,
    params: Params,
    version: int,
    net: int,
    claims: bytes,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    identity, channel = books.channel(params)
    if channel.status != DISPUTED:
        raise Refused("respond: no dispute", STATUS[channel.status])
    if books.now_s >= channel.expiry_s:
        raise Refused("respond: too late")
    standing = books.disputes[identity]
    if version <= standing.version:
        raise Refused("respond: not later", "the same" if version == standing.version else "older")
    _store(books, sender, params, version, net, claims, sig_a, sig_b)
    if books.now_s == channel.expiry_s - 1:
        books.fired["answered in the last second"] += 1


def _require_settleable(books: Books, params: Params, net: int, claims: bytes, salt: bytes) -> Channel:
    identity, channel = books.channel(params)
    if channel.status != DISPUTED:
        raise Refused("settle: no dispute", STATUS[channel.status])
    if books.now_s < channel.expiry_s:
        raise Refused("settle: too early")
    standing = books.disputes[identity]
    for what, shown, stands in (
        ("net", net, standing.net),
        ("claims", claims, standing.claims),
        ("salt", salt, standing.salt),
    ):
        if shown != stands:
            raise Refused("settle: not the state", what)
    return channel


def settle(books: Books, sender: bytes, params: Params, net: int, salt: bytes) -> None:
    _require_settleable(books, params, net, NO_CLAIMS, salt)
    finish(books, params, net)


def settle_batch(
    books: Books, sender: bytes, hub: bytes, asset: bytes, exits: list[tuple[bytes, int, int, bytes]]
) -> None:
    """Skips what cannot be settled; the hub is paid once, after all others."""
    to_hub = 0
    for peer, config, net, salt in exits:
        params = Params(min(hub, peer), max(hub, peer), asset, config)
        try:
            _require_settleable(books, params, net, NO_CLAIMS, salt)
        except Refused as refused:
            books.fired[f"batch skips: {refused.path}"] += 1
            continue
        to_a, to_b = entomb(books, params, net)
        to_hub += to_a if params.a == hub else to_b
        money.push(books, asset, peer, to_b if params.a == hub else to_a)
        books.fired["batch: hub is " + ("a" if params.a == hub else "b")] += 1
    money.push(books, asset, hub, to_hub)


def settle_claims(books: Books, sender: bytes, params: Params, net: int, salt: bytes, words: bytes) -> None:
    if len(words) % 32:
        raise Refused("claims: not whole words")
    valued = value(words, books.registries, books.now_s)
    channel = _require_settleable(books, params, net, _chained(words), salt)
    _note(books, words, valued)
    total = net - valued.to_a
    if not valued.rest:
        finish(books, params, total)
        return
    base, pot = channel.a - total, channel.pot
    to_a = max(0, min(base - valued.need_a, pot))
    to_b = max(0, min(pot - base - valued.need_b, pot))
    if not valued.decided and to_a + to_b == 0:
        raise Refused("settle: nothing to do yet")
    left = pot - to_a - to_b
    rest = b"".join(claim.words for claim in valued.rest)
    identity = params.id(books.domain)
    books.change(identity, a=left, b=0, counter=channel.counter + 1)
    old = books.disputes[identity]
    books.disputes[identity] = Standing(old.version, left + to_a - base, _chained(rest), salt)
    books.lists[_chained(rest)] = rest
    books.fired["settled in part"] += 1
    if not valued.decided:
        books.fired["settled in part: only free money"] += 1
    if channel.counter and channel.b == 0 and old.salt == salt and channel.a:
        books.fired["settled in part again"] += 1
    money.push(books, params.asset, params.a, to_a)
    money.push(books, params.asset, params.b, to_b)


def _chained(words: bytes) -> bytes:
    return chain_of(list(read_list(words)))


def _note(books: Books, words: bytes, valued: Valued) -> None:
    """Which fates of which claims have been seen."""
    registries, now_s = books.registries, books.now_s
    for claim in read_list(words):
        if claim.cut:
            books.fired["claim: cut"] += 1
            continue
        if claim.void:
            outlives = claim.kind in range(1, 7) and claim.hashlock and claim.deadline_s > claim.expiry_s
            books.fired["claim: void, outlives its expiry" if outlives else f"claim: void {claim.kind}"] += 1
            continue
        fate = registries.lock(claim, now_s) if claim.hashlock else "free"
        books.fired[f"claim: {'option' if claim.kind else 'transfer'} {fate}"] += 1
        seen_s = registries.secrets.get(claim.hashlock or b"", -1)
        if seen_s - claim.deadline_s in (0, 1):
            books.fired[f"claim: secret at its deadline + {seen_s - claim.deadline_s} s"] += 1
        if claim.kind and fate != "dead":
            price = registries.price(claim, now_s)
            decided = "priced" if isinstance(price, int) else f"price {price}"
            books.fired[f"claim: kind {claim.kind} {decided}"] += 1
            if isinstance(price, int) and price in (claim.strike, claim.strike - 1):
                books.fired[f"claim: priced at its strike - {claim.strike - price}"] += 1
    if sum(1 for claim in valued.rest if claim.kind) > MAX_NETTED:
        books.fired["claim: more options stay pending than can be netted"] += 1
