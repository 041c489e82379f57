"""Copies with changes: the fast one does what `dataclasses.replace` does, for every record there is."""

import dataclasses
from hashlib import sha256

import pytest

from channeld.core.channel import Ack, Channel, Deposits, Phase, Update
from channeld.core.claims import Claim, OptionTerms, PayoffKind, Side
from channeld.core.copying import replace
from channeld.core.identity import ETH, ChannelParams
from channeld.core.records import (
    ClaimRef,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    Trade,
    TradeRole,
)

LOCK = sha256(b"s" * 32).digest()
LEG = OptionLeg(OptionTerms(PayoffKind.CALL, bytes(32), 1_900_000_000, 10, 20), 3)
RECORDS = [
    Channel(LOCK, ChannelParams(bytes(20), b"\x01" * 20, ETH, 3_600, 0), Side.B, b"", Phase.OPEN, 1),
    Deposits(1, 2, 3),
    Update(LOCK, 2, 1, ()),
    Ack(LOCK, 2),
    Invoice(LOCK, LOCK, LOCK, ETH, 5, "tea", 1, 2),
    Payment(LOCK, LOCK, ETH, 5, 1, 1, claim=ClaimRef(LOCK, 2)),
    Forward(ClaimRef(LOCK, 1), ClaimRef(LOCK, 2), LOCK, 9, 1),
    Trade(LOCK, TradeRole.BUYER, LEG, ETH, 1, 0, 9, LOCK, 1),
    Claim(2, 5, LOCK, 9),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_each_field_changed_alone(record: object) -> None:
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        marker = object()
        ours, theirs = (
            function(record, **{field.name: marker})  # type: ignore[type-var]
            for function in (replace, dataclasses.replace)
        )
        assert type(ours) is type(record)
        for each in dataclasses.fields(record):  # type: ignore[arg-type]
            assert getattr(ours, each.name) is getattr(theirs, each.name)
        assert getattr(record, field.name) is not marker, "the record itself has changed"


def test_a_copy_is_as_frozen_as_its_record() -> None:
    copy = replace(RECORDS[4], status=InvoiceStatus.PAID)  # type: ignore[type-var, call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.status = InvoiceStatus.OPEN  # type: ignore[attr-defined]
    assert replace(copy) == copy
    assert replace(copy) is not copy


def test_a_field_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        replace(RECORDS[6], state=ForwardStatus.FAILED)  # type: ignore[type-var, call-arg]


def test_a_class_that_checks_its_fields_is_not_copied_around_its_checks() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Checked:
        one: int
        two: int

        def __post_init__(self) -> None:
            assert self.one < self.two

    with pytest.raises(AssertionError, match="checks what its constructor is given"):
        replace(Checked(1, 2), one=3)
