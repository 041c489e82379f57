"""Alice's daemon, scripted, behind the real server; and the real client in front of it."""

from collections.abc import AsyncIterator

import pytest

from channeld.api.client import ApiClient
from channeld.api.server import ApiServer, serve_api
from tests.api.scripted import ScriptedNode

TOKEN = "5e" * 32
MAX_BODY_BYTES = 65_536


@pytest.fixture
def node() -> ScriptedNode:
    return ScriptedNode()


@pytest.fixture
async def server(node: ScriptedNode) -> AsyncIterator[ApiServer]:
    running = await serve_api(node, "127.0.0.1", 0, TOKEN, MAX_BODY_BYTES)
    yield running
    await running.close()


@pytest.fixture
def client(server: ApiServer) -> ApiClient:
    return ApiClient(server.url, TOKEN)
