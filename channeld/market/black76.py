"""Black's formula for European options on a forward, with r = 0 [Black 1976]. Floats live here only."""

import math

YEAR_S = 365 * 86_400


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _d2(forward: float, strike: float, vol: float, years: float) -> float:
    spread = vol * math.sqrt(years)
    return math.log(forward / strike) / spread - spread / 2.0


def call(forward: float, strike: float, vol: float, years: float) -> float:
    """Price of a call, in the money of `forward`; `vol` is annual (0.6 is 60 %)."""
    if years <= 0.0 or vol <= 0.0 or strike <= 0.0:
        return max(0.0, forward - strike)
    d2 = _d2(forward, strike, vol, years)
    d1 = d2 + vol * math.sqrt(years)
    return forward * normal_cdf(d1) - strike * normal_cdf(d2)


def put(forward: float, strike: float, vol: float, years: float) -> float:
    """Price of a put, by parity."""
    return call(forward, strike, vol, years) - forward + strike


def digital_call(forward: float, strike: float, vol: float, years: float) -> float:
    """Price of 1 paid if the forward ends at or above the strike."""
    if years <= 0.0 or vol <= 0.0:
        return 1.0 if forward >= strike else 0.0
    return normal_cdf(_d2(forward, strike, vol, years))
