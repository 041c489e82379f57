"""How long the worst case of a state takes: `python -m bench solvency [--quick]`.

Four questions: the sweep over a group that stands in the exposure already (`sweep`), everything anew
from the claims (`anew`: grouping and netting included), the same with claims that were never counted
before (`first`: what follows from their terms is noted then), and one claim more or less (`one_more`). Each
figure is the best of several runs, in microseconds. The figures to beat do not say which of these they are;
`sweep` is the like of a solver that is handed its legs netted, `anew` counts everything.
"""

import platform
import random
from collections.abc import Callable
from dataclasses import replace
from time import process_time

from channeld.core.claims import PRICE_SCALE, Claim, OptionTerms, PayoffKind
from channeld.core.solvency import NO_EXPOSURE, _linear_extremes, worst_case

FEED = bytes(31) + b"\x18"
EXPIRY_S = 1_800_000_000
LISTED = [(1_000 + 50 * n) * PRICE_SCALE for n in range(64)]
"""As on an exchange: many positions over few strikes."""

TO_BEAT_US = {"16 legs": 5.4, "1024 legs": 430.0}


def legs(count: int, strikes: list[int], rng: random.Random) -> list[Claim]:
    """Calls and puts of both sides, up to 1 ETH each; calls capped at one price, puts without a floor."""
    cap = 2 * max(strikes)
    claims = []
    for serial in range(count):
        strike = strikes[serial % len(strikes)]
        kind, bound = rng.choice([(PayoffKind.CALL, cap), (PayoffKind.PUT, 0)])
        terms = OptionTerms(kind, FEED, EXPIRY_S, strike, bound)
        claims.append(Claim(2 * serial + rng.randrange(2), rng.randrange(1, 10**18), terms=terms))
    rng.shuffle(claims)
    return claims


def best_us(work: Callable[[], object], times: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = process_time()
        for _ in range(times):
            work()
        best = min(best, (process_time() - start) / times)
    return round(best * 1e6, 2)


def unseen(claim: Claim) -> Claim:
    """The same claim as it comes from a peer."""
    return replace(claim, terms=None if claim.terms is None else replace(claim.terms))


def measure(claims: list[Claim], times: int, rounds: int) -> dict[str, float]:
    exposure = NO_EXPOSURE.after(added=claims)
    one = claims[:1]
    figures = {
        "first_us": best_us(lambda: worst_case([unseen(claim) for claim in claims]), times, rounds)
        - best_us(lambda: [unseen(claim) for claim in claims], times, rounds),
        "anew_us": best_us(lambda: worst_case(claims), times, rounds),
        "one_more_us": best_us(lambda: exposure.after(removed=one), times, rounds),
    }
    if exposure.groups:
        (group,) = exposure.groups.values()
        figures["sweep_us"] = best_us(lambda: _linear_extremes(group.sure, 0), times, rounds)
        figures["kinks"] = len(group.sure) - 1
    return figures


def run(options: list[str]) -> dict[str, object]:
    """Print and return the figures. `--quick` takes fewer rounds (for tests)."""
    rng = random.Random(1)
    rounds = 1 if "--quick" in options else 7
    distinct = [rng.randrange(10**11, 10**12) for _ in range(1_024)]
    payments = [Claim(2 * n, 10**15 + n, bytes(32), EXPIRY_S) for n in range(480)]
    cases = {
        "16 legs": (legs(16, LISTED[::4], rng), 2_000),
        "1024 legs": (legs(1_024, LISTED, rng), 50),
        "1024 legs, all strikes distinct": (legs(1_024, distinct, rng), 20),
        "50 payments": (payments[:50], 1_000),
        "480 payments": (payments, 200),
    }
    print(f"solvency: Python {platform.python_version()}, {platform.machine()}, one core, best of {rounds}")
    print(f"{'':34}{'sweep µs':>10}{'first µs':>10}{'anew µs':>10}{'one more µs':>13}{'to beat µs':>12}")
    result: dict[str, object] = {"python": platform.python_version(), "rounds": rounds}
    for name, (claims, times) in cases.items():
        figures = measure(claims, times, rounds)
        result[name] = figures | ({"to_beat_us": TO_BEAT_US[name]} if name in TO_BEAT_US else {})
        sweep, to_beat = figures.get("sweep_us", ""), TO_BEAT_US.get(name, "")
        cells = f"{sweep:>10}{figures['first_us']:>10.2f}{figures['anew_us']:>10}"
        print(f"{name:34}{cells}{figures['one_more_us']:>13}{to_beat:>12}")
    return result
