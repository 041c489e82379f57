"""Lives of simulated nodes: nobody is robbed, nothing is stuck, and one number replays a life exactly."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.simulator.ledger import Ledger
from tests.simulator.life import run_life
from tests.simulator.wanted import WANTED, unseen

ROOT = Path(__file__).parents[2]
LIVES = 300
A_PART = 25
REPLAYED = 7


@cache
def lived(part: int) -> Ledger:
    """The lives of one part, once for all tests."""
    total = Ledger()
    for seed in range(1 + part * A_PART, 1 + (part + 1) * A_PART):
        total.add(run_life(seed).ledger)
    return total


@pytest.mark.parametrize("part", range(LIVES // A_PART))
def test_no_life_goes_wrong(part: int):
    assert lived(part).of("end")["all is resolved"] == A_PART


def test_everything_that_can_happen_has_happened(counted: list[str]):
    total = Ledger()
    for part in range(LIVES // A_PART):
        total.add(lived(part))
    chain = total.of("chain")
    counted.append(
        f"simulator: {total.lives} lives, {total.steps:,} steps, {total.of('fault')['crash']:,} crashes, "
        f"{chain['reorganisation']:,} reorganisations, {chain['mined challenge']:,} disputes"
    )
    assert total.missing(WANTED) == []
    assert unseen(total).startswith("everything")


def test_a_few_lives_say_what_never_occurred_in_them():
    few = Ledger(lives=1)
    for name in WANTED["fault"]:
        few.count("fault", name)
    told = unseen(few)
    number = sum(len(names) for names in WANTED.values())
    assert told.startswith(f"{number - len(WANTED['fault'])} of {number} kinds of things never occurred")
    assert "chain mined challenge" in told and "fault crash" not in told


def test_a_life_is_the_same_whenever_it_is_lived():
    assert run_life(REPLAYED).trace.digest == run_life(REPLAYED).trace.digest


def test_a_life_is_the_same_in_another_process():
    code = f"from tests.simulator.life import run_life; print(run_life({REPLAYED}).trace.digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[-1] == run_life(REPLAYED).trace.digest
