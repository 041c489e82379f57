"""The conditional claim: the one thing that payments, options and trades are made of.

A claim says: *payer* owes *payee* up to an amount, if a secret is revealed in time, and by as much
as a payoff says. A state of a channel is a running total and a list of claims. What is written here
as data is packed into words, hashed and signed by `channeld.wire.eip712`; the contract reads the
same words.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from channeld.core.errors import PeerViolation

if TYPE_CHECKING:
    from channeld.core.solvency import Exposure

PRICE_SCALE = 10**8
"""Prices carry 8 decimals, as RedStone's do: a price of 1 is the integer 100,000,000."""

MAX_AMOUNT = 2**95 - 1
"""Most of one amount, size or deposit: deposits are stored as int96 on chain."""

MAX_PRICE = 2**128 - 1
MAX_TIME_S = 2**40 - 1
MAX_VERSION = 2**64 - 1


class Side(IntEnum):
    """The two ends of a channel; A has the lower address."""

    A = 0
    B = 1

    @property
    def other(self) -> "Side":
        return Side.B if self is Side.A else Side.A


_SIDES = (Side.A, Side.B)
"""By number: to call an enum class is slow, and each operation of each batch asks for a side."""


class PayoffKind(IntEnum):
    """How the worth of a claim follows from the settlement price S (docs/protocol.md, Payoffs).

    `bound` is the cap of a linear call, the floor of a linear put (0: none), and for coin-settled
    options the lowest price that the payoff distinguishes; digitals have none (0).
    """

    FIXED = 0
    CALL = 1  #          size * (min(S, cap) - K)+ / PRICE_SCALE
    PUT = 2  #           size * (K - max(S, floor))+ / PRICE_SCALE
    DIGITAL_CALL = 3  #  size if S >= K
    DIGITAL_PUT = 4  #   size if S <  K
    COIN_CALL = 5  #     size * (P - K)+ / P with P = max(S, floor)
    COIN_PUT = 6  #      size * (K - P)+ / P with P = max(S, floor), floor > 0

    @property
    def is_coin(self) -> bool:
        return self >= PayoffKind.COIN_CALL


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """A European option, cash-settled at `expiry_s` (unix seconds) in the channel's asset.

    `feed` (32 bytes) commits to who signs the price and for how long it may be published: its last
    byte is the grace in hours. `strike` and `bound` are prices with 8 decimals. The size stands in
    the claim: for linear options the asset's smallest units paid for a price difference of 1.0; for
    digital and coin-settled ones the smallest units paid in full.
    """

    kind: PayoffKind
    feed: bytes
    expiry_s: int
    strike: int
    bound: int

    @property
    def grace_s(self) -> int:
        """For how long after expiry a price may be published before the option is void."""
        return self.feed[31] * 3600

    @property
    def group(self) -> "GroupKey":
        return GroupKey(self.feed, self.expiry_s, self.bound + 1 if self.kind.is_coin else 0)


