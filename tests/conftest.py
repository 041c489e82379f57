"""What tests of several areas share."""

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer, serving


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that want one; each makes its own database in it."""
    try:
        server = serving()
        running = server.__enter__()
    except LookupError as missing:
        pytest.skip(str(missing))
    try:
        yield running
    finally:
        server.__exit__(None, None, None)
