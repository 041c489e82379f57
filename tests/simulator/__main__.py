"""Lives of simulated nodes: `python -m tests.simulator --lives 300 --seed 1`.

A run prints its seed, how many lives, steps, crashes, reorganisations and disputes it had, how often
everything happened, and what never did: few lives cannot show it all, `make test` demands it of 300. A life
that goes wrong prints its own number and the command that lives it again.
"""

import argparse
import itertools
import logging
import sys
import time

from tests.simulator.ledger import Ledger
from tests.simulator.life import Broken, run_life
from tests.simulator.wanted import unseen


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.simulator", description=__doc__)
    parser.add_argument("--lives", type=int, default=300, help="how many; 0: until one goes wrong (300)")
    parser.add_argument("--seed", type=int, default=1, help="the number of the first life (1)")
    parser.add_argument("--trace", action="store_true", help="print every step")
    chosen = parser.parse_args()
    if chosen.lives < 0:
        parser.error(f"expected a number of lives, got {chosen.lives}")
    logging.disable(logging.CRITICAL)  # what the daemons say is in the trace
    total, begin_s = Ledger(), time.process_time()
    print(f"seed {chosen.seed}", flush=True)
    numbers = itertools.count(chosen.seed) if chosen.lives == 0 else range(chosen.lives)
    for number in numbers:
        seed = number if chosen.lives == 0 else chosen.seed + number
        try:
            total.add(run_life(seed, loud=chosen.trace).ledger)
        except Broken as broken:
            print(broken)
            print(f"\nlive it again: make simulate LIVES=1 SEED={seed}")
            print(f"step by step:  .venv/bin/python -m tests.simulator --lives 1 --seed {seed} --trace")
            return 1
        if chosen.lives == 0 and total.lives % 100 == 0:
            print(_summary(total, begin_s), flush=True)
    print(total.told())
    print(unseen(total))
    print(_summary(total, begin_s))
    return 0


def _summary(total: Ledger, begin_s: float) -> str:
    chain = total.of("chain")
    return (
        f"{total.lives} lives, {total.steps:,} steps, {total.of('fault')['crash']:,} crashes, "
        f"{chain['reorganisation']:,} reorganisations, {chain['mined challenge']:,} disputes, "
        f"{time.process_time() - begin_s:.0f} s of CPU"
    )


if __name__ == "__main__":
    sys.exit(main())
