"""What a state can cost is carried along from its parent; it must be what counting anew says, always.

A stale figure would let mallory promise what she has not: bob would believe it.
"""

import dataclasses
import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core.claims import PRICE_SCALE, Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.copying import replace
from channeld.core.draft import Tables
from channeld.core.errors import PeerViolation
from channeld.core.operations import (
    NO_STREAM,
    Add,
    Expire,
    Fail,
    Fulfil,
    Operation,
    Push,
    Settle,
    StateDraft,
    apply_operations,
)
from channeld.core.solvency import NO_EXPOSURE, Exposure, exposure_of, worst_case
from channeld.core.world import PublishedPrice

NOW_S = 1_900_000_000
DEADLINE_S = NOW_S + 600
SOON_S = NOW_S - 600
FEED = bytes(31) + b"\x01"
EXPIRY_S = NOW_S + 700
SETTLED_S = NOW_S - 300
SECRETS = [bytes([number]) * 32 for number in range(4)]


def anew(state: State) -> Exposure:
    return NO_EXPOSURE.after(added=state.claims.values())


def world() -> Tables:
    """One instant is over, its price published; one secret was registered in time, the others were not."""
    tables = Tables(now_s=NOW_S, confirmed_s=NOW_S)
    tables.registered_s = {sha256(SECRETS[0]).digest(): SOON_S - 100}
    tables.published = {(FEED, SETTLED_S): PublishedPrice(95 * PRICE_SCALE, SETTLED_S + 5)}
    return tables


def some_claim(rng: random.Random, claim_id: int) -> Claim:
    hashlock = sha256(rng.choice(SECRETS)).digest()
    amount = rng.randrange(1, 1_000)
    if rng.random() < 0.5:
        return Claim(claim_id, amount, hashlock, rng.choice((DEADLINE_S, SOON_S)))
    kind, bound = rng.choice([(PayoffKind.CALL, 200), (PayoffKind.PUT, 0), (PayoffKind.COIN_CALL, 50)])
    expiry_s = rng.choice((EXPIRY_S, SETTLED_S))
    if expiry_s == SETTLED_S:
        hashlock = sha256(SECRETS[0]).digest()
    strike = rng.choice((90, 100)) * PRICE_SCALE
    terms = OptionTerms(kind, FEED, expiry_s, strike, bound * PRICE_SCALE)
    return Claim(claim_id, amount, hashlock, min(expiry_s, DEADLINE_S), terms)


def some_operation(rng: random.Random, draft_ids: list[int], by: Side) -> Operation:
    claim_id = rng.choice(draft_ids) if draft_ids else 0
    match rng.randrange(8):
        case 0 | 1 | 2:
            new_id = max((each for each in draft_ids if each & 1 == by), default=int(by) - 2) + 2
            return Add(some_claim(rng, new_id), b"")
        case 3 | 4:
            return Fulfil(claim_id, rng.choice(SECRETS))
        case 5:
            return rng.choice((Fail(claim_id, b""), Expire(claim_id)))
        case 6:
            return Push(NO_STREAM, rng.randrange(1, 9))
        case _:
            return Settle(FEED, SETTLED_S, 95 * PRICE_SCALE)


def some_batch(rng: random.Random, state: State, by: Side, seen: list[int]) -> list[Operation]:
    """Up to six operations that are legal one after another, also about claims of the batch itself."""
    draft = StateDraft(state)
    batch: list[Operation] = []
    for _ in range(30):
        operation = some_operation(rng, seen, by)
        try:
            draft.apply(operation, by, world())
        except PeerViolation:
            continue
        batch.append(operation)
        if isinstance(operation, Add):
            seen.append(operation.claim.claim_id)
        if len(batch) == 6:
            break
    return batch


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_batches_make_of_a_state_its_exposure_is_that_of_its_claims(seed: int) -> None:
    rng = random.Random(seed)
    state, seen = State(), [0, 1]
    for version in range(1, 25):
        by = rng.choice(tuple(Side))
        state = apply_operations(state, version, by, some_batch(rng, state, by, seen), world())
        assert state.exposure == anew(state)
        assert (state.exposure.owed_by_a, state.exposure.owed_by_b) == worst_case(state.claims.values())
        if rng.random() < 0.1:  # read back from the disk, or from a peer's copy: nothing is carried
            state = State(state.version, state.net, dict(state.claims), state.last_ids)
            assert state.exposure is None
            assert exposure_of(state) == anew(state)


def test_batches_of_these_tests_hold_every_operation() -> None:
    rng, fired = random.Random(4), set()
    for _ in range(40):
        state, seen = State(), [0, 1]
        for version in range(1, 12):
            by = rng.choice(tuple(Side))
            batch = some_batch(rng, state, by, seen)
            fired |= {type(operation) for operation in batch}
            state = apply_operations(state, version, by, batch, world())
    assert fired == {Add, Fulfil, Fail, Expire, Settle, Push}


def test_a_state_made_of_another_one_never_keeps_its_exposure() -> None:
    """Else a state with other claims would be believed to cost what the old ones did."""
    state = apply_operations(State(), 2, Side.A, [Add(Claim(0, 7, bytes(32), DEADLINE_S), b"")], world())
    assert state.exposure is not None
    assert dataclasses.replace(state, claims={}).exposure is None
    with pytest.raises(AssertionError, match="fields that no copy may keep"):
        replace(state, claims={})
