"""Invoices: alice asks to be paid, bob pays exactly that, and nobody pays a text that mallory touched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.adapters.signer import address_of, verify, verify_node
from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S
from channeld.core.errors import Rejected
from channeld.wire import bech32m
from channeld.wire.eip712 import keccak
from channeld.wire.invoice import (
    MAX_DESCRIPTION_BYTES,
    MAX_INVOICE_CHARS,
    InvalidInvoice,
    InvoiceFields,
    _digest,
    decode_invoice,
    encode_invoice,
)
from channeld.wire.tlv import encode_stream, read_stream
from tests.wire.wire_cast import (
    ALICE,
    BOB,
    MALLORY,
    addresses,
    amounts,
    hashes,
    texts,
    times,
    uints,
)

BOLT11 = Path(__file__).parents[2] / "../shared/data/bolt/bolt11_examples.json"

DINNER = InvoiceFields(
    chain_id=31337,
    adjudicator=b"\xad" * 20,
    hashlock=b"\x11" * 32,
    payment_secret=b"\x22" * 32,
    payee=ALICE.public_key,
    created_s=1_700_000_000,
    amount=25 * 10**15,
    description="dinner for two, ナンセンス 1杯",
)
TEXT = encode_invoice(DINNER, ALICE.sign_digest)

invoices = st.builds(
    InvoiceFields,
    uints(64),
    addresses,
    hashes,
    hashes,
    st.just(ALICE.public_key),
    times,
    addresses | st.just(bytes(20)),
    amounts | st.just(0),
    uints(32) | st.just(3_600),
    texts(80),
    uints(32) | st.just(0),
)


@settings(max_examples=100)
@given(invoices)
def test_what_alice_asks_bob_reads(fields: InvoiceFields) -> None:
    text = encode_invoice(fields, ALICE.sign_digest)
    assert decode_invoice(text, verify_node) == fields
    assert decode_invoice(text.upper(), verify_node) == fields
    assert encode_invoice(decode_invoice(text, verify_node), ALICE.sign_digest) == text


def test_an_invoice_for_dinner() -> None:
    assert decode_invoice(TEXT, verify_node) == DINNER
    assert DINNER.expires_s == 1_700_003_600
    assert TEXT.startswith("chd1")
    assert len(TEXT) < 450


def test_the_longest_invoice_fits() -> None:
    fields = replace(
        DINNER,
        chain_id=2**64 - 1,
        asset=b"\x01" * 20,
        amount=MAX_AMOUNT,
        created_s=MAX_TIME_S,
        valid_for_s=2**32 - 1,
        description="x" * MAX_DESCRIPTION_BYTES,
        min_final_margin_s=2**32 - 1,
    )
    text = encode_invoice(fields, ALICE.sign_digest)
    assert decode_invoice(text, verify_node) == fields
    assert len(text) <= 1_500 < MAX_INVOICE_CHARS


def test_every_character_counts() -> None:
    """Each character replaced by each other one that a keyboard has nearby: found every time."""
    for place, character in enumerate(TEXT):
        for wrong in {"q", "l", "7", "1", "b", " ", character.upper(), "é"} - {character}:
            with pytest.raises(InvalidInvoice):
                decode_invoice(TEXT[:place] + wrong + TEXT[place + 1 :], verify_node)


@settings(max_examples=300)
@given(st.data())
def test_a_mistake_anywhere_is_found(draws: st.DataObject) -> None:
    place = draws.draw(st.integers(0, len(TEXT) - 1))
    end = draws.draw(st.integers(place, min(place + 3, len(TEXT))))
    changed = TEXT[:place] + draws.draw(st.text(max_size=3)) + TEXT[end:]
    if changed != TEXT:
        with pytest.raises(InvalidInvoice):
            decode_invoice(changed, verify_node)


@given(
    st.text(max_size=80) | st.text("qpzry9x8gf2tvdw0s3jn54khce6mua7l", max_size=80).map(lambda t: "chd1" + t)
)
def test_any_text_is_an_invoice_or_refused(text: str) -> None:
    with pytest.raises(InvalidInvoice):
        decode_invoice(text, verify_node)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_data_with_a_good_checksum_is_an_invoice_or_refused(data: bytes) -> None:
    for start in (b"", b"\x01", bech32m.decode(TEXT, "chd", MAX_INVOICE_CHARS)[:60]):
        with pytest.raises(InvalidInvoice):
            decode_invoice(bech32m.encode("chd", start + data), verify_node)


@pytest.mark.skipif(not BOLT11.exists(), reason="the BOLT 11 examples are not there")
def test_no_lightning_invoice_is_taken_for_one_of_ours() -> None:
    """Valid ones, upper-case ones, broken ones: each is refused in words that name the reason."""
    examples = json.loads(BOLT11.read_text())["examples"]
    assert len(examples) == 24
    for example in examples:
        text = example["invoice"]
        # As they are; under our prefix with their checksum; and their data under our prefix and checksum.
        words = text.lower().rpartition("1")[2]
        for offered in (text, "chd1" + words, bech32m.encode("chd", words.encode())):
            with pytest.raises(InvalidInvoice) as caught:
                decode_invoice(offered, verify_node)
            assert 20 < len(str(caught.value)) < 200
        if text in (text.lower(), text.upper()):
            with pytest.raises(InvalidInvoice, match=f"begins with 'chd1', got '{text[:4]}"):
                decode_invoice(text, verify_node)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an invoice: expected a text that begins with 'chd1', got ''"),
        ("0x" + "11" * 32, "begins with 'chd1'"),
        (TEXT[:-1], "not an invoice: the checksum is wrong: some of the"),
        (TEXT[: len(TEXT) // 2], "the checksum is wrong: some of the"),
        (TEXT[:8], "cut off?"),
        (TEXT + "\n", "expected letters and digits only"),
        (TEXT[:9].upper() + TEXT[9:], "expected all small letters or all capitals, got both"),
        (TEXT + "q" * MAX_INVOICE_CHARS, "expected at most 2048 characters"),
        (bech32m.encode("chd", b""), "not an invoice: expected at least 65 bytes, got 0"),
        (bech32m.encode("chd", b"\x02" + bytes(64)), "version 1, got 2: made by a newer program?"),
        (bech32m.encode("lnbc", bytes(65)), "begins with 'chd1', got 'lnbc1"),
    ],
)
def test_people_are_told_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidInvoice) as caught:
        decode_invoice(text, verify_node)
    assert reason in str(caught.value)
    assert isinstance(caught.value, Rejected)


def signed(items: dict[int, bytes]) -> str:
    """What a program of alice's would make of these fields, well signed."""
    data = b"\x01" + encode_stream(sorted(items.items()))
    return bech32m.encode("chd", data + ALICE.sign_digest(_digest(data)))


