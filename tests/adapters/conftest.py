"""The chain suite runs on both nodes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.nodes import Town, anvil, embedded, town


@pytest.fixture(params=["embedded", "anvil"])
async def node_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    node = {"embedded": embedded, "anvil": anvil}[request.param]
    async with node() as url:
        yield url


@pytest.fixture
async def place(node_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with town(node_url, tmp_path) as built:
        yield built
