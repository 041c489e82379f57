"""A million valuations: what the contract makes of groups of options, against what the core does.

    python -m tests.contracts.million [--groups N] [--seed N]

Each settlement values some hundred groups at prices next to, between and far from their strikes, over the
whole range of sizes, strikes, bounds and prices, void terms among them. A claim that stays pending makes
the contract store its sum, so that it is compared to the last unit however far beyond the deposits it is.
Every other settlement comes before the prices: there it is the reserves for the worst case that count.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, product

from bench.evm import call_data, ordered, party
from channeld.core.claims import MAX_PRICE, Claim, GroupKey, OptionTerms, PayoffKind
from channeld.core.identity import ChannelParams
from channeld.core.payoff import group_payout, is_void
from channeld.core.solvency import worst_case
from channeld.wire.eip712 import Feed, channel_id, claim_words, domain_separator, keccak, price_digest
from contracts.artifacts import adjudicator
from contracts.compile import HERE
from tests.contracts.model.engine import Engine, best_engine, slot_in, slots_of
from tests.contracts.model.money import CHAIN_ID
from tests.contracts.model.signing import STATE, hash_struct, sign, typed
from tests.contracts.valuation import MAX_NETTED, chain_of, read_list, worst

GROUPS, PRICES = 100, 8
"""Of one settlement."""

START_S, PERIOD_S, HOUR_S = 1_800_000_000, 600, 3_600
MAX_SIZE = 2**96 - 1
"""As much as a word has room for: one bit more than `require_legal_terms` lets pass."""

ALICE, BOB = ordered(party("alice"), party("bob"))
ORACLE = party("oracle")
FEED = Feed("ETH/USD", 8, 1, 1, 255, (ORACLE.address,))
# Never shown, until the end of time: it keeps a settlement partial.
WAITS = Claim(0, 0, bytes(31) + b"\1", 2**40 - 1)
LINEAR = (PayoffKind.CALL, PayoffKind.PUT, PayoffKind.DIGITAL_CALL, PayoffKind.DIGITAL_PUT)
COIN = (PayoffKind.COIN_CALL, PayoffKind.COIN_PUT)
LEVELS = (0, 1, 2, 10**8, 4_000 * 10**8, 2**64, 2**127, MAX_PRICE - 1, MAX_PRICE)


class Differs(AssertionError):
    """The contract has valued something otherwise than the core."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a settlement must come to: side A's balance before its reserves, and both reserves."""

    base: int
    need_a: int = 0
    need_b: int = 0


