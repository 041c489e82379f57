"""Names of options, after Deribit's convention: ETH-27DEC26-4000-C.

The date means 08:00 UTC; an exact time may follow it (27DEC26T143000). Strikes and bounds are prices
with up to 8 decimals. After a colon stands the bound: a call's cap (default: twice the strike), a
put's floor (default: 0), a coin-settled put's floor (default: a tenth of the strike). DC and DP are
digital.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from channeld.core.claims import MAX_AMOUNT, MAX_PRICE, PRICE_SCALE, OptionTerms, PayoffKind
from channeld.core.errors import Rejected

SIZE_SCALE = 10**8
"""Sizes count contracts in units of 10^-8; one contract is one coin of the underlying."""

DEFAULT_EXPIRY_HOUR = 8

_NAME = re.compile(
    r"(?P<base>[A-Z0-9]{1,10})-(?P<date>\d{1,2}[A-Z]{3}\d{2})(?:T(?P<time>\d{6}))?"
    r"-(?P<strike>\d+(?:\.\d{1,8})?)-(?P<kind>C|P|DC|DP)(?::(?P<bound>\d+(?:\.\d{1,8})?))?"
)

_LINEAR = {
    "C": PayoffKind.CALL,
    "P": PayoffKind.PUT,
    "DC": PayoffKind.DIGITAL_CALL,
    "DP": PayoffKind.DIGITAL_PUT,
}
_COIN = {**_LINEAR, "C": PayoffKind.COIN_CALL, "P": PayoffKind.COIN_PUT}
_LETTERS = {kind: letters for table in (_LINEAR, _COIN) for letters, kind in table.items()}


@dataclass(frozen=True, slots=True)
class Instrument:
    """A name taken apart. `strike` and `bound` are prices with 8 decimals; `bound` None: the default."""

    base: str
    expiry_s: int
    strike: int
    letters: str
    bound: int | None

    def terms(self, feed: bytes, *, coin: bool) -> OptionTerms:
        """The terms on chain; `coin`: settled in the underlying itself rather than in money."""
        kind = (_COIN if coin else _LINEAR)[self.letters]
        bound = _default_bound(kind, self.strike) if self.bound is None else self.bound
        return OptionTerms(kind, feed, self.expiry_s, self.strike, bound)


def _default_bound(kind: PayoffKind, strike: int) -> int:
    match kind:
        case PayoffKind.CALL:
            return 2 * strike
        case PayoffKind.COIN_PUT:
            return max(1, strike // 10)
        case _:
            return 0


def parse_instrument(name: str) -> Instrument:
    """Raises Rejected, with the form that was expected."""
    match = _NAME.fullmatch(name.strip().upper())
    if match is None:
        raise Rejected(
            f"expected an option's name such as ETH-27DEC26-4000-P or ETH-27DEC26-4000-C:5000, got {name!r}"
        )
    clock = match["time"] or f"{DEFAULT_EXPIRY_HOUR:02d}0000"
    try:
        expiry = datetime.strptime(match["date"] + clock, "%d%b%y%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Rejected(f"expected a date such as 27DEC26 in {name!r}, got {match['date']}") from None
    strike = _price(match["strike"], name)
    bound = None if match["bound"] is None else _price(match["bound"], name)
    if strike == 0:
        raise Rejected(f"expected a strike above 0 in {name!r}")
    return Instrument(match["base"], int(expiry.timestamp()), strike, match["kind"], bound)


def _price(text: str, name: str) -> int:
    try:
        price = int(Decimal(text) * PRICE_SCALE)
    except InvalidOperation:
        raise Rejected(f"expected a price in {name!r}, got {text!r}") from None
    if price > MAX_PRICE:
        raise Rejected(f"expected a price up to {MAX_PRICE // PRICE_SCALE} in {name!r}")
    return price


def instrument_name(base: str, terms: OptionTerms) -> str:
    """The name of an option; its bound is written only where it is not the default."""
    expiry = datetime.fromtimestamp(terms.expiry_s, UTC)
    date = f"{expiry.day}{expiry.strftime('%b%y').upper()}"
    if (expiry.hour, expiry.minute, expiry.second) != (DEFAULT_EXPIRY_HOUR, 0, 0):
        date += expiry.strftime("T%H%M%S")
    name = f"{base}-{date}-{_decimal(terms.strike)}-{_LETTERS[terms.kind]}"
    if terms.bound != _default_bound(terms.kind, terms.strike):
        name += f":{_decimal(terms.bound)}"
    return name


def _decimal(price: int) -> str:
    return f"{(Decimal(price) / PRICE_SCALE).normalize():f}"


def claim_size(size_e8: int, decimals: int) -> int:
    """The claim's size for a number of contracts (in 10^-8), in an asset with `decimals`.

    One contract pays one unit of the asset for a price difference of 1 (linear), one unit in full
    (digital), or one coin (coin-settled). Raises Rejected if it is no whole number of smallest units.
    """
    scale: int = 10**decimals
    size, rest = divmod(size_e8 * scale, SIZE_SCALE)
    if rest or not 0 < size <= MAX_AMOUNT:
        raise Rejected(f"expected a size above 0 with at most {decimals} decimals, got {size_e8} x 10^-8")
    return size


def contracts_e8(size: int, decimals: int) -> int:
    """The number of contracts (in 10^-8) of a claim's size."""
    scale: int = 10**decimals
    return size * SIZE_SCALE // scale
