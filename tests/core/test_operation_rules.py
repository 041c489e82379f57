"""Which operations are legal (R9): a truth table, and what each legal one does."""

import hashlib

import pytest

from channeld.core.claims import Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.draft import Tables
from channeld.core.errors import PeerViolation, Untimely
from channeld.core.operations import (
    MAX_CLAIMS_PER_SIDE,
    MAX_PACKET_BYTES,
    MAX_REASON_BYTES,
    Add,
    Expire,
    Fail,
    Fulfil,
    Settle,
    apply_operations,
)
from channeld.core.world import PublishedPrice

NOW_S = 1_900_000_000
SECRET = b"s" * 32
LOCK = hashlib.sha256(SECRET).digest()
DEADLINE_S = NOW_S + 600
EXPIRY_S = NOW_S + 700
FEED = bytes(31) + b"\x01"
CALL = OptionTerms(PayoffKind.CALL, FEED, EXPIRY_S, 4_000 * 10**8, 5_000 * 10**8)
PRICE = 4_250 * 10**8

PAYMENT_BY_A = Claim(0, 10, LOCK, DEADLINE_S)
PAYMENT_BY_B = Claim(1, 10, LOCK, DEADLINE_S)
OPTION_BY_B = Claim(3, 1, LOCK, DEADLINE_S, CALL)
OPEN_OPTION_BY_B = Claim(5, 1, None, 0, CALL)


def world(now_s: int = NOW_S, *, registered_s: int | None = None, price: int | None = None) -> Tables:
    tables = Tables(now_s=now_s, confirmed_s=now_s)
    if registered_s is not None:
        tables.registered_s = {LOCK: registered_s}
    if price is not None:
        tables.published = {(FEED, EXPIRY_S): PublishedPrice(price, EXPIRY_S + 1)}
    return tables


def state(*claims: Claim) -> State:
    return State(8, 100, {claim.claim_id: claim for claim in claims}, (4, 7))


def add(
    claim_id: int = 6, amount: int = 5, lock: bytes | None = LOCK, deadline_s: int = DEADLINE_S, terms=None
):
    return Add(Claim(claim_id, amount, lock, deadline_s, terms), b"")


LATE = world(DEADLINE_S - 10)
AFTER = world(DEADLINE_S + 3_600)
EXPIRED = world(EXPIRY_S + 60, price=PRICE)

