"""A reference for how a claim list is valued: plain Python over words, written from docs/protocol.md.

Only the worth of one group at a price is the product's own (`group_payout`): contract and core are held
equal by it. Everything else is deliberately naive.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from channeld.core.claims import MAX_PRICE, PRICE_SCALE, Claim, OptionTerms, PayoffKind
from channeld.core.payoff import group_payout, is_void
from channeld.wire.eip712 import claim_words, keccak

MAX_NETTED = 16
FROM_B, LOCKED = 1 << 248, 1 << 249


@dataclass(frozen=True, slots=True)
class Listed:
    """One claim of a list, as its words say; `terms` is None if it is a transfer."""

    words: bytes
    kind: int
    from_b: bool
    amount: int
    hashlock: bytes | None
    deadline_s: int
    feed: bytes = b""
    expiry_s: int = 0
    strike: int = 0
    bound: int = 0
    cut: bool = False

    @property
    def terms(self) -> OptionTerms:
        return OptionTerms(PayoffKind(self.kind), self.feed, self.expiry_s, self.strike, self.bound)

    @property
    def group(self) -> tuple[bytes, int, int]:
        return self.feed, self.expiry_s, self.bound + 1 if self.kind >= PayoffKind.COIN_CALL else 0

    @property
    def void(self) -> bool:
        """Whether it can never pay anything, whatever happens."""
        if self.cut:
            return True
        if self.kind == PayoffKind.FIXED:
            return False
        if self.kind > PayoffKind.COIN_PUT or is_void(self.terms) or self.amount == 0:
            return True
        return self.hashlock is not None and self.deadline_s > self.expiry_s

    def claim(self, index: int = 0) -> Claim:
        """As the core knows it, its hashlock fallen away."""
        return Claim(2 * index + self.from_b, self.amount, None, 0, self.terms)


def read_list(words: bytes) -> Iterator[Listed]:
    """Claim by claim; the last one is cut if the list ends within it."""
    while words:
        head = int.from_bytes(words[:32], "big")
        kind, locked = head >> 250, bool(head & LOCKED)
        size = 32 * (1 + locked + (2 if kind else 0))
        mine, words = words[:size], words[size:]
        hashlock = mine[32:64] if locked else None
        base = Listed(
            words=mine,
            kind=kind,
            from_b=bool(head & FROM_B),
            amount=head & (2**96 - 1),
            hashlock=hashlock,
            deadline_s=head >> 96 & (2**40 - 1),
            cut=len(mine) < size,
        )
        if not kind or base.cut:
            yield base
            continue
        terms = int.from_bytes(mine[-32:], "big")
        yield Listed(
            mine,
            kind,
            base.from_b,
            base.amount,
            hashlock,
            base.deadline_s,
            mine[-64:-32],
            head >> 136 & (2**40 - 1),
            terms >> 128,
            terms & (2**128 - 1),
        )


@dataclass(slots=True)
class Registries:
    """Times of first sight of secrets by hash, and (published at, price) by feed and instant."""

    secrets: dict[bytes, int] = field(default_factory=dict)
    prices: dict[tuple[bytes, int], tuple[int, int]] = field(default_factory=dict)

    def lock(self, claim: Listed, now_s: int) -> str:
        if claim.hashlock is None:
            return "live"
        seen_s = self.secrets.get(claim.hashlock)
        if seen_s is not None:
            return "live" if seen_s <= claim.deadline_s else "dead"
        return "pending" if now_s <= claim.deadline_s else "dead"

    def price(self, claim: Listed, now_s: int) -> int | str:
        last_s = claim.expiry_s + claim.feed[31] * 3600
        published_s, price = self.prices.get((claim.feed, claim.expiry_s), (2**64, 0))
        if published_s <= last_s and now_s > claim.expiry_s:
            return price
        return "pending" if now_s <= last_s else "dead"


@dataclass(slots=True)
class Valued:
    """What a list is worth now. `to_a` is what decided claims move to a's account; the needs are what
    the pending ones can still cost each side at worst; `rest` are those, in order."""

    to_a: int = 0
    need_a: int = 0
    need_b: int = 0
    rest: list[Listed] = field(default_factory=list)
    decided: int = 0


def value(words: bytes, registries: Registries, now_s: int) -> Valued:
    """Value a whole list."""
    valued = Valued()
    runs: list[list[Listed]] = []
    for claim in read_list(words):
        lock = registries.lock(claim, now_s) if not claim.cut else "dead"
        if claim.void or lock == "dead":
            valued.decided += 1
        elif claim.kind == PayoffKind.FIXED:
            if lock == "live":
                valued.decided += 1
                valued.to_a += claim.amount if claim.from_b else -claim.amount
            else:
                valued.rest.append(claim)
                if claim.from_b:
                    valued.need_b += claim.amount
                else:
                    valued.need_a += claim.amount
        else:
            if not runs or runs[-1][-1].group != claim.group:
                runs.append([])
            runs[-1].append(claim)
            if registries.price(claim, now_s) == "pending":
                valued.rest.append(claim)
            else:
                valued.decided += 1
    for run in runs:
        price = registries.price(run[0], now_s)
        if isinstance(price, int):
            valued.to_a += group_payout([claim.claim(n) for n, claim in enumerate(run)], price)
        elif price == "pending":
            need_a, need_b = worst(run, lambda claim: registries.lock(claim, now_s) == "live")
            valued.need_a += need_a
            valued.need_b += need_b
    return valued


def worst(run: list[Listed], sure: Callable[[Listed], bool]) -> tuple[int, int]:
    """What a run can cost a and b: the first 16 netted over every price that matters, others singly."""
    netted, others = run[:MAX_NETTED], run[MAX_NETTED:]
    lowest = 0 if not netted[0].group[2] else 1
    points = {lowest, 1, MAX_PRICE}
    for claim in netted:
        for price in (claim.strike, claim.bound):
            points |= {near for near in (price - 1, price, price + 1) if lowest <= near <= MAX_PRICE}
    need = [0, 0]
    for price in points:
        for side, from_side in ((0, False), (1, True)):
            cost = 0
            for claim in netted:
                if claim.from_b == from_side:
                    cost += _numerator(claim, price)
                elif sure(claim):
                    cost -= _numerator(claim, price)
            if cost > 0:
                need[side] = max(need[side], cost // _denominator(claim, price))
    for claim in others:
        best = max(
            (claim.strike, claim.bound, MAX_PRICE, 1, claim.strike - 1), key=lambda p: _worth(claim, p)
        )
        need[claim.from_b] += int(_worth(claim, best)[0]) + 1
    return need[0], need[1]


def _worth(claim: Listed, price: int) -> tuple[int, int]:
    price = max(price, 0 if not claim.group[2] else 1)
    return divmod(_numerator(claim, price), _denominator(claim, price))


def _denominator(claim: Listed, price: int) -> int:
    return PRICE_SCALE if claim.kind < PayoffKind.COIN_CALL else max(price, claim.bound)


def _numerator(claim: Listed, price: int) -> int:
    """The table of docs/protocol.md, line by line."""
    size, strike, bound = claim.amount, claim.strike, claim.bound
    match claim.kind:
        case 1:
            return size * max(0, min(price, bound) - strike)
        case 2:
            return size * max(0, strike - max(price, bound))
        case 3:
            return size * PRICE_SCALE if price >= strike else 0
        case 4:
            return size * PRICE_SCALE if price < strike else 0
        case 5:
            return size * max(0, max(price, bound) - strike)
        case _:
            return size * max(0, strike - max(price, bound))


def chain_of(claims: list[Listed]) -> bytes:
    """The chained hash of claims as listed."""
    link = bytes(32)
    for claim in claims:
        link = keccak(link + claim.words)
    return link


def is_canonical(words: bytes) -> bool:
    """Whether every group of a list stands together."""
    groups = [claim.group for claim in read_list(words) if claim.kind and not claim.void]
    changes = [after for before, after in pairwise(groups) if before != after]
    return len(set(changes) | set(groups[:1])) == len(changes) + bool(groups)


def words_of(claims: list[Claim]) -> bytes:
    """In the order given."""
    return b"".join(claim_words(claim) for claim in claims)
