"""What premium to ask for an option: Black-76 at a flat volatility, plus a spread, rounded up."""

import math
from dataclasses import dataclass

from channeld.core.claims import PRICE_SCALE, Claim, OptionTerms, PayoffKind
from channeld.core.payoff import most
from channeld.core.records import OptionLeg
from channeld.market import black76


@dataclass(frozen=True, slots=True)
class QuoterSettings:
    """`vol` is annual (0.6 is 60 %); `spread` is a share of the premium."""

    vol: float
    spread: float


def fair_value(terms: OptionTerms, forward: float, vol: float, years: float) -> float:
    """The worth of an option of size 1, in the units of its payoff (see PayoffKind)."""
    strike, bound = terms.strike / PRICE_SCALE, terms.bound / PRICE_SCALE
    match terms.kind:
        case PayoffKind.CALL:
            far = black76.call(forward, bound, vol, years)
            return black76.call(forward, strike, vol, years) - far
        case PayoffKind.PUT:
            far = black76.put(forward, bound, vol, years) if bound else 0.0
            return black76.put(forward, strike, vol, years) - far
        case PayoffKind.DIGITAL_CALL:
            return black76.digital_call(forward, strike, vol, years)
        case PayoffKind.DIGITAL_PUT:
            return 1.0 - black76.digital_call(forward, strike, vol, years)
        case PayoffKind.COIN_CALL:
            return black76.call(forward, strike, vol, years) / forward
        case PayoffKind.COIN_PUT:
            return black76.put(forward, strike, vol, years) / forward
        case PayoffKind.FIXED:
            return 1.0


def premium(leg: OptionLeg, price: int, now_s: int, settings: QuoterSettings) -> int:
    """What to ask for writing `leg` while the underlying stands at `price` (8 decimals).

    In the asset's smallest unit, rounded up, at least 1 and at most what the option can ever pay.
    """
    years = max(0, leg.terms.expiry_s - now_s) / black76.YEAR_S
    worth = fair_value(leg.terms, price / PRICE_SCALE, settings.vol, years) * leg.size
    asked = math.ceil(worth * (1.0 + settings.spread))
    return max(1, min(asked, most(Claim(0, leg.size, None, 0, leg.terms))))
