"""Invoices: what a payee asks for, signed, as one line of text.

    chd1...  bech32m of: version (1 byte, 1) || fields || signature (64 bytes)

The fields are a stream of (type, length, value); a field whose value is the default is left out. The
payee's node key signs the prefix and everything before the signature. Whether an invoice has expired is
for the caller to ask (`expires_s`), since only it has a clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S
from channeld.core.errors import Rejected
from channeld.core.identity import ETH
from channeld.wire import bech32m
from channeld.wire.tagged import Sign, Verify, is_author, tagged_digest
from channeld.wire.tlv import BadStream, encode_stream, read_stream

PREFIX = "chd"
VERSION = 1

MAX_INVOICE_CHARS = 2_048
"""With the longest description an invoice has about 1,500 characters; the rest is for fields to come. A
QR code holds twice as many."""

MAX_DESCRIPTION_BYTES = 639
"""As in [BOLT-11], so that an invoice can be passed on from or to a Lightning node."""

DEFAULT_VALID_FOR_S = 3_600
"""As in [BOLT-11]."""

_TAG = "channeld invoice"
_SIGNATURE_BYTES = 64


class InvalidInvoice(Rejected):
    """A text that is no invoice, or an invoice that cannot be made. The message is for people."""


@dataclass(frozen=True, slots=True)
class InvoiceFields:
    """What an invoice says.

    `amount` in the smallest unit of `asset` (20 bytes, zeros for the chain's coin), 0 if the payer may
    choose. `payee` is a node id (33 bytes). `created_s` in unix seconds, `valid_for_s` from then on.
    `min_final_margin_s`: how long before its deadline the payment must reach the payee, 0 if it does not say.
    """

    chain_id: int
    adjudicator: bytes
    hashlock: bytes
    payment_secret: bytes
    payee: bytes
    created_s: int
    asset: bytes = ETH
    amount: int = 0
    valid_for_s: int = DEFAULT_VALID_FOR_S
    description: str = ""
    min_final_margin_s: int = 0

    @property
    def expires_s(self) -> int:
        """The last second at which the payee takes a payment for it."""
        return self.created_s + self.valid_for_s


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its number in the stream, what stands for it when it is left out (None: it may not be)."""

    kind: int
    attribute: str
    pack: Callable[[Any, str], bytes]
    read: Callable[[bytes, str], Any]
    default: object = None


def _integer(kind: int, attribute: str, most: int, default: int | None = None) -> _Field:
    """A whole number, big-endian, without leading zeros."""

    def pack(value: int, name: str) -> bytes:
        if not 0 <= value <= most:
            raise InvalidInvoice(f"{name}: expected 0 to {most}, got {value}")
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    def read(value: bytes, name: str) -> int:
        number = int.from_bytes(value, "big")
        if number > most or value[:1] == b"\x00":
            raise InvalidInvoice(
                f"{name}: expected 0 to {most} without leading zeros, got {len(value)} bytes"
            )
        return number

    return _Field(kind, attribute, pack, read, default)


def _fixed(kind: int, attribute: str, length: int, default: bytes | None = None) -> _Field:
    def check(value: bytes, name: str) -> bytes:
        if len(value) != length:
            raise InvalidInvoice(f"{name}: expected {length} bytes, got {len(value)}")
        return value

    return _Field(kind, attribute, check, check, default)


def _check_node(value: bytes, name: str) -> bytes:
    if len(value) != 33 or value[0] not in (2, 3):
        raise InvalidInvoice(f"{name}: expected a node id of 33 bytes that begins with 2 or 3, got another")
    return value


def _pack_text(value: str, name: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInvoice(f"{name}: expected text, got half a character at {error.start}") from None
    if len(data) > MAX_DESCRIPTION_BYTES:
        raise InvalidInvoice(f"{name}: expected at most {MAX_DESCRIPTION_BYTES} bytes, got {len(data)}")
    return data


def _read_text(value: bytes, name: str) -> str:
    if len(value) > MAX_DESCRIPTION_BYTES:
        raise InvalidInvoice(f"{name}: expected at most {MAX_DESCRIPTION_BYTES} bytes, got {len(value)}")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInvoice(f"{name}: expected UTF-8, got another byte at {error.start}") from None


# Even numbers must be understood by whoever pays, odd ones may be skipped.
_FIELDS = (
    _integer(0, "chain_id", 2**64 - 1),
    _fixed(2, "adjudicator", 20),
    _fixed(4, "asset", 20, ETH),
    _integer(6, "amount", MAX_AMOUNT, 0),
    _fixed(8, "hashlock", 32),
    _fixed(10, "payment_secret", 32),
    _Field(12, "payee", _check_node, _check_node),
    _integer(14, "created_s", MAX_TIME_S),
    _integer(16, "valid_for_s", 2**32 - 1, DEFAULT_VALID_FOR_S),
    _Field(17, "description", _pack_text, _read_text, ""),
    _integer(19, "min_final_margin_s", 2**32 - 1, 0),
)
_FIELD_OF = {field.kind: field for field in _FIELDS}
_REQUIRED = {field.attribute for field in _FIELDS if field.default is None}


def encode_invoice(fields: InvoiceFields, sign: Sign) -> str:
    """The invoice as text. `sign` must hold the key of `fields.payee`. Raises InvalidInvoice."""
    items = []
    for field in _FIELDS:
        value = getattr(fields, field.attribute)
        if field.default is None or value != field.default:
            items.append((field.kind, field.pack(value, field.attribute)))
    data = bytes([VERSION]) + encode_stream(items)
    signature = sign(_digest(data))
    assert len(signature) == _SIGNATURE_BYTES, f"expected a signature of 64 bytes, got {len(signature)}"
    return bech32m.encode(PREFIX, data + signature)


def decode_invoice(text: str, verify: Verify) -> InvoiceFields:
    """What an invoice says, after its signature was checked. Raises InvalidInvoice; never anything else."""
    try:
        data = bech32m.decode(text, PREFIX, MAX_INVOICE_CHARS)
    except bech32m.NotBech32m as error:
        raise InvalidInvoice(f"not an invoice: {error}") from None
    if len(data) < 1 + _SIGNATURE_BYTES:
        raise InvalidInvoice(f"not an invoice: expected at least 65 bytes, got {len(data)}")
    if data[0] != VERSION:
        raise InvalidInvoice(
            f"expected an invoice of version {VERSION}, got {data[0]}: made by a newer program?"
        )
    signed, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
    fields = _read_fields(signed[1:])
    if not is_author(fields.payee, _digest(signed), signature, verify):
        raise InvalidInvoice("expected the signature of the invoice's payee, got another: do not pay it")
    return fields


def _digest(signed: bytes) -> bytes:
    return tagged_digest(_TAG, PREFIX.encode() + signed)


def _read_fields(stream: bytes) -> InvoiceFields:
    values: dict[str, Any] = {}
    try:
        for kind, value in read_stream(stream):
            field = _FIELD_OF.get(kind)
            if field is not None:
                values[field.attribute] = read = field.read(value, field.attribute)
                if read == field.default:
                    raise InvalidInvoice(f"{field.attribute}: expected the default to be left out")
            elif kind % 2 == 0:
                raise InvalidInvoice(
                    f"it needs field {kind}, which this version does not know: update the program to pay it"
                )
    except BadStream as error:
        raise InvalidInvoice(f"damaged invoice: {error}") from None
    if not values.keys() >= _REQUIRED:
        missing = [field.attribute for field in _FIELDS if field.attribute in _REQUIRED - values.keys()]
        raise InvalidInvoice(f"incomplete invoice: expected {', '.join(missing)}")
    return InvoiceFields(**values)