REFUSED = {
    "added by its payee": (state(), Side.B, add(6), world(), "must be added by its payer"),
    "an id used before": (state(), Side.A, add(4), world(), "above 4"),
    "an id below the last": (state(), Side.A, add(2), world(), "above 4"),
    "an amount of nothing": (state(), Side.A, add(amount=0), world(), "amount"),
    "an amount above the contract's": (state(), Side.A, add(amount=2**95), world(), "amount"),
    "no hashlock": (state(), Side.A, add(lock=None), world(), "hashlock"),
    "half a hashlock": (state(), Side.A, add(lock=LOCK[:16]), world(), "hashlock"),
    "no deadline": (state(), Side.A, add(deadline_s=0), world(), "deadline"),
    "an option that outlives its expiry": (
        state(), Side.A, add(deadline_s=EXPIRY_S + 1, terms=CALL), world(), "after the expiry",
    ),
    "a call without a cap": (
        state(), Side.A, add(terms=OptionTerms(PayoffKind.CALL, FEED, EXPIRY_S, 10, 10)), world(), "cap",
    ),
    "a coin put without a floor": (
        state(), Side.A, add(terms=OptionTerms(PayoffKind.COIN_PUT, FEED, EXPIRY_S, 10, 0)), world(), "floor",
    ),
    "a packet too long": (
        state(), Side.A, Add(add().claim, bytes(MAX_PACKET_BYTES + 1)), world(), "packet",
    ),
    "one claim too many": (
        state(*(Claim(2 * n, 1, LOCK, DEADLINE_S) for n in range(-MAX_CLAIMS_PER_SIDE, 0))),
        Side.A, add(), world(), "open claims",
    ),
    "a fulfil of nothing": (state(), Side.B, Fulfil(0, SECRET), world(), "no open claim"),
    "a fulfil by the payer": (state(PAYMENT_BY_A), Side.A, Fulfil(0, SECRET), world(), "paid by side A"),
    "a wrong secret": (state(PAYMENT_BY_A), Side.B, Fulfil(0, b"x" * 32), world(), "does not match"),
    "a short secret": (state(PAYMENT_BY_A), Side.B, Fulfil(0, b""), world(), "does not match"),
    "a fulfil twice": (state(OPEN_OPTION_BY_B), Side.A, Fulfil(5, SECRET), world(), "no longer"),
    "a late fulfil": (state(PAYMENT_BY_A), Side.B, Fulfil(0, SECRET), LATE, "later than"),
    "a fulfil registered too late": (
        state(PAYMENT_BY_A), Side.B, Fulfil(0, SECRET),
        world(DEADLINE_S + 9, registered_s=DEADLINE_S + 1), "later than",
    ),
    "a fail by the payer": (state(PAYMENT_BY_A), Side.A, Fail(0, b""), world(), "paid by side A"),
    "a fail of an open option": (state(OPEN_OPTION_BY_B), Side.A, Fail(5, b""), world(), "no longer"),
    "a reason too long": (
        state(PAYMENT_BY_A), Side.B, Fail(0, bytes(MAX_REASON_BYTES + 1)), world(), "reason",
    ),
    "an expiry by the payee": (state(PAYMENT_BY_A), Side.B, Expire(0), AFTER, "paid by side A"),
    "an expiry too early": (state(PAYMENT_BY_A), Side.A, Expire(0), world(DEADLINE_S), "expire"),
    "an expiry of what was revealed": (
        state(PAYMENT_BY_A), Side.A, Expire(0), world(DEADLINE_S + 3_600, registered_s=DEADLINE_S), "expire",
    ),
    "a settlement of nothing": (state(), Side.A, Settle(FEED, EXPIRY_S, PRICE), EXPIRED, "no option"),
    "a settlement without a price": (
        state(OPEN_OPTION_BY_B), Side.A, Settle(FEED, EXPIRY_S, PRICE), world(EXPIRY_S + 60), "price",
    ),
    "a settlement at another price": (
        state(OPEN_OPTION_BY_B), Side.A, Settle(FEED, EXPIRY_S, PRICE + 1), EXPIRED, "expected the price",
    ),
    "a settlement while one is locked": (
        state(OPEN_OPTION_BY_B, OPTION_BY_B), Side.A, Settle(FEED, EXPIRY_S, PRICE), EXPIRED, "hash-locked",
    ),
    "void before the grace is over": (
        state(OPEN_OPTION_BY_B), Side.B, Settle(FEED, EXPIRY_S, 0), world(EXPIRY_S + 3_600), "price",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_illegal_operation_is_refused_with_the_reason(case):
    parent, by, operation, when, reason = REFUSED[case]
    with pytest.raises((PeerViolation, Untimely), match=reason):
        apply_operations(parent, 9, by, [operation], when)


def test_one_illegal_operation_makes_the_batch_illegal():
    with pytest.raises(PeerViolation):
        apply_operations(state(), 9, Side.A, [add(6), add(6)], world())


def test_an_added_claim_is_open_and_its_id_is_used():
    after = apply_operations(state(), 9, Side.A, [add(6), add(10, terms=CALL)], world())
    assert list(after.claims) == [6, 10] and after.last_ids == (10, 7) and after.net == 100


@pytest.mark.parametrize(("claim", "by", "net"), [(PAYMENT_BY_A, Side.B, 110), (PAYMENT_BY_B, Side.A, 90)])
def test_a_fulfilled_payment_moves_into_net(claim, by, net):
    after = apply_operations(state(claim), 9, by, [Fulfil(claim.claim_id, SECRET)], world())
    assert not after.claims and after.net == net


def test_a_fulfilled_option_loses_its_hashlock_and_moves_nothing():
    after = apply_operations(state(OPTION_BY_B), 9, Side.A, [Fulfil(3, SECRET)], world())
    assert after.claims == {3: OPTION_BY_B.unlocked()} and after.net == 100


def test_a_secret_registered_in_time_may_be_used_after_the_deadline():
    late = world(DEADLINE_S + 99, registered_s=DEADLINE_S)
    after = apply_operations(state(PAYMENT_BY_A), 9, Side.B, [Fulfil(0, SECRET)], late)
    assert after.net == 110


@pytest.mark.parametrize("operation", [Fail(0, b"why"), Expire(0)])
def test_a_claim_let_go_or_expired_moves_nothing(operation):
    by, when = (Side.B, world()) if isinstance(operation, Fail) else (Side.A, AFTER)
    after = apply_operations(state(PAYMENT_BY_A), 9, by, [operation], when)
    assert not after.claims and after.net == 100


def test_a_settled_group_is_rounded_once_and_gone():
    other = Claim(7, 1, None, 0, OptionTerms(PayoffKind.PUT, FEED, EXPIRY_S, 4_300 * 10**8, 0))
    after = apply_operations(
        state(OPEN_OPTION_BY_B, other), 9, Side.B, [Settle(FEED, EXPIRY_S, PRICE)], EXPIRED
    )
    assert not after.claims and after.net == 100 - 250 - 50


def test_a_group_whose_price_never_came_is_void():
    when = world(EXPIRY_S + 3_600 + 600)
    after = apply_operations(state(OPEN_OPTION_BY_B), 9, Side.B, [Settle(FEED, EXPIRY_S, 0)], when)
    assert not after.claims and after.net == 100
