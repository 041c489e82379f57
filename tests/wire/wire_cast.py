"""What alice, bob and carol may say and remember: strategies for everything that goes over the wire."""

from hypothesis import strategies as st

from channeld.adapters.signer import Signer
from channeld.core.channel import Ack, Channel, Deposits, Phase, Reestablish, Update
from channeld.core.claims import (
    MAX_AMOUNT,
    MAX_PRICE,
    MAX_TIME_S,
    Claim,
    OptionTerms,
    PayoffKind,
    Side,
    State,
)
from channeld.core.identity import ChannelParams
from channeld.core.messages import (
    CloseOffer,
    Complaint,
    Deliver,
    DepositsSeen,
    ForwardTo,
    Hello,
    PoliciesKnown,
    PolicyAnnouncement,
    PushTerms,
    QuoteReply,
    QuoteRequest,
    Relay,
    ReturnOption,
    Shutdown,
    StateCopy,
    WriteOption,
)
from channeld.core.operations import (
    MAX_OPERATIONS,
    MAX_PACKET_BYTES,
    MAX_REASON_BYTES,
    Add,
    Expire,
    Fail,
    Fulfil,
    Push,
    Settle,
)
from channeld.core.records import (
    ClaimRef,
    Dispute,
    Failure,
    FailureCode,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    PaymentStatus,
    Secret,
    SignedPriceRecord,
    Stream,
    Trade,
    TradeRole,
    TradeStatus,
)

ALICE = Signer(b"\x0a" * 32)
BOB = Signer(b"\x0b" * 32)
MALLORY = Signer(b"\x66" * 32)


def uints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


