"""What tests of several areas share; what they have counted is said at the end of the run."""

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer, serving

COUNTED = "counted"


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


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that a test wants to be read even when it passes."""
    lines: list[str] = []
    yield lines
    request.node.user_properties.extend((COUNTED, line) for line in lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tests may have run in other processes: what comes from there are their reports."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    ends = [report for report in reports if getattr(report, "when", "") == "teardown"]
    lines = [line for report in ends for name, line in report.user_properties if name == COUNTED]
    if lines:
        terminalreporter.section(COUNTED)
    for line in lines:
        terminalreporter.write_line(line)
