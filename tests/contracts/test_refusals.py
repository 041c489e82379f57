"""Every way in which the contract refuses is shown by some story."""

import re
from pathlib import Path

from contracts.compile import HERE

STORIES = Path(__file__).parent


def test_each_refusal_has_its_story() -> None:
    sources = "".join(path.read_text() for path in HERE.glob("*.vy") if path.name != "test_token.vy")
    reasons = set(re.findall(r'"((?:[a-z_]+: |not signed by )[^"]+)"', sources))
    assert len(reasons) > 25
    told = "".join(path.read_text() for path in STORIES.glob("test_*.py"))
    assert {reason for reason in reasons if f'"{reason}"' not in told} == set()
