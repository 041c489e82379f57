"""Whether each side's deposit covers the worst that its claims can cost it (docs/protocol.md, Solvency).

The worst case is exact over every price, the absence of a price (its options are void then), and
every outcome of every hashlock:

- A FIXED claim counts in full for its payer, nothing for its payee.
- Options of one group are netted. Every payoff is piecewise linear in the price (coin-settled ones:
  over the price, hence monotone between the kinks), so the extremes lie at price 0 or the coin floor,
  at a strike, cap or floor, at K - 1 for digitals (prices are integers) and, for coin calls, at
  infinity. Price 0 counts though nobody can publish it: never too little, at most 10^-8 of price.
- An option under a hashlock counts where it costs and not where it earns: over all 2^m outcomes the
  minimum is g(S) + sum of min(0, h_i(S)), one sweep instead of 2^m.
- A group counts min(0, worst): a sure gain is not collateral, because without a price it is void.
- Groups add up. That is exact for independent prices and too careful for kinds that share a feed
  and an expiry but not a denominator: their sum has its minimum between the kinks.

Claims that share a hashlock are treated one by one, as if each had a secret of its own. Taken together
they could cost less (a spread bought under one secret), but fulfilling is per claim: once the secret is
out, a state in which one leg is free and the other still locked is enforceable, and the other may yet
expire. One by one, no fulfil, fail or expiry of a legal claim can make a solvent state insolvent.

Rounding: the payer pays the integer part of its exact worst case of each group, which is what
`payoff.group_payout` takes from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from channeld.core.claims import MAX_AMOUNT, PRICE_SCALE, Claim, PayoffKind, Side, State
from channeld.core.errors import PeerViolation

# As globals: an attribute of an enum class is a slow lookup, and this is on the path of every state.
_CALL, _PUT = PayoffKind.CALL, PayoffKind.PUT
_DIGITAL_CALL, _DIGITAL_PUT = PayoffKind.DIGITAL_CALL, PayoffKind.DIGITAL_PUT
_COIN_CALL, _COIN_PUT = PayoffKind.COIN_CALL, PayoffKind.COIN_PUT

_Key = tuple[bytes, int, int]
"""`GroupKey` as a bare tuple, which hashes eight times faster: feed, expiry, coin floor + 1 or 0."""

_Ladder = dict[int, int]
"""The netted worth to side A of some options, times their denominator: price -> change of the slope.

At `_START` stands not a slope but the worth at the lowest price (0, or the coin floor).
"""

_START = -1
_FLAT: _Ladder = {_START: 0}

_Drafts = dict[_Key, tuple[_Ladder, _Ladder, _Ladder]]
"""The groups that a batch touches: copies of `_Group.sure`, `locked_by_a`, `locked_by_b` to write to."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The options of one group; `sure` ones have no hashlock. The ladders are never written to again."""

    sure: _Ladder
    locked_by_a: _Ladder
    locked_by_b: _Ladder
    owed_by_a: int
    owed_by_b: int