ITEMS = dict(read_stream(bech32m.decode(TEXT, "chd", MAX_INVOICE_CHARS)[1:-64]))


def test_an_unknown_odd_field_is_skipped_and_an_even_one_refused() -> None:
    """It's ok to be odd [BOLT-1]."""
    assert signed(ITEMS) == TEXT
    for odd in (1, 21, 255, 2**64 - 1):
        assert decode_invoice(signed({**ITEMS, odd: b"from the future"}), verify_node) == DINNER
    for even in (18, 256, 2**64 - 2):
        with pytest.raises(InvalidInvoice, match=f"it needs field {even}, .* update the program"):
            decode_invoice(signed({**ITEMS, even: b""}), verify_node)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (0, b"\x00\x01", "chain_id: expected 0 to"),
        (0, b"\x01" + bytes(8), "chain_id: expected 0 to"),
        (2, bytes(19), "adjudicator: expected 20 bytes, got 19"),
        (4, bytes(20), "asset: expected the default to be left out"),
        (6, b"", "amount: expected the default to be left out"),
        (6, b"\x80" + bytes(11), "amount: expected 0 to 39614081257132168796771975167"),
        (8, bytes(31), "hashlock: expected 32 bytes, got 31"),
        (10, b"", "payment_secret: expected 32 bytes, got 0"),
        (12, b"\x04" + bytes(32), "payee: expected a node id of 33 bytes"),
        (12, b"\x02" + bytes(31), "payee: expected a node id of 33 bytes"),
        (12, b"\x02" + b"\xff" * 32, "expected the signature of the invoice's payee"),  # no point at all
        (14, b"\x01" + bytes(5), "created_s: expected 0 to"),
        (16, b"\x0e\x10", "valid_for_s: expected the default to be left out"),
        (17, b"\xff", "description: expected UTF-8, got another byte at 0"),
        (17, b"x" * 640, "description: expected at most 639 bytes, got 640"),
        (17, b"", "description: expected the default to be left out"),
        (19, b"\x00", "min_final_margin_s: expected 0 to 4294967295 without leading zeros"),
    ],
)
def test_a_field_that_nobody_should_have_signed(kind: int, value: bytes, reason: str) -> None:
    with pytest.raises(InvalidInvoice) as caught:
        decode_invoice(signed({**ITEMS, kind: value}), verify_node)
    assert reason in str(caught.value)


