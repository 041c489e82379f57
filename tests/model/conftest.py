"""What the model counted is said at the end of the run."""

from collections.abc import Iterator

import pytest

COUNTED = pytest.StashKey[list[str]]()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that a test wants to be read even when it passes."""
    lines: list[str] = []
    yield lines
    request.config.stash.setdefault(COUNTED, []).extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(COUNTED, [])
    if lines:
        terminalreporter.section("the protocol's model")
        for line in lines:
            terminalreporter.write_line(line)