_NO_GROUPS: Mapping[_Key, _Group] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the claims of one state can cost each side at worst, in the asset's smallest unit.

    Follows from the state's claims, whatever their order; meant to stand beside the state in memory,
    so that a batch of a few operations costs a few additions however many claims are open.
    """

    fixed_by_a: int = 0
    fixed_by_b: int = 0
    options_by_a: int = 0
    options_by_b: int = 0
    groups: Mapping[_Key, _Group] = field(default_factory=lambda: _NO_GROUPS)

    @property
    def owed_by_a(self) -> int:
        """The least that side A must have: no outcome makes it pay more, and one as much."""
        return self.fixed_by_a + self.options_by_a

    @property
    def owed_by_b(self) -> int:
        return self.fixed_by_b + self.options_by_b

    def after(self, *, removed: Iterable[Claim] = (), added: Iterable[Claim] = ()) -> "Exposure":
        """The exposure once a batch has taken out some claims and put in others.

        Each removed claim must be counted in, with the hashlock it had; fulfilling an option removes the
        locked claim and adds the unlocked one. Costs O(claims given), and O(n log n) in the kinks of
        each group that was touched.
        """
        drafts: _Drafts = {}
        less_a, less_b = self._count(drafts, removed, out=True)
        more_a, more_b = self._count(drafts, added)
        fixed_a, fixed_b = self.fixed_by_a + less_a + more_a, self.fixed_by_b + less_b + more_b
        assert fixed_a >= 0 and fixed_b >= 0, f"removed claims that were never added: {fixed_a}, {fixed_b}"
        if not drafts:
            return Exposure(fixed_a, fixed_b, self.options_by_a, self.options_by_b, self.groups)
        groups = dict(self.groups)
        options_a, options_b = self.options_by_a, self.options_by_b
        for key, ladders in drafts.items():
            old = groups.pop(key, None)
            if old is not None:
                options_a -= old.owed_by_a
                options_b -= old.owed_by_b
            new = _group(key, *ladders)
            if new is not None:
                options_a += new.owed_by_a
                options_b += new.owed_by_b
                groups[key] = new
        return Exposure(fixed_a, fixed_b, options_a, options_b, groups)

    def _count(self, drafts: _Drafts, claims: Iterable[Claim], *, out: bool = False) -> tuple[int, int]:
        """Count claims in, or out again: options into `drafts`; returns the FIXED sums of a and b.

        One loop almost without calls: it runs over every claim of every batch.
        """
        fixed_a = fixed_b = 0
        negative = 1 if out else 0  # what A pays lowers its worth, and what B paid once it is out
        feed, expiry_s, coin = b"", -1, -1
        sure = locked_by_a = locked_by_b = _FLAT
        for claim in claims:
            terms = claim.terms
            by_b = claim.claim_id & 1
            if terms is None:
                if by_b:
                    fixed_b += claim.amount
                else:
                    fixed_a += claim.amount
                continue
            kind, low, high = terms.kind, terms.strike, terms.bound
            if low <= 0 or terms.expiry_s <= 0:
                continue  # void, as is every other `continue` below: the conditions of payoff.is_void
            its_coin = high + 1 if kind is _COIN_CALL or kind is _COIN_PUT else 0
            if terms.feed != feed or terms.expiry_s != expiry_s or its_coin != coin:
                feed, expiry_s, coin = key = terms.feed, terms.expiry_s, its_coin
                if key not in drafts:
                    drafts[key] = self._draft(key)
                sure, locked_by_a, locked_by_b = drafts[key]
            ladder = sure if claim.hashlock is None else locked_by_b if by_b else locked_by_a
            slope = -claim.amount if by_b == negative else claim.amount
            # A payoff rises between two prices, or starts high and falls between them. A digital does
            # all of it from K - 1 to K; a coin call rises for ever.
            if kind is _CALL:
                if high <= low:
                    continue
            elif kind is _PUT or (kind is _COIN_PUT and high):
                if high >= low:
                    continue
                low, high = high, low
                ladder[_START] += slope * (high - low)
                slope = -slope
            elif kind is _COIN_CALL:
                if high < low:
                    ladder[low] = ladder.get(low, 0) + slope
                continue
            elif high == 0 and (kind is _DIGITAL_CALL or kind is _DIGITAL_PUT):
                low, high = low - 1, low
                slope *= PRICE_SCALE
                if kind is _DIGITAL_PUT:
                    ladder[_START] += slope
                    slope = -slope
            else:
                continue
            ladder[low] = ladder.get(low, 0) + slope
            ladder[high] = ladder.get(high, 0) - slope
        return (-fixed_a, -fixed_b) if out else (fixed_a, fixed_b)

    def _draft(self, key: _Key) -> tuple[_Ladder, _Ladder, _Ladder]:
        group = self.groups.get(key)
        if group is None:
            return {_START: 0}, {_START: 0}, {_START: 0}
        return group.sure.copy(), group.locked_by_a.copy(), group.locked_by_b.copy()


NO_EXPOSURE = Exposure()


def _group(key: _Key, sure: _Ladder, locked_by_a: _Ladder, locked_by_b: _Ladder) -> _Group | None:
    """The group with its worst cases, or None if its claims cancel out or are void."""
    for ladder in (sure, locked_by_a, locked_by_b):
        if len(ladder) > 1 and 0 in ladder.values():
            for price in [price for price, change in ladder.items() if not change and price != _START]:
                del ladder[price]  # or an exposure would remember the claims that it once had
    floor_plus_1 = key[2]
    extremes = _coin_extremes if floor_plus_1 else _linear_extremes
    if locked_by_a == _FLAT and locked_by_b == _FLAT:
        if sure == _FLAT:
            return None
        return _Group(sure, locked_by_a, locked_by_b, *extremes(sure, floor_plus_1))
    owed_a = extremes(_sum(sure, locked_by_a), floor_plus_1)[0]
    owed_b = extremes(_sum(sure, locked_by_b), floor_plus_1)[1]
    return _Group(sure, locked_by_a, locked_by_b, owed_a, owed_b)


def _sum(one: _Ladder, other: _Ladder) -> _Ladder:
    both = one.copy()
    for price, change in other.items():
        both[price] = both.get(price, 0) + change
    return both


def _linear_extremes(ladder: _Ladder, _: int) -> tuple[int, int]:
    """The most that A and that B may have to pay, from 0 (no price) up; rounded down once."""
    worth = ladder[_START]
    least = worth if worth < 0 else 0
    most = worth if worth > 0 else 0
    slope = last = 0
    prices = sorted(ladder)
    del prices[0]  # _START
    for price in prices:
        worth += slope * (price - last)
        last = price
        slope += ladder[price]
        if worth < least:
            least = worth
        elif worth > most:
            most = worth
    return -least // PRICE_SCALE, most // PRICE_SCALE


def _coin_extremes(ladder: _Ladder, floor_plus_1: int) -> tuple[int, int]:
    """The same where the denominator is the price: each kink is rounded by itself, then infinity."""
    worth = ladder[_START]
    last = floor_plus_1 - 1
    owed_a, owed_b = (max(0, -worth // last), max(0, worth // last)) if last else (0, 0)
    slope = 0
    prices = sorted(ladder)
    del prices[0]  # _START
    for price in prices:
        worth += slope * (price - last)
        last = price
        slope += ladder[price]
        if worth < 0:
            owed_a = max(owed_a, -worth // price)
        elif worth:
            owed_b = max(owed_b, worth // price)
    return max(owed_a, -slope), max(owed_b, slope)


def exposure_of(state: State) -> Exposure:
    """The exposure of a state: what was carried along with it, else counted anew."""
    return NO_EXPOSURE.after(added=state.claims.values()) if state.exposure is None else state.exposure


def worst_case(claims: Iterable[Claim]) -> tuple[int, int]:
    """What side A and what side B must have, in the asset's smallest unit; O(n log n)."""
    exposure = NO_EXPOSURE.after(added=claims)
    return exposure.owed_by_a, exposure.owed_by_b


