"""Amounts as people write them, exactly: '0.5 ETH', never through a float."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from channeld.api.commands import AssetInfo
from channeld.core.errors import Rejected

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z][A-Za-z0-9._$-]*)?")
_EXPONENT = re.compile(r"[0-9.]+[eE][0-9]+")
"""A number as programs write it, not an amount of an asset called e18."""
MAX_DIGITS = 60
"""2^95 smallest units of 36 decimals have fewer."""

MAX_DECIMALS = 36
"""No asset has more."""

CONTRACT_DECIMALS = 8
"""Sizes of options count 10^-8 of a contract."""


@dataclass(frozen=True, slots=True)
class WrittenAmount:
    """A number and, where it was written, a symbol."""

    number: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.number} {self.symbol}".rstrip()


def read_written(text: str) -> WrittenAmount:
    """'0.5 ETH', '0.5ETH' or '0.5'. Raises Rejected."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or len(match[1]) > MAX_DIGITS or _EXPONENT.fullmatch(match[0]):
        raise Rejected(f"expected an amount such as '0.5 ETH', got {text[:MAX_DIGITS]!r}")
    fraction = match[1].partition(".")[2]
    if len(fraction) > MAX_DECIMALS:
        raise Rejected(f"expected at most {MAX_DECIMALS} decimals, got {len(fraction)} in {match[1]}")
    return WrittenAmount(match[1], match[2] or "")


def read_positive(text: str) -> WrittenAmount:
    """As `read_written`, above 0."""
    written = read_written(text)
    if not written.number.strip("0."):
        raise Rejected(f"expected an amount above 0, got {text!r}")
    return written


def to_units(number: str, decimals: int, what: str) -> int:
    """A decimal number as a whole number of 10^-decimals. Raises Rejected for more digits than that."""
    whole, _, fraction = number.partition(".")
    if len(fraction) > decimals:
        raise Rejected(f"expected at most {decimals} decimals for {what}, got {len(fraction)} in {number}")
    return int(whole + fraction.ljust(decimals, "0"))


def read_size(text: str) -> int:
    """Contracts, as '1.5', in units of 10^-8."""
    written = read_written(text)
    if written.symbol:
        raise Rejected(f"expected a number of contracts such as 1.5, got {text!r}")
    size_e8 = to_units(written.number, CONTRACT_DECIMALS, "a number of contracts")
    if not size_e8:
        raise Rejected(f"expected a number of contracts above 0, got {text!r}")
    return size_e8


def choose_asset(assets: Sequence[AssetInfo], *named: str) -> AssetInfo:
    """The asset that all of `named` (symbols or addresses; empty: not said) mean.

    Without any, the only asset there is. Raises Rejected.
    """
    said = [name for name in named if name]
    symbols = ", ".join(asset.symbol for asset in assets)
    if not said:
        if len(assets) == 1:
            return assets[0]
        raise Rejected(f"expected an asset, one of {symbols}: write it behind the amount or with --asset")
    chosen = [[asset for asset in assets if _is_named(asset, name)] for name in said]
    for name, found in zip(said, chosen, strict=True):
        if not found:
            raise Rejected(f"expected one of the configured assets ({symbols}), got {name!r}")
        if len(found) > 1:
            raise Rejected(f"expected the address of one asset: {len(found)} are called {name}")
    if any(found != chosen[0] for found in chosen):
        raise Rejected(f"expected one asset, got {' and '.join(said)}")
    return chosen[0][0]


def _is_named(asset: AssetInfo, name: str) -> bool:
    return name.upper() == asset.symbol.upper() or name.lower() == f"0x{asset.address.hex()}"


def require_symbol(written: WrittenAmount, symbol: str) -> None:
    """A symbol that was written must be the asset's. Raises Rejected."""
    if written.symbol.upper() not in ("", symbol.upper()):
        raise Rejected(f"expected an amount of {symbol}, got '{written}'")


def read_amount(text: str, symbol: str, decimals: int) -> int:
    """An amount of a known asset. Raises Rejected."""
    written = read_written(text)
    require_symbol(written, symbol)
    return to_units(written.number, decimals, symbol)