class Bar:
    """One channel of 2 wei before the contract, as disputed as often as one likes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.now_s, engine.number = START_S, 1_000
        self.court = engine.deploy(adjudicator())
        self.params = ChannelParams(ALICE.address, BOB.address, bytes(20), PERIOD_S, 1)
        self.domain = domain_separator(CHAIN_ID, self.court)
        self.id = channel_id(self.params, self.domain)
        engine.fund(ALICE.address, 2)
        self._send("deposit", self._words, False, 2, value_wei=2)
        engine.mark()

    @property
    def _words(self) -> tuple[bytes, bytes, bytes, int]:
        return self.params.a, self.params.b, self.params.asset, self.params.config

    @cached_property
    def _cell(self) -> int:
        return slot_in(slots_of(HERE / "adjudicator.vy")["disputes"], self.id)

    def _send(self, call: str, *args: object, tail: bytes = b"", value_wei: int = 0) -> None:
        data = call_data(adjudicator(), call, *args) + tail
        self.engine.send(ALICE.address, self.court, data, value_wei, gas=30_000_000)

    def settles(self, claims: list[Claim], prices: dict[int, int], net: int, want: Want) -> bool:
        """Whether a settlement of the claims, some of them pending, pays and leaves what is wanted."""
        engine = self.engine
        engine.rewind()
        engine.now_s = START_S
        words = b"".join(map(claim_words, claims))
        claims_hash = chain_of(list(read_list(words)))
        digest = typed(self.domain, hash_struct(STATE, self.id, 1, net, claims_hash))
        nobody = (bytes(32), bytes(32))
        self._send("challenge", self._words, 1, net, claims_hash, nobody, sign(BOB, digest))
        salt = engine.salt()
        engine.now_s += PERIOD_S
        for instant_s, price in prices.items():
            proof = sign(ORACLE, price_digest(FEED.feed_id, instant_s, price))
            self._send("publish_price", FEED.definition, instant_s, price, [proof])
        self._send("settle_claims", self._words, net, salt, tail=words)
        to_a = max(0, min(want.base - want.need_a, 2))
        to_b = max(0, min(2 - want.base - want.need_b, 2))
        rest = [claim for claim in claims if claim.hashlock or _expiry(claim) not in prices]
        left = chain_of(list(read_list(b"".join(map(claim_words, filter(_counts, rest))))))
        new = hash_struct(STATE, self.id, 1, 2 - to_b - want.base, left)
        stored = 1 << 192 | int.from_bytes(keccak(new + salt), "big") & 2**192 - 1
        paid = engine.balance_wei(ALICE.address), engine.balance_wei(BOB.address)
        return engine.storage(self.court, self._cell) == stored and paid == (to_a, to_b)


def _expiry(claim: Claim) -> int:
    return claim.terms.expiry_s if claim.terms else 0


def _counts(claim: Claim) -> bool:
    """Whether it can ever pay: the contract drops the others at once."""
    return claim.terms is None or bool(claim.amount and not is_void(claim.terms))


def groups_of(claims: Iterable[Claim]) -> list[list[Claim]]:
    """The runs that the contract values, each with one denominator."""
    options = (claim for claim in claims if claim.terms and _counts(claim))
    return [list(run) for _, run in groupby(options, key=_group)]


def _group(claim: Claim) -> GroupKey | None:
    return claim.terms.group if claim.terms else None


def payoffs(claims: Iterable[Claim], prices: dict[int, int]) -> int:
    """What the core says that a receives."""
    return sum(group_payout(run, prices[_expiry(run[0])]) for run in groups_of(claims))


def reserves(claims: Iterable[Claim]) -> tuple[int, int]:
    """What pending groups can cost a and b. It is never more than what the daemon has made sure of, and
    just that but for coin calls, which the core lets rise beyond every price."""
    need_a = need_b = 0
    for run in groups_of(claims):
        listed = list(read_list(b"".join(map(claim_words, run))))
        costs = worst(listed, lambda claim: claim.hashlock is None)
        if len(run) <= MAX_NETTED:
            sure = worst_case(run)
            exact = all(claim.kind is not PayoffKind.COIN_CALL for claim in run)
            if costs[0] > sure[0] or costs[1] > sure[1] or (exact and costs != sure):
                raise Differs(f"the reference reserves {costs}, the core {sure}: {run}")
        need_a, need_b = need_a + costs[0], need_b + costs[1]
    return need_a, need_b


def ballast(amount: int, instant_s: int) -> list[Claim]:
    """Coin-settled puts that pay a this much at the lowest price, however much it is; b if negative."""
    claims, rest = [], abs(amount)
    while rest:
        size = 2**95 if rest >= 2**95 else 1
        steps = min(rest // size, MAX_PRICE - 1)
        terms = OptionTerms(PayoffKind.COIN_PUT, FEED.feed_id, instant_s, 1 + steps, 1)
        claims.append(Claim(int(amount > 0), size, terms=terms))
        rest -= size * steps
    return claims


class Dice(random.Random):
    """Prices, sizes and terms that are likely to find something."""

    def size(self, most: int) -> int:
        """1 to `most`; every length is as likely as any other."""
        return min(most, max(1, self.getrandbits(self.randint(1, most.bit_length()))))

    def price(self) -> int:
        match self.randrange(8):
            case 0:
                return self.choice((1, 2, MAX_PRICE - 1, MAX_PRICE))
            case 1 | 2 | 3:
                return self.randint(1, 10**6) * 10**8
            case _:
                return self.size(MAX_PRICE)

    def near(self, price: int) -> int:
        match self.randrange(8):
            case 0:
                return self.choice((0, 1, MAX_PRICE))
            case 1 | 2:
                return self.size(MAX_PRICE)
            case 3 | 4:
                return min(MAX_PRICE, price * self.randint(1, 300) // 100)
            case _:
                return max(0, min(MAX_PRICE, price + self.randint(-2, 2)))

    def group(self, instant_s: int, price: int, most: int) -> list[Claim]:
        """Options of one group, about one in ten of them void, whose strikes lie around a price."""
        count = 1 if self.random() < 0.4 else self.randint(1, most)
        floor = max(0, self.near(price) - 1) if self.random() < 0.4 else None
        claims = []
        for _ in range(count):
            kind = self.choice(LINEAR if floor is None else COIN)
            strike, bound = self.near(price), self.near(price) if floor is None else floor
            if self.random() < 0.9:
                strike, bound = _made_legal(kind, strike, bound)
            terms = OptionTerms(kind, FEED.feed_id, instant_s, strike, bound)
            size = self.size(MAX_SIZE) if self.randrange(16) else MAX_SIZE
            claims.append(Claim(self.randrange(2), size, terms=terms))
        return claims


def _made_legal(kind: PayoffKind, strike: int, bound: int) -> tuple[int, int]:
    strike = max(1, strike)
    match kind:
        case PayoffKind.CALL:
            return strike, max(bound, min(strike + 1, MAX_PRICE))
        case PayoffKind.PUT:
            return strike, min(bound, strike - 1)
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            return strike, 0
        case _:
            return max(strike, min(bound + 1, MAX_PRICE)), bound


def priced(bar: Bar, dice: Dice) -> int:
    """One settlement after the prices; how many groups were valued."""
    prices = {START_S + n: dice.price() for n in range(PRICES)}
    instants = list(prices)
    claims: list[Claim] = []
    for _ in range(GROUPS):
        instant_s = dice.choice(instants)
        claims += dice.group(instant_s, prices[instant_s], 5)
    return check_priced(bar, claims, prices, dice.choice((0, dice.size(2**127 - 1), -dice.size(2**127))))


def check_priced(bar: Bar, claims: list[Claim], prices: dict[int, int], net: int = 0) -> int:
    """How many groups were valued; Differs if one was otherwise than by the core."""
    if bar.settles([*claims, WAITS], prices, net, Want(2 - net + payoffs(claims, prices))):
        return len(groups_of(claims))
    for run in groups_of(claims):
        worth = payoffs(run, prices)
        if not bar.settles([*run, WAITS], prices, 0, Want(2 + worth)):
            raise Differs(f"at {prices[_expiry(run[0])]} the core says {worth}: {run}")
    raise Differs(f"not one group, but all of them together: {claims} at {prices}")


def pending(bar: Bar, dice: Dice) -> int:
    """Two settlements before the prices; how many groups were reserved for."""
    claims: list[Claim] = []
    for n in range(GROUPS // 4):
        group = dice.group(START_S + PERIOD_S + n, dice.price(), dice.choice((3, 3, 3, 20)))
        claims += [_locked(claim) if dice.randrange(3) == 0 else claim for claim in group]
    return check_pending(bar, claims)


def _locked(claim: Claim) -> Claim:
    return replace(claim, hashlock=WAITS.hashlock, deadline_s=START_S + PERIOD_S)


def check_pending(bar: Bar, claims: list[Claim]) -> int:
    """Options of known worth bring a's balance to where one wei of its reserve can be seen, then b's."""
    need_a, need_b = reserves(claims)
    for base in (need_a + 1, 1 - need_b):
        listed = [*ballast(base - 2, START_S), *claims, WAITS]
        if not bar.settles(listed, {START_S: 1}, 0, Want(base, need_a, need_b)):
            raise Differs(f"the reserves are not {need_a} and {need_b}: {claims}")
    return len(groups_of(claims))


def at_random(bar: Bar, groups: int, seed: int) -> tuple[int, int]:
    """At least so many groups; how many were priced and how many pending. Differs if one differs."""
    dice = Dice(seed)
    valued = reserved = 0
    while valued + reserved < groups:
        valued += priced(bar, dice)
        reserved += pending(bar, dice)
    return valued, reserved


def edges(sizes: Iterable[int]) -> Iterator[tuple[Claim, list[int]]]:
    """Every kind at the ends of the range, and the prices next to where its payoff turns."""
    for kind, strike, size, by_b in product((*LINEAR, *COIN), LEVELS, sizes, (0, 1)):
        for bound in {0, 1, 2, strike - 1, strike, strike + 1, MAX_PRICE - 1, MAX_PRICE}:
            if 0 <= bound <= MAX_PRICE:
                terms = OptionTerms(kind, FEED.feed_id, START_S, strike, bound)
                near = {turn + off for turn in (strike, bound) for off in (-1, 0, 1)}
                prices = {1, 2, MAX_PRICE - 1, MAX_PRICE} | {p for p in near if 0 < p <= MAX_PRICE}
                yield Claim(by_b, size, terms=terms), sorted(prices)


def every_edge(bar: Bar, sizes: Iterable[int]) -> int:
    """Each option of `edges` alone at each of its prices, and alone before them."""
    by_price: dict[int, list[Claim]] = {}
    alone = []
    for claim, prices in edges(sizes):
        alone.append(claim)
        for price in prices:
            by_price.setdefault(price, []).append(claim)
    done = 0
    for price, claims in by_price.items():
        for part in _parts(claims):
            apart = [_moved(claim, n) for n, claim in enumerate(part)]
            done += check_priced(bar, apart, {START_S + n: price for n in range(len(part))})
    for part in _parts(alone):
        done += check_pending(bar, [_moved(claim, PERIOD_S + n) for n, claim in enumerate(part)])
    return done


def _parts(claims: list[Claim]) -> list[list[Claim]]:
    return [claims[at : at + GROUPS] for at in range(0, len(claims), GROUPS)]


def _moved(claim: Claim, seconds: int) -> Claim:
    """To another expiry, so that it is valued apart from its neighbours."""
    assert claim.terms is not None
    return replace(claim, terms=replace(claim.terms, expiry_s=START_S + seconds))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    began_s = time.monotonic()
    valued, reserved = at_random(Bar(best_engine()), options.groups, options.seed)
    seconds = time.monotonic() - began_s
    print(f"{valued} groups valued, {reserved} reserved for: no difference, in {seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
