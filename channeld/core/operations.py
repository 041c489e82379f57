"""The six operations that change a channel's state, and when each is legal (R9).

Both sides apply the same operations to the same parent and must get the same state; its digest,
signed by the proposer, proves it. An illegal operation makes the whole batch illegal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import assert_never

from channeld.core.claims import MAX_AMOUNT, Claim, Side, State, require_legal_terms
from channeld.core.errors import PeerViolation, Untimely
from channeld.core.payoff import group_payout
from channeld.core.solvency import exposure_of
from channeld.core.world import World, expired_unregistered, registered_in_time, settlement_price

MAX_CLAIMS_PER_SIDE = 230
"""Open claims that one side may pay. Settling 460 of the dearest kind (options under hashlocks of their own,
netted 16 at a time) costs 7.3M gas, so that four such settlements fit a block of 30M; `python -m bench gas`
works it out. 460 payments cost 1.7M."""

MAX_OPERATIONS = 480
"""Operations in one batch: enough to answer every open claim at once."""

MAX_PACKET_BYTES = 2_048
"""The routing packet beside an added claim; a BOLT 4 onion has 1,366 bytes."""

MAX_REASON_BYTES = 512
"""The encrypted error beside a failed claim; BOLT 4 uses 292."""

STREAM_BYTES = 16
"""What names a stream of pushes: room for any counter or UUID, chosen by whom the two ends agree on."""

NO_STREAM = bytes(STREAM_BYTES)
"""The stream of pushes that are for nothing in particular."""


@dataclass(frozen=True, slots=True)
class Add:
    """A new hash-locked claim, by its payer. `packet` says what the payee shall do with it."""

    claim: Claim
    packet: bytes


@dataclass(frozen=True, slots=True)
class Fulfil:
    """The secret, by the payee: a FIXED claim moves into `net`, an option loses its hashlock."""

    claim_id: int
    preimage: bytes


@dataclass(frozen=True, slots=True)
class Fail:
    """The payee lets a hash-locked claim go. `reason` travels back to the payer's origin."""

    claim_id: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class Expire:
    """The payer removes a claim whose deadline has passed without a registered secret."""

    claim_id: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Either side settles all options of one feed and expiry at the signed price; 0 means void."""

    feed: bytes
    expiry_s: int
    price: int


@dataclass(frozen=True, slots=True)
class Push:
    """Money for the peer at once and for good, by its payer; `stream` (16 bytes) says what it is for."""

    stream: bytes
    amount: int


Operation = Add | Fulfil | Fail | Expire | Settle | Push


def apply_operations(
    parent: State,
    version: int,
    by: Side,
    operations: Sequence[Operation],
    world: World,
    *,
    ours: bool = False,
) -> State:
    """The state that `operations` by side `by` make of `parent`. Raises PeerViolation, changes nothing."""
    draft = StateDraft(parent, ours=ours)
    for operation in operations:
        draft.apply(operation, by, world)
    return draft.finish(version)


class StateDraft:
    """A state under construction: one copy of the claims, however many operations follow.

    What is `ours` travels before it is judged again: it must hold `skew_s` longer than the peer demands.
    """

    __slots__ = ("_added", "_claims", "_exposure", "_last_ids", "_net", "_open", "_ours", "_removed")

    def __init__(self, parent: State, *, ours: bool = False) -> None:
        self._ours = ours
        self._claims = dict(parent.claims)
        self._exposure = exposure_of(parent)
        self._added: list[Claim] = []
        self._removed: list[Claim] = []
        self._net = parent.net
        self._last_ids = list(parent.last_ids)
        payers_b = sum([claim_id & 1 for claim_id in self._claims])
        self._open = [len(self._claims) - payers_b, payers_b]

    def finish(self, version: int) -> State:
        """The finished state; the draft must not be used afterwards."""
        state = State(version, self._net, self._claims, (self._last_ids[0], self._last_ids[1]))
        exposure = self._exposure
        if self._removed or self._added:
            exposure = exposure.after(removed=self._removed, added=self._added)
        object.__setattr__(state, "exposure", exposure)  # nobody has seen the state yet
        return state

    def apply(self, operation: Operation, by: Side, world: World) -> None:
        """Apply one operation or raise PeerViolation with the draft unchanged."""
        match operation:
            case Add():
                self._add(operation, by, world)
            case Fulfil():
                self._fulfil(operation, by, world)
            case Fail(claim_id, reason):
                if len(reason) > MAX_REASON_BYTES:
                    raise PeerViolation(
                        f"fail: expected a reason of at most {MAX_REASON_BYTES} bytes, got {len(reason)}"
                    )
                self._remove(self._locked(claim_id, by.other, "fail"))
            case Expire(claim_id):
                self._expire(self._locked(claim_id, by, "expire"), world)
            case Settle():
                self._settle(operation, world)
            case Push():
                self._push(operation, by)
            case _:
                assert_never(operation)

    def _add(self, operation: Add, by: Side, world: World) -> None:
        claim = operation.claim
        if claim.payer is not by:
            raise PeerViolation(
                f"add: claim {claim.claim_id} must be added by its payer, side {claim.payer.name}"
            )
        if claim.claim_id <= self._last_ids[by]:
            raise PeerViolation(f"add: expected a claim id above {self._last_ids[by]}, got {claim.claim_id}")
        if self._open[by] >= MAX_CLAIMS_PER_SIDE:
            raise PeerViolation(f"add: side {by.name} already has {MAX_CLAIMS_PER_SIDE} open claims")
        if len(operation.packet) > MAX_PACKET_BYTES:
            raise PeerViolation(f"add: expected a packet of at most {MAX_PACKET_BYTES} bytes")
        require_legal_terms(claim)
        # An offer that waited beyond its deadline: whoever it was for has been told that it is off.
        if self._ours and claim.deadline_s < world.now_s:
            raise PeerViolation(f"add: the deadline {claim.deadline_s} of claim {claim.claim_id} is over")
        self._claims[claim.claim_id] = claim
        self._added.append(claim)
        self._last_ids[by] = claim.claim_id
        self._open[by] += 1

    def _push(self, operation: Push, by: Side) -> None:
        # Whoever proposes pays: nobody can take by a push. An empty one would cost its sender nothing.
        if len(operation.stream) != STREAM_BYTES:
            raise PeerViolation(
                f"push: expected a stream of {STREAM_BYTES} bytes, got {len(operation.stream)}"
            )
        if not 0 < operation.amount <= MAX_AMOUNT:
            raise PeerViolation(f"push: amount must be 1 to {MAX_AMOUNT}, got {operation.amount}")
        self._net += operation.amount if by is Side.A else -operation.amount

    def _locked(self, claim_id: int, payer: Side, what: str) -> Claim:
        claim = self._claims.get(claim_id)
        if claim is None:
            raise PeerViolation(f"{what}: no open claim {claim_id}")
        if claim.payer is not payer:
            raise PeerViolation(f"{what}: claim {claim_id} is paid by side {claim.payer.name}")
        if claim.hashlock is None:
            raise PeerViolation(f"{what}: claim {claim_id} is no longer hash-locked")
        return claim

    def _remove(self, claim: Claim) -> None:
        del self._claims[claim.claim_id]
        self._removed.append(claim)
        self._open[claim.payer] -= 1

    def _fulfil(self, operation: Fulfil, by: Side, world: World) -> None:
        claim = self._locked(operation.claim_id, by.other, "fulfil")
        assert claim.hashlock is not None
        if len(operation.preimage) != 32 or sha256(operation.preimage).digest() != claim.hashlock:
            raise PeerViolation(f"fulfil: the secret of claim {claim.claim_id} does not match its hashlock")
        # A fulfil that leaves us no time to register the secret would let the hop before us keep its
        # money while we pay onwards (variant b4 of the model).
        if not registered_in_time(world, claim.hashlock, claim.deadline_s):
            self._require_early(claim, world)
        if claim.terms is None:
            self._remove(claim)
            self._net += claim.amount if claim.payer is Side.A else -claim.amount
        else:
            self._claims[claim.claim_id] = unlocked = claim.unlocked()
            self._removed.append(claim)
            self._added.append(unlocked)

    def _slack_s(self, world: World) -> int:
        return world.margins.skew_s if self._ours else 0

    def _require_early(self, claim: Claim, world: World) -> None:
        if world.now_s + world.margins.register_s + self._slack_s(world) > claim.deadline_s:
            raise Untimely(
                f"fulfil: claim {claim.claim_id} came at {world.now_s}, "
                f"later than {world.margins.register_s} s before its deadline {claim.deadline_s}"
            )
        # After a start, or when the node hides blocks, our time lags: what looks early may be late.
        if not self._ours and not world.clock_trusted:
            raise Untimely(f"fulfil: claim {claim.claim_id} came while our clock is not trusted")

    def _expire(self, claim: Claim, world: World) -> None:
        assert claim.hashlock is not None
        if registered_in_time(world, claim.hashlock, claim.deadline_s):
            raise PeerViolation(f"expire: the secret of claim {claim.claim_id} was registered in time")
        if not expired_unregistered(world, claim.hashlock, claim.deadline_s, margin_s=0):
            raise _too_soon(
                world,
                claim.deadline_s,
                f"expire: claim {claim.claim_id} is open until {claim.deadline_s}, "
                f"the chain is known up to {world.confirmed_s}",
            )
        self._remove(claim)

    def _settle(self, operation: Settle, world: World) -> None:
        feed, expiry_s = operation.feed, operation.expiry_s
        settled = [
            claim
            for claim in self._claims.values()
            if claim.terms is not None and claim.terms.feed == feed and claim.terms.expiry_s == expiry_s
        ]
        if not settled:
            raise PeerViolation("settle: no option of this feed and expiry is open")
        price = settlement_price(world, feed, expiry_s, feed[31] * 3600, self._slack_s(world))
        if price is None:
            raise _too_soon(world, expiry_s, f"settle: the price at {expiry_s} is not known here")
        if price != operation.price:
            if price == 0 and world.signed_prices.get((feed, expiry_s), operation.price) == operation.price:
                # Signed while the price could still be published, said again now: it can be refused (R8).
                raise Untimely(f"settle: the price at {expiry_s} came too late, the options are void")
            raise PeerViolation(f"settle: expected the price {price}, got {operation.price}")
        if any(claim.hashlock is not None for claim in settled):
            raise PeerViolation("settle: an option of this feed and expiry is still hash-locked")
        if price:
            groups: dict[object, list[Claim]] = {}
            for claim in settled:
                assert claim.terms is not None
                groups.setdefault(claim.terms.group, []).append(claim)
            self._net -= sum(group_payout(group, price) for group in groups.values())
        for claim in settled:
            self._remove(claim)


def _too_soon(world: World, from_s: int, why: str) -> PeerViolation:
    """Untimely if a sender that sees the chain or a price before us may be right; else a violation."""
    honest = world.now_s + world.margins.skew_s > from_s
    return Untimely(why) if honest else PeerViolation(why)
