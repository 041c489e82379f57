"""Every example in docs/protocol.md, made again by the code."""

import re
from hashlib import sha256

import pytest

from channeld.adapters.signer import Signer
from channeld.core.channel import Update
from channeld.core.claims import PRICE_SCALE, Claim, OptionTerms, PayoffKind, State
from channeld.core.errors import Rejected
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import Deliver, Instruction, WriteOption
from channeld.core.operations import Add
from channeld.core.records import OptionLeg
from channeld.wire import eip712
from channeld.wire.fields import encode_int
from channeld.wire.invoice import InvoiceFields, encode_invoice
from channeld.wire.messages import encode
from channeld.wire.packet import Hop, build_packet
from tests.docs.documents import read, section

TEXT = read("docs/protocol.md")

ADJUDICATOR = bytes([0xAD]) * 20
FIRST, SECOND = Signer(bytes([10]) * 32), Signer(bytes([11]) * 32)
DOMAIN = eip712.domain_separator(31_337, ADJUDICATOR)
PARAMS = ChannelParams(FIRST.address, SECOND.address, ETH, 86_400, 1)
CHANNEL = eip712.channel_id(PARAMS, DOMAIN)
FEED = eip712.Feed("ETH/USD", 8, 1, 2, 24, tuple(bytes([byte]) * 20 for byte in (0x11, 0x22, 0x33)))
HASHLOCK = sha256(bytes([0x77]) * 32).digest()
DEADLINE_S, EXPIRY_S = 1_700_000_000, 1_800_000_000
CALL = OptionTerms(PayoffKind.CALL, FEED.feed_id, EXPIRY_S, 4_000 * PRICE_SCALE, 5_000 * PRICE_SCALE)
PAYMENT = Claim(6, 1_000, HASHLOCK, DEADLINE_S)
OPTION = Claim(3, 2_000_000, None, 0, CALL)
STATE = State(8, -250, {3: OPTION, 6: PAYMENT}, (6, 3))


def shown(heading: str) -> str:
    """A section without its white space: examples are broken into lines."""
    return re.sub(r"\s", "", section(TEXT, heading))


@pytest.mark.parametrize("node", [FIRST, SECOND])
def test_the_nodes(node):
    assert f"{node.public_key.hex()}address{node.address.hex()}" in shown("## Keys")


def test_the_first_node_is_side_a():
    assert FIRST.address < SECOND.address


@pytest.mark.parametrize(
    "example",
    [f"domain{DOMAIN.hex()}", f"config{PARAMS.config:064x}", f"channelid{CHANNEL.hex()}"],
)
def test_the_identity(example):
    assert example in shown("### Identity")


@pytest.mark.parametrize("claim", [PAYMENT, OPTION])
def test_the_words_of_a_claim(claim):
    assert eip712.claim_words(claim).hex() in shown("### Claims")


@pytest.mark.parametrize("claims", [[PAYMENT, OPTION], [OPTION, PAYMENT]])
def test_the_hash_of_a_list(claims):
    assert f"claimshash{eip712.claims_hash(claims).hex()}" in shown("### The list of claims")


def test_the_digest_of_a_state_and_its_signature():
    digest = eip712.state_digest(DOMAIN, CHANNEL, STATE)
    assert f"digest{digest.hex()}signature{FIRST.sign_digest(digest).hex()}" in shown("### States")


def test_the_digest_of_a_close():
    digest = eip712.close_digest(DOMAIN, CHANNEL, 0, -250, 1_700_000_600)
    assert f"digest{digest.hex()}" in shown("## Closing together")


@pytest.mark.parametrize(
    "example",
    [
        f"meta{FEED.meta:064x}feed{FEED.feed_id.hex()}",
        eip712.PRICE_DOMAIN.hex(),
        f"digest{eip712.price_digest(FEED.feed_id, EXPIRY_S, 4_200 * PRICE_SCALE).hex()}",
        f"key{eip712.keccak(FEED.feed_id + EXPIRY_S.to_bytes(32, 'big')).hex()}",
    ],
)
def test_the_price_of_a_feed(example):
    assert example in shown("## Settlement prices")


def abbreviated(data: bytes) -> str:
    """Hex in which a run of one byte that fills a field is cut, as 1111...11."""
    return re.sub(r"(([0-9a-f]{2})\2)(?:\2){29,61}\2", r"\1...\2", data.hex())


def test_the_bytes_of_an_update():
    add = Add(Claim(6, 1_000, b"\x44" * 32, DEADLINE_S), b"")
    update = Update(b"\x11" * 32, 8, 7, (add,), b"\x33" * 64)
    assert abbreviated(encode(update)) in shown("### Operations")


def test_the_bytes_of_a_packet():
    made = build_packet([Hop(b"\x22" * 32, 1_000, DEADLINE_S)], Deliver(b"\x55" * 32, 1_000))
    assert abbreviated(made) in shown("### Packets")


@pytest.mark.parametrize(
    ("hops", "leg", "last"),
    [
        (36, None, Deliver(b"\x55" * 32, 10**18)),
        (17, OptionLeg(CALL, 2_000_000), WriteOption(b"\x66" * 16)),
    ],
)
def test_as_many_hops_as_a_packet_is_said_to_hold(hops: int, leg: OptionLeg | None, last: Instruction):
    hop = Hop(b"\x22" * 32, 10**18, DEADLINE_S, leg)
    build_packet([hop] * hops, last)
    with pytest.raises(Rejected):
        build_packet([hop] * (hops + 1), last)
    assert f"{hops} hops" in section(TEXT, "## Limits") or f"now: 36 hops of a payment, {hops}" in TEXT


@pytest.mark.parametrize(("number", "said"), [(127, "7f"), (128, "0080"), (-1, "ff"), (-129, "ff7f")])
def test_wide_integers(number, said):
    assert encode_int(number).hex() == said
    assert f"`{said}`" in section(TEXT, "## Encoding")


def test_the_invoice():
    fields = InvoiceFields(
        31_337,
        ADJUDICATOR,
        b"\x11" * 32,
        b"\x22" * 32,
        FIRST.public_key,
        DEADLINE_S,
        amount=25 * 10**15,
        description="dinner for two, ナンセンス 1杯",
    )
    assert encode_invoice(fields, FIRST.sign_digest) in shown("## Invoices")
