import pytest

from tests.contracts.town import Town


@pytest.fixture
def town() -> Town:
    return Town()