def _free(state: State, deposit_a: int, deposit_b: int, exposure: Exposure | None) -> tuple[int, int]:
    """What each side has beyond its worst case; negative if the state is insolvent."""
    if exposure is None:
        exposure = NO_EXPOSURE.after(added=state.claims.values())
    return deposit_a - state.net - exposure.owed_by_a, deposit_b + state.net - exposure.owed_by_b


def require_solvent(state: State, deposit_a: int, deposit_b: int, exposure: Exposure | None = None) -> None:
    """Refuse a state whose claims a side could not pay (deposits are signed: paid in less withdrawn).

    `exposure` is that of the state's claims if the caller has it at hand. Attack stopped: promising more
    than one has, and leaving the victim with a claim on an empty pot.
    """
    for side, free in zip(Side, _free(state, deposit_a, deposit_b, exposure), strict=True):
        if free < 0:
            has = deposit_a - state.net if side is Side.A else deposit_b + state.net
            raise PeerViolation(
                f"state {state.version}: side {side.name} must cover {has - free} at worst, has {has}"
            )


def spendable(state: State, deposits: tuple[int, int], side: Side, exposure: Exposure | None = None) -> int:
    """The largest FIXED claim that `side` could still add as its payer; 0 if none."""
    return min(MAX_AMOUNT, max(0, _free(state, *deposits, exposure)[side]))