def test_a_payee_that_is_no_key_has_signed_nothing() -> None:
    """Whether the injected verification returns False or refuses such a key, people read the same."""

    def strict(node: bytes, digest: bytes, signature: bytes) -> bool:
        return verify(digest, signature, address_of(node))

    assert decode_invoice(TEXT, strict) == DINNER
    with pytest.raises(InvalidInvoice, match="expected the signature of the invoice's payee"):
        decode_invoice(signed({**ITEMS, 12: b"\x02" + b"\xff" * 32}), strict)


@pytest.mark.parametrize("kind", [0, 2, 8, 10, 12, 14])
def test_what_must_be_there(kind: int) -> None:
    with pytest.raises(InvalidInvoice, match="incomplete invoice: expected "):
        decode_invoice(signed({k: v for k, v in ITEMS.items() if k != kind}), verify_node)


def test_mallory_asks_in_alices_name() -> None:
    for forged in (
        encode_invoice(DINNER, MALLORY.sign_digest),
        encode_invoice(replace(DINNER, payee=BOB.public_key), ALICE.sign_digest),
    ):
        with pytest.raises(InvalidInvoice, match="expected the signature of the invoice's payee"):
            decode_invoice(forged, verify_node)


def test_mallory_changes_the_amount_and_mends_the_checksum() -> None:
    data = bech32m.decode(TEXT, "chd", MAX_INVOICE_CHARS)
    for place in range(1, len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(InvalidInvoice):
            decode_invoice(bech32m.encode("chd", changed), verify_node)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": -1}, "amount: expected 0 to"),
        ({"amount": MAX_AMOUNT + 1}, "amount: expected 0 to"),
        ({"valid_for_s": 2**32}, "valid_for_s: expected 0 to"),
        ({"description": "x" * 640}, "description: expected at most 639 bytes, got 640"),
        ({"description": "a\ud800"}, "description: expected text, got half a character at 1"),
        ({"hashlock": b""}, "hashlock: expected 32 bytes, got 0"),
        ({"payee": bytes(33)}, "payee: expected a node id"),
    ],
)
def test_an_invoice_that_cannot_be_made(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInvoice, match=reason):
        encode_invoice(replace(DINNER, **change), ALICE.sign_digest)


def test_the_text_is_what_the_protocol_says() -> None:
    """Spelled out, so that another program can make it."""
    signed = (
        b"\x01"
        + bytes.fromhex("0002 7a69")
        + (b"\x02\x14" + b"\xad" * 20)
        + bytes.fromhex("0607 58d15e17628000")
        + (b"\x08\x20" + b"\x11" * 32)
        + (b"\x0a\x20" + b"\x22" * 32)
        + (b"\x0c\x21" + ALICE.public_key)
        + bytes.fromhex("0e04 6553f100")
        + (b"\x11\x24" + "dinner for two, ナンセンス 1杯".encode())
    )
    signature = ALICE.sign_digest(keccak(b"\x19channeld invoice\x00chd" + signed))
    assert bech32m.decode(TEXT, "chd", MAX_INVOICE_CHARS) == signed + signature
    assert TEXT[:20] == "chd1qyqqy7nfqg22mtdd"
    assert len(TEXT) == 406
