"""Gas is part of the contract: a change of more than half a per cent is made deliberately or not at all."""

import io
import json
from contextlib import redirect_stdout

import pytest

from bench import __main__ as bench
from bench.gas import CHANNEL_CLAIMS, CLAIM_KINDS, GAS_FILE, LIMITS, most_claims

TOLERANCE = 0.005


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    """What `python -m bench gas --json` prints: one JSON object and nothing else."""
    with redirect_stdout(io.StringIO()) as printed:
        assert bench.main(["gas", "--json"]) == 0
    figures: dict[str, int] = json.loads(printed.getvalue())
    return figures


def test_the_committed_figures_are_those_of_the_committed_bytecode(measured: dict[str, int]) -> None:
    committed = json.loads(GAS_FILE.read_text())
    assert committed.keys() == measured.keys()
    for key, gas in measured.items():
        assert gas == pytest.approx(committed[key], rel=TOLERANCE), f"{key}: python -m bench gas --write"


@pytest.mark.parametrize("key", LIMITS)
def test_every_mark_is_kept(measured: dict[str, int], key: str) -> None:
    assert measured[key] <= LIMITS[key]


@pytest.mark.parametrize("kind", CLAIM_KINDS)
def test_four_of_the_largest_settlements_fit_a_block(measured: dict[str, int], kind: str) -> None:
    assert most_claims(measured, kind) >= 4 * CHANNEL_CLAIMS
