"""What docs/model.md says was checked is what is checked."""

from pathlib import Path

from tests.docs.documents import rows
from tests.model.runs import LARGE, LOSING, SAFE, STANDING_STILL

TEXT = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")


def test_every_configuration_is_there_with_its_states():
    told = {row[0]: row[1] for row in rows(TEXT) if len(row) == 3}
    assert told == {run.name: f"{run.states:,}" for run in SAFE + LARGE}


def test_every_variant_is_there():
    told = {row[0] for row in rows(TEXT) if len(row) == 2}
    assert told == {variant.name for variant in LOSING + STANDING_STILL}
