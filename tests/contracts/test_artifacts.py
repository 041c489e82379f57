"""The committed bytecode is that of the committed sources."""

from pathlib import Path

import pytest

from contracts.artifacts import adjudicator
from contracts.compile import CONTRACTS, HERE, artifact_text

# [EIP-170]
MAX_CODE_BYTES = 24_576


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_artifact_is_what_the_sources_compile_to(name: str) -> None:
    committed = (HERE / f"{name}.json").read_text()
    assert committed == artifact_text(name), "run: python -m contracts.compile"


def test_the_adjudicator_fits_a_contract() -> None:
    assert len(adjudicator().bytecode_runtime) <= MAX_CODE_BYTES


def test_each_source_is_one_idea_of_at_most_400_lines() -> None:
    for source in Path(HERE).glob("*.vy"):
        assert len(source.read_text().splitlines()) <= 400, source.name
