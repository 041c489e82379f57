"""Addresses are read as people copy them, and a typing error is found."""

import pytest

from channeld.core.errors import Rejected
from channeld.wire.address import checksummed, parse_address

EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", EIP_55)
def test_the_vectors_of_eip_55(text: str) -> None:
    assert checksummed(parse_address(text)) == text
    assert parse_address(text.lower()) == parse_address("0x" + text[2:].upper()) == parse_address(text)


def test_one_letter_in_the_wrong_case_is_a_typing_error() -> None:
    mixed = EIP_55[3]
    for index, letter in enumerate(mixed[2:], start=2):
        if letter.isalpha():
            with pytest.raises(Rejected, match=f"expected the checksum of {mixed}"):
                parse_address(mixed[:index] + letter.swapcase() + mixed[index + 1 :])


@pytest.mark.parametrize("text", ["", "0x", "0X" + "11" * 20, "11" * 20, "0x" + "11" * 21, "0x" + "g1" * 20])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(Rejected, match=r"expected an address \(0x and 40 hex digits\)"):
        parse_address(text)


def test_a_newline_behind_it_is_not_overlooked() -> None:
    with pytest.raises(Rejected):
        parse_address(EIP_55[0] + "\n")
