"""Bech32m [BIP-350]: bytes as text that people can copy, with a checksum that finds their mistakes.

Any one changed character is found in a text of any length, any three in one of up to 1,023 characters
(the length of the code [BIP-173]). The limit of 90 characters of [BIP-173] is an address's, not ours.
A mistake is pointed at, never corrected: money would go wherever the correction guessed.
"""

from base64 import b32encode
from functools import lru_cache

from channeld.core.errors import Rejected

_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_UNUSED = 0xFF
# Whole texts go through these tables at once: an invoice is read for every payment.
_VALUES = bytes(_CHARACTERS.find(chr(code)) & 0xFF for code in range(256))
_LETTERS = bytes.maketrans(bytes(range(32)), _CHARACTERS.encode("ascii"))
_DIGITS = bytes.maketrans(bytes(range(32)), b"0123456789abcdefghijklmnopqrstuv")
_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bytes(range(32)))
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT = 0x2BC830A3
_CONSTANT_OF_BECH32 = 1
_CHECKSUM_WORDS = 6
_MASK_STEP_WORDS = 256
"""Masks are made for a multiple of so many words, when the first text of such a length comes."""


def _combined(bits: int) -> int:
    value = 0
    for bit, generator in enumerate(_GENERATOR):
        if bits >> bit & 1:
            value ^= generator
    return value


_FEEDBACK = [_combined(bits) for bits in range(32)]
# The generator's constant term is invertible, so the low word of the feedback tells which it was.
_FEEDBACK_WITH_LOW_WORD = {feedback & 31: bits for bits, feedback in enumerate(_FEEDBACK)}


class NotBech32m(Rejected):
    """A text that is mistyped, cut, or something else. The message is for the person who typed it."""


def encode(prefix: str, data: bytes) -> str:
    """`prefix` (lower case), "1", `data` in groups of 5 bits and 6 characters of checksum."""
    words = _to_words(data)
    remainder = _polymod(_expanded(prefix) + words + bytes(_CHECKSUM_WORDS)) ^ _CONSTANT
    words += bytes(remainder >> 5 * (_CHECKSUM_WORDS - 1 - place) & 31 for place in range(_CHECKSUM_WORDS))
    return prefix + "1" + words.translate(_LETTERS).decode("ascii")


def decode(text: str, prefix: str, max_chars: int) -> bytes:
    """The bytes in `text`, which must begin with `prefix` and "1". Raises NotBech32m."""
    if len(text) > max_chars:
        raise NotBech32m(f"expected at most {max_chars} characters, got {len(text)}")
    lower = _in_one_case(text)
    start = len(prefix) + 1
    if not lower.startswith(prefix + "1"):
        raise NotBech32m(f"expected a text that begins with {prefix + '1'!r}, got {text[:20]!r}")
    words = lower[start:].encode("ascii").translate(_VALUES)
    unused = words.find(_UNUSED)
    if unused >= 0:
        place = start + unused
        raise NotBech32m(f"character {place + 1} is {text[place]!r}, which is never used here: mistyped?")
    if len(words) < _CHECKSUM_WORDS:
        raise NotBech32m(f"expected at least {start + _CHECKSUM_WORDS} characters, got {len(text)}: cut off?")
    _require_checksum(prefix, words, start)
    return _from_words(words[:-_CHECKSUM_WORDS])


def _in_one_case(text: str) -> str:
    """The text in lower case, if it is ASCII and all in one case (capitals make a smaller QR code)."""
    if not (text.isascii() and text.isprintable()) or " " in text:
        for place, character in enumerate(text, start=1):
            if not "!" <= character <= "~":
                raise NotBech32m(f"character {place} is {character!r}, expected letters and digits only")
    lower = text.lower()
    if text not in (lower, text.upper()):
        first = next(filter(str.isalpha, text))
        other = str.islower if first.isupper() else str.isupper
        place = 1 + next(place for place, character in enumerate(text) if other(character))
        raise NotBech32m(
            f"expected all small letters or all capitals, got both (character {place} is {text[place - 1]!r})"
        )
    return lower


def _require_checksum(prefix: str, words: bytes, start: int) -> None:
    remainder = _polymod(_expanded(prefix) + words)
    if remainder == _CONSTANT:
        return
    if remainder == _CONSTANT_OF_BECH32:
        raise NotBech32m(
            "expected a bech32m checksum, got one of the older bech32: is it of another network?"
        )
    place = _single_error(remainder ^ _CONSTANT, len(words))
    if place is not None:
        raise NotBech32m(f"the checksum is wrong: character {start + place + 1} is probably mistyped")
    raise NotBech32m(
        f"the checksum is wrong: some of the {start + len(words)} characters are missing, added or mistyped"
    )


def _single_error(syndrome: int, length: int) -> int | None:
    """The index of the one word whose change explains a checksum's difference, or None.

    An error e in the word k places before the end leaves e * x**k; dividing by x until less than a word
    is left finds k.
    """
    for distance in range(length):
        if syndrome < 32:
            return length - 1 - distance
        feedback = _FEEDBACK_WITH_LOW_WORD[syndrome & 31]
        syndrome = (syndrome ^ _FEEDBACK[feedback]) >> 5 | feedback << 25
    return None


@lru_cache(maxsize=16)
def _expanded(prefix: str) -> bytes:
    codes = prefix.encode("ascii")
    return bytes([*[code >> 5 for code in codes], 0, *[code & 31 for code in codes]])


def _polymod(words: bytes) -> int:
    """The remainder of 1 and all words. It is linear: each of its bits is the parity of some of theirs."""
    number = _number(b"\x01" + words)
    remainder = 0
    for mask in _masks(-(-(len(words) + 1) // _MASK_STEP_WORDS)):
        remainder = remainder << 1 | (number & mask).bit_count() & 1
    return remainder


@lru_cache(maxsize=16)
def _masks(steps: int) -> tuple[int, ...]:
    """For each bit of a remainder, highest first: of which bits of the words it is the parity.

    For up to 256 * `steps` words; the lowest bit of a mask is that of the last word.
    """
    remainders = []  # of each single bit, from the last word backwards
    powers = [1 << bit for bit in range(5)]
    for _ in range(steps * _MASK_STEP_WORDS):
        remainders += powers
        powers = [(power & 0x1FFFFFF) << 5 ^ _FEEDBACK[power >> 25] for power in powers]
    columns = zip(*[f"{remainder:030b}" for remainder in reversed(remainders)], strict=True)
    return tuple([int("".join(column), 2) for column in columns])


def _number(words: bytes) -> int:
    return int(words.translate(_DIGITS) or b"0", 32)


def _to_words(data: bytes) -> bytes:
    """Groups of 5 bits, the last one filled up with zeros ([RFC 4648] without its padding)."""
    return b32encode(data).rstrip(b"=").translate(_RFC_4648)


def _from_words(words: bytes) -> bytes:
    """Whole bytes; what is left over must be the zeros that filled the last group."""
    length, left = divmod(5 * len(words), 8)
    value = _number(words)
    if left >= 5 or value & ((1 << left) - 1):
        raise NotBech32m("expected whole bytes, got some bits more: made by another program?")
    return (value >> left).to_bytes(length, "big")
