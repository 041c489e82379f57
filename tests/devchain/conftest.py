"""A chain in memory whose wall clock stands still, and one behind HTTP."""

from collections.abc import AsyncIterator, Iterator

import pytest

from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.server import DevChainServer
from channeld.services.devchain.settings import DevChainSettings
from tests.devchain.cast import Client, Person, Wall, client_of, person, running


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def chain(wall: Wall) -> Iterator[DevChain]:
    made = DevChain(DevChainSettings(), wall)
    yield made
    made.close()


@pytest.fixture
def alice(chain: DevChain) -> Person:
    return person(chain, "alice")


@pytest.fixture
def bob(chain: DevChain) -> Person:
    return person(chain, "bob")


@pytest.fixture
def mallory(chain: DevChain) -> Person:
    return person(chain, "mallory", ether=0)


@pytest.fixture
async def server() -> AsyncIterator[DevChainServer]:
    async with running() as made:
        yield made


@pytest.fixture
async def client(server: DevChainServer) -> AsyncIterator[Client]:
    async with client_of(server.url) as made:
        yield made
