"""Option terms, claims and states as arrays.

terms  [kind, feed, expiry, strike, bound]
leg    [terms, size]
claim  [id, amount, hashlock or nil, deadline, terms or nil]
state  [version, net, [claims], next id of a, next id of b]
"""

from channeld.core.claims import MAX_PRICE, MAX_TIME_S, Claim, OptionTerms, PayoffKind, State
from channeld.core.operations import MAX_CLAIMS_PER_SIDE
from channeld.core.records import OptionLeg
from channeld.wire.fields import encode_uint, read_list, read_record
from channeld.wire.layout import (
    AMOUNT,
    CLAIM_ID,
    HASH,
    NET,
    PRICE,
    TIME_S,
    VERSION,
    Codec,
    Layout,
    choice,
    optional,
)
from channeld.wire.malformed import MalformedMessage

MAX_CLAIMS = 2 * MAX_CLAIMS_PER_SIDE
"""All that a state can hold."""

_KIND = choice(PayoffKind)


def _read_option_kind(value: object, name: str) -> PayoffKind:
    kind = _KIND.read(value, name)
    if kind is PayoffKind.FIXED:
        raise MalformedMessage(name, "the kind of an option", "FIXED, which has no terms")
    return kind


_TERMS = Layout(
    OptionTerms,
    "terms",
    kind=Codec(_KIND.pack, _read_option_kind),
    feed=HASH,
    expiry_s=TIME_S,
    strike=PRICE,
    bound=PRICE,
)
_OPTION_KINDS = {int(kind): kind for kind in PayoffKind if kind is not PayoffKind.FIXED}
_MAX_PRICE_BYTES = 16


def pack_terms(terms: OptionTerms, name: str = "terms") -> tuple[object, ...]:
    """The array of an option's terms."""
    kind, feed, expiry_s, strike, bound = terms.kind, terms.feed, terms.expiry_s, terms.strike, terms.bound
    if kind and len(feed) == 32 and 0 <= expiry_s <= MAX_TIME_S and 0 <= strike <= MAX_PRICE >= bound >= 0:
        return (int(kind), feed, expiry_s, encode_uint(strike), encode_uint(bound))
    raise MalformedMessage(name, "fields within the limits of their widths", "others")


def read_terms(value: object, name: str) -> OptionTerms:
    """The terms in an array: all checks in one expression, and the layout only to say what is wrong."""
    if type(value) is tuple and len(value) == 5:
        kind, feed, expiry_s, strike, bound = value
        if (
            type(kind) is int
            and kind in _OPTION_KINDS
            and type(feed) is bytes
            and len(feed) == 32
            and type(expiry_s) is int
            and 0 <= expiry_s <= MAX_TIME_S
            and type(strike) is bytes
            and len(strike) <= _MAX_PRICE_BYTES
            and (not strike or strike[0])
            and type(bound) is bytes
            and len(bound) <= _MAX_PRICE_BYTES
            and (not bound or bound[0])
        ):
            price, limit = int.from_bytes(strike, "big"), int.from_bytes(bound, "big")
            return OptionTerms(_OPTION_KINDS[kind], feed, expiry_s, price, limit)
    return _TERMS.read(value, name)


TERMS: Codec[OptionTerms] = Codec(pack_terms, read_terms)
OPTIONAL_TERMS = optional(TERMS)

LEG = Layout(OptionLeg, "leg", terms=TERMS, size=AMOUNT)

CLAIM = Layout(
    Claim,
    "claim",
    claim_id=CLAIM_ID,
    amount=AMOUNT,
    hashlock=optional(HASH),
    deadline_s=TIME_S,
    terms=OPTIONAL_TERMS,
)


def _pack_claim(claim: Claim) -> tuple[object, ...]:
    """As CLAIM does, unchecked: a claim of a state was checked when it was added."""
    terms = claim.terms
    return (
        claim.claim_id,
        encode_uint(claim.amount),
        claim.hashlock,
        claim.deadline_s,
        None if terms is None else pack_terms(terms),
    )


def _pack_state(state: State, _name: str) -> tuple[object, ...]:
    last_a, last_b = state.last_ids
    return (
        state.version,
        NET.pack(state.net, "state.net"),
        tuple([_pack_claim(claim) for claim in state.claims.values()]),
        last_a + 2,
        last_b + 2,
    )


def _read_state(value: object, name: str) -> State:
    """A state whose claims stand as they were added: ids of each side strictly ascending.

    Stops a copy that says one id twice (its hash and its sum would differ) or promises an id again.
    """
    version, net, items, next_a, next_b = read_record(value, name, 5)
    last_ids = [-2, -1]
    claims: dict[int, Claim] = {}
    for item in read_list(items, "state.claims", MAX_CLAIMS):
        claim = CLAIM.read(item, "state.claims")
        if claim.claim_id <= last_ids[claim.payer]:
            raise MalformedMessage("state.claims", "ascending ids of each side", "an id out of order")
        last_ids[claim.payer] = claim.claim_id
        claims[claim.claim_id] = claim
    return State(
        VERSION.read(version, "state.version"),
        NET.read(net, "state.net"),
        claims,
        (_read_last_id(next_a, 0, last_ids[0]), _read_last_id(next_b, 1, last_ids[1])),
    )


def _read_last_id(value: object, side: int, least: int) -> int:
    name = "state.next_id"
    last_id = VERSION.read(value, name) - 2
    if last_id & 1 != side or last_id < least:
        raise MalformedMessage(
            name, "an id of that side above all that are open", "one of the other or in use"
        )
    return last_id


STATE: Codec[State] = Codec(_pack_state, _read_state)