def sints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def exactly(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


def texts(max_bytes: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_bytes).filter(
        lambda text: len(text.encode()) <= max_bytes
    )


hashes = exactly(32)
addresses = exactly(20)
signatures = exactly(64)
short_ids = exactly(16)
nodes = st.builds(lambda first, rest: bytes([first]) + rest, st.sampled_from([2, 3]), hashes)
amounts = st.integers(0, MAX_AMOUNT)
prices = st.integers(0, MAX_PRICE)
times = st.integers(0, MAX_TIME_S)
claim_ids = uints(63)
deposits = sints(96)

option_kinds = st.sampled_from([kind for kind in PayoffKind if kind is not PayoffKind.FIXED])
terms = st.builds(OptionTerms, option_kinds, hashes, times, prices, prices)
legs = st.builds(OptionLeg, terms, amounts)

adds = st.builds(
    Add,
    st.builds(Claim, claim_ids, amounts, hashes, times, st.none() | terms),
    st.binary(max_size=60) | st.just(bytes(MAX_PACKET_BYTES)),
)
operations = st.one_of(
    adds,
    st.builds(Fulfil, claim_ids, hashes),
    st.builds(Fail, claim_ids, st.binary(max_size=40) | st.just(bytes(MAX_REASON_BYTES))),
    st.builds(Expire, claim_ids),
    st.builds(Settle, hashes, times, prices),
    st.builds(Push, short_ids, amounts),
)
batches = st.lists(operations, min_size=1, max_size=8).map(tuple)


@st.composite
def states(draw: st.DrawFn) -> State:
    """A state whose claims were added with ascending ids, as `StateDraft` adds them."""
    last_ids = [-2, -1]
    claims = {}
    for side in draw(st.lists(st.sampled_from([0, 1]), max_size=6)):
        last_ids[side] += draw(st.integers(1, 2**40)) * 2
        hashlock = draw(st.none() | hashes)
        deadline_s = 0 if hashlock is None else draw(times)
        claims[last_ids[side]] = Claim(
            last_ids[side], draw(amounts), hashlock, deadline_s, draw(st.none() | terms)
        )
    gone = draw(st.integers(0, 3)) * 2
    return State(draw(uints(64)), draw(sints(128)), claims, (last_ids[0] + gone, last_ids[1] + gone))


policies = st.builds(
    PolicyAnnouncement,
    hashes,
    nodes,
    times,
    amounts,
    uints(32),
    uints(32),
    amounts,
    amounts,
    uints(32),
    st.booleans(),
    signatures,
)
updates = st.builds(Update, hashes, uints(64), uints(64), batches, signatures)
messages = st.one_of(
    st.builds(Hello, uints(16), uints(64), addresses, texts(32)),
    st.builds(Reestablish, hashes, uints(64), uints(64), deposits, deposits),
    updates,
    st.builds(Ack, hashes, uints(64), signatures),
    st.builds(DepositsSeen, hashes, deposits, deposits),
    st.builds(Shutdown, hashes),
    st.builds(CloseOffer, hashes, uints(64), sints(128), times, signatures),
    st.builds(StateCopy, hashes, states(), signatures, signatures),
    policies,
    st.builds(PoliciesKnown, st.binary(min_size=2_048, max_size=2_048)),
    st.builds(
        lambda way, at, body: Relay(way[at:], way[:at], body),
        st.lists(nodes, max_size=20).map(tuple),
        st.integers(0, 20),
        st.binary(max_size=100),
    ),
    st.builds(Complaint, hashes, texts(100)),
    st.builds(PushTerms, hashes, st.booleans(), amounts),
)
relay_bodies = st.one_of(
    st.builds(QuoteRequest, short_ids, legs, addresses),
    st.builds(QuoteReply, short_ids, short_ids, amounts, times, texts(60)),
)
instructions = st.one_of(
    st.builds(ForwardTo, hashes, amounts, times, st.binary(max_size=200), st.none() | legs),
    st.builds(Deliver, hashes, amounts),
    st.builds(WriteOption, short_ids),
    st.builds(ReturnOption),
)

refs = st.builds(ClaimRef, hashes, claim_ids)
failures = st.builds(Failure, st.sampled_from(FailureCode), hashes)
params = st.builds(ChannelParams, addresses, addresses, addresses, uints(40), uints(216))
slots = st.builds(Deposits, deposits, deposits, uints(64))
channels = st.builds(
    Channel,
    hashes,
    params,
    st.sampled_from(Side),
    nodes | st.just(b""),
    st.sampled_from(Phase),
    claim_ids,
    slots,
    slots,
    states(),
    states(),
    signatures | st.just(b""),
    uints(64),
    st.booleans(),
    st.lists(operations, max_size=4).map(tuple),
    st.lists(operations, max_size=4).map(tuple),
    st.booleans(),
    times,
    signatures | st.just(b""),
)
preimages = hashes | st.just(b"")
records = st.one_of(
    channels,
    st.builds(Forward, refs, refs, hashes, times, amounts, st.sampled_from(ForwardStatus), st.none() | legs),
    st.builds(
        Invoice,
        hashes,
        hashes,
        hashes,
        addresses,
        amounts,
        texts(100),
        times,
        times,
        st.sampled_from(InvoiceStatus),
        amounts,
        times,
    ),
    st.builds(
        Payment,
        hashes,
        nodes,
        addresses,
        amounts,
        amounts,
        times,
        texts(100),
        st.sampled_from(PaymentStatus),
        st.none() | refs,
        preimages,
        st.none() | failures,
        uints(16),
        uints(16),
    ),
    st.builds(
        Trade,
        hashes,
        st.sampled_from(TradeRole),
        legs,
        addresses,
        amounts,
        amounts,
        times,
        nodes | st.just(b""),
        times,
        st.sampled_from(TradeStatus),
        preimages,
        st.none() | refs,
        st.none() | refs,
        st.none() | failures,
    ),
    st.builds(Secret, hashes, hashes),
    st.builds(SignedPriceRecord, hashes, times, prices, st.lists(signatures, max_size=5).map(tuple)),
    st.builds(
        Dispute,
        hashes,
        st.booleans(),
        uints(64),
        sints(256),
        hashes,
        hashes,
        times,
        st.none() | st.lists(claim_ids, max_size=5).map(tuple),
    ),
    st.builds(Stream, hashes, st.booleans(), short_ids, uints(64), uints(160), times, times, uints(64)),
)


def full_update(count: int = MAX_OPERATIONS, packet_bytes: int = 0) -> Update:
    """A batch of `count` payments by side A, each with a packet."""
    added = tuple(
        Add(
            Claim(2 * number, 10**18 + number, bytes([number % 256]) * 32, 1_800_000_000), bytes(packet_bytes)
        )
        for number in range(count)
    )
    return Update(b"\x01" * 32, 8, 7, added, b"\x02" * 64)
