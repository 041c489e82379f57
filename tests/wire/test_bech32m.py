"""Bech32m: the vectors of [BIP-350], and every way in which a person mistypes a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.wire.bech32m import NotBech32m, decode, encode

CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@pytest.mark.parametrize(
    ("text", "prefix", "data"),
    [
        ("A1LQFN3A", "a", ""),
        ("a1lqfn3a", "a", ""),
        (
            "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
            "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1",
            "",
        ),
        (
            "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
            "abcdef",
            "ffbbcdeb38bdab49ca307b9ac5a928398a418820",
        ),
        (
            "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
            "split",
            "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d",
        ),
        ("?1v759aa", "?", ""),
    ],
)
def test_the_valid_vectors(text: str, prefix: str, data: str) -> None:
    assert decode(text, prefix, 90).hex() == data
    assert encode(prefix, bytes.fromhex(data)) == text.lower()


@pytest.mark.parametrize(
    ("text", "prefix", "reason"),
    [
        ("\x201xj0phk", "", "expected letters and digits only"),
        ("\x7f1g6xzxy", "", "expected letters and digits only"),
        ("\x801vctc34", "", "expected letters and digits only"),
        ("qyrz8wqd2c9m", "q", "begins with 'q1'"),
        ("y1b0jsk6g", "y", "character 3 is 'b'"),
        ("lt1igcx5c0", "lt", "character 4 is 'i'"),
        ("in1muywd", "in", "cut off"),
        ("mm1crxm3i", "mm", "character 9 is 'i'"),
        ("au1s5cgom", "au", "character 8 is 'o'"),
        ("M1VUXWEZ", "m", "checksum is wrong"),
        ("a12uel5l", "a", "one of the older bech32"),  # valid in [BIP-173]
        # Valid in [BIP-350], but its 82 words are no whole bytes.
        ("11" + "l" * 82 + "ludsr8", "1", "whole bytes"),
    ],
)
def test_the_invalid_vectors_and_the_older_checksum(text: str, prefix: str, reason: str) -> None:
    with pytest.raises(NotBech32m, match=reason):
        decode(text, prefix, 90)


@given(st.binary(max_size=1_200))
def test_bytes_survive_in_either_case(data: bytes) -> None:
    text = encode("chd", data)
    assert decode(text, "chd", 2_048) == data
    assert decode(text.upper(), "chd", 2_048) == data


@given(st.binary(max_size=1_200))
def test_the_checksum_by_parities_is_that_of_the_reference(data: bytes) -> None:
    text = encode("chd", data)
    assert text == _with_checksum([CHARACTERS.index(c) for c in text[4:-6]])


@settings(max_examples=300)
@given(st.binary(max_size=600), st.data())
def test_one_mistyped_letter_is_found_and_pointed_at(data: bytes, draws: st.DataObject) -> None:
    text = encode("chd", data)
    place = draws.draw(st.integers(4, len(text) - 1))
    wrong = draws.draw(st.sampled_from([c for c in CHARACTERS if c != text[place]]))
    with pytest.raises(NotBech32m) as caught:
        decode(text[:place] + wrong + text[place + 1 :], "chd", 2_048)
    assert str(caught.value) == f"the checksum is wrong: character {place + 1} is probably mistyped"


@settings(max_examples=300)
@given(st.binary(max_size=100), st.data())
def test_two_mistyped_letters_are_found(data: bytes, draws: st.DataObject) -> None:
    """Within 1,023 characters; the hint never names one of them as if it were the only one."""
    text = list(encode("chd", data))
    places = draws.draw(st.lists(st.integers(4, len(text) - 1), min_size=2, max_size=2, unique=True))
    for place in places:
        text[place] = draws.draw(st.sampled_from([c for c in CHARACTERS if c != text[place]]))
    with pytest.raises(NotBech32m, match="missing, added or mistyped"):
        decode("".join(text), "chd", 2_048)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_cut_text_is_refused(data: bytes, draws: st.DataObject) -> None:
    text = encode("chd", data)
    with pytest.raises(NotBech32m):
        decode(text[: draws.draw(st.integers(0, len(text) - 1))], "chd", 2_048)


def test_padding_is_zeros_and_never_a_whole_group() -> None:
    """One value, one text: else a payment's text could be changed and still be valid."""
    for data in (b"\x01", b"\x01\x02\x03"):
        words = [CHARACTERS.index(c) for c in encode("chd", data)[4:-6]]
        for changed in ([*words[:-1], words[-1] | 1], [*words, 0]):
            with pytest.raises(NotBech32m, match="whole bytes"):
                decode(_with_checksum(changed), "chd", 100)


def _with_checksum(words: list[int]) -> str:
    """Written down from the reference code of [BIP-350], so that two programs must agree."""

    def polymod(values: list[int]) -> int:
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if (top >> bit) & 1 else 0
        return check

    expanded = [ord(c) >> 5 for c in "chd"] + [0] + [ord(c) & 31 for c in "chd"]
    remainder = polymod(expanded + words + [0] * 6) ^ 0x2BC830A3
    checksum = [(remainder >> 5 * (5 - i)) & 31 for i in range(6)]
    return "chd1" + "".join(CHARACTERS[word] for word in words + checksum)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins with 'chd1', got ''"),
        ("chd", "begins with 'chd1'"),
        ("chd1", "expected at least 10 characters, got 4"),
        ("chd1qqqqq", "expected at least 10 characters, got 9"),
        ("Chd1qqqqqqqq", "got both (character 2 is 'h')"),
        ("chd1qqqqqqqQ", "got both (character 12 is 'Q')"),
        ("chd1qqqq\u212aqqq", "character 9 is '\u212a'"),  # Kelvin: lower() would make it a k
        ("chd1qqqq qqqq", "character 9 is ' '"),
        ("chd1qqqq1qqqq", "character 9 is '1'"),
        ("chd1" + "q" * 97, "expected at most 100 characters, got 101"),
    ],
)
def test_other_texts(text: str, reason: str) -> None:
    with pytest.raises(NotBech32m) as caught:
        decode(text, "chd", 100)
    assert reason in str(caught.value)