@dataclass(frozen=True, slots=True, order=True)
class GroupKey:
    """Options that are valued together and rounded once: one feed, one expiry, one denominator.

    `coin_floor_plus_1` is 0 for linear and digital options; coin-settled ones share a denominator
    only where they share the floor. Linear and coin kinds never net (their sum has its minimum
    between the strikes).
    """

    feed: bytes
    expiry_s: int
    coin_floor_plus_1: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One conditional debt.

    `claim_id` is even when side A pays, odd when B pays, and never used twice in a channel. `amount`
    is in the asset's smallest unit (FIXED) or the option's size. `hashlock` is sha256 of the secret
    or None; `deadline_s` is the last second at which a registration of the secret counts (0 without
    a hashlock).
    """

    claim_id: int
    amount: int
    hashlock: bytes | None = None
    deadline_s: int = 0
    terms: OptionTerms | None = None

    @property
    def payer(self) -> Side:
        return _SIDES[self.claim_id & 1]

    @property
    def payee(self) -> Side:
        return _SIDES[~self.claim_id & 1]

    @property
    def kind(self) -> PayoffKind:
        return PayoffKind.FIXED if self.terms is None else self.terms.kind

    def unlocked(self) -> "Claim":
        """The same claim once its secret is known to both: the hashlock falls away."""
        return Claim(self.claim_id, self.amount, None, 0, self.terms)


NO_CLAIMS: Mapping[int, Claim] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class State:
    """What both sides sign: `net` is what A has paid B so far, `claims` what is still open.

    `claims` maps claim id to claim in order of addition and is never written to after the state was
    made. `last_ids` are the highest claim ids ever added by A and by B; they are not signed but follow
    from the history, and make sure that no id is used twice. `exposure` is what `claims` can cost, if it
    was carried along while the state was made; a state that comes from elsewhere has none, nor has a copy.
    """

    version: int = 0
    net: int = 0
    claims: Mapping[int, Claim] = field(default_factory=lambda: NO_CLAIMS)
    last_ids: tuple[int, int] = (-2, -1)
    exposure: "Exposure | None" = field(default=None, init=False, compare=False, repr=False)


ZERO_STATE = State()
"""Version 0 needs no signature: whoever deposited can always leave alone."""


def canonical_order(claims: Iterable[Claim]) -> Iterator[Claim]:
    """The order in which claims are hashed and settled: FIXED ones as added, then options by group.

    Options of one group must stand together, because the contract values and rounds a run of them
    at once; within a group they stay as added (the sort is stable).
    """
    options = []
    for claim in claims:
        if claim.terms is None:
            yield claim
        else:
            options.append(claim)
    if options:
        options.sort(key=_group_of)
        yield from options


def _group_of(claim: Claim) -> GroupKey:
    assert claim.terms is not None
    return claim.terms.group


def require_legal_terms(claim: Claim) -> None:
    """Refuse a claim that the contract would call void or that has no upper bound.

    Attacks stopped: an uncapped call (no deposit could cover it), a hash-locked option that outlives
    its expiry (its buyer would decide after the price is known), a price that nobody can publish.
    """
    if not 0 < claim.amount <= MAX_AMOUNT:
        raise PeerViolation(f"claim {claim.claim_id}: amount must be 1 to {MAX_AMOUNT}, got {claim.amount}")
    if claim.hashlock is None or len(claim.hashlock) != 32:
        raise PeerViolation(f"claim {claim.claim_id}: expected a hashlock of 32 bytes")
    if not 0 < claim.deadline_s <= MAX_TIME_S:
        raise PeerViolation(
            f"claim {claim.claim_id}: expected a deadline in unix seconds, got {claim.deadline_s}"
        )
    if claim.terms is not None:
        _require_legal_option(claim, claim.terms)


def _require_legal_option(claim: Claim, terms: OptionTerms) -> None:
    what = f"claim {claim.claim_id}"
    if len(terms.feed) != 32 or not 0 < terms.expiry_s <= MAX_TIME_S:
        raise PeerViolation(f"{what}: expected a feed of 32 bytes and an expiry in unix seconds")
    if claim.deadline_s > terms.expiry_s:
        raise PeerViolation(f"{what}: deadline {claim.deadline_s} lies after the expiry {terms.expiry_s}")
    if not 0 < terms.strike <= MAX_PRICE or not 0 <= terms.bound <= MAX_PRICE:
        raise PeerViolation(f"{what}: strike and bound must be prices up to {MAX_PRICE}")
    match terms.kind:
        case PayoffKind.CALL:
            legal, rule = terms.bound > terms.strike, "a call needs a cap above its strike"
        case PayoffKind.PUT:
            legal, rule = terms.bound < terms.strike, "a put needs a floor below its strike"
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            legal, rule = terms.bound == 0, "a digital option has no bound"
        case PayoffKind.COIN_CALL:
            legal, rule = terms.bound < terms.strike, "a coin-settled call needs a floor below its strike"
        case PayoffKind.COIN_PUT:
            legal, rule = (
                0 < terms.bound < terms.strike,
                "a coin-settled put needs a floor above 0, below its strike",
            )
        case PayoffKind.FIXED:
            legal, rule = False, "a FIXED claim has no terms"
    if not legal:
        raise PeerViolation(f"{what}: {rule} (strike {terms.strike}, bound {terms.bound})")
