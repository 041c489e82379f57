"""Alice pays her neighbour by the second, on the command line."""

import pytest

from channeld.cli.pushes import read_stream
from channeld.core.errors import Rejected
from tests.api.cast import CAROL
from tests.cli.conftest import Channeld, Daemon

STREAM = "0000000000000000000000000000002a"


def test_one_push_shows_where_it_went_and_the_total(alice: Channeld) -> None:
    said = alice("push", "bob", "0.5 ETH", "--stream", "2a")
    assert said.code == 0
    assert "sent        1 of 1" in said.out
    assert f"stream      {STREAM}" in said.out
    assert "its total   0.5 ETH" in said.out
    again = alice("push", "bob", "0.25 ETH", "--stream", STREAM, "--json").document
    assert (again["sent"], again["stream_count"], again["stream_total"]) == (1, 2, str(75 * 10**16))


@pytest.mark.parametrize("pace", [[], ["--rate", "100000"]])
def test_many_pushes_are_one_answer(alice: Channeld, pace: list[str]) -> None:
    said = alice("push", "bob", "1", "--asset", "TEST", "--count", "2500", *pace, "--json").document
    assert (said["asked"], said["sent"], said["dropped"], said["stream_count"]) == (2_500, 2_500, [], 2_500)
    listed = alice("streams").out
    assert "unnamed" in listed and "2500 TEST" in listed and "sent" in listed
    (stream,) = alice("streams", "--json").document["streams"]
    assert stream["total"] == str(2_500 * 10**6)


def test_a_push_that_was_not_made_has_cost_nothing(alice: Channeld) -> None:
    said = alice("push", "bob", "0.000013", "--asset", "TEST")
    assert (said.code, said.error) == (1, "error: expected luck")
    assert alice("push", CAROL.hex(), "1 ETH").error.startswith("error: no open channel with 03")
    assert alice("streams").out == "nothing was pushed yet\n"


def test_a_push_that_is_not_decided_is_no_failure(alice: Channeld) -> None:
    said = alice("push", "bob", "1 ETH", "--stream", "ff" * 16)
    assert said.code == 3
    assert said.err == "error: 1 of 1 are not decided yet: see `channeld streams`\n"


def test_a_stream_ends_where_nothing_can_be_made(alice: Channeld, daemon: Daemon) -> None:
    daemon.node.failing = Rejected("the peer is not connected")
    said = alice("push", "bob", "1 ETH", "--count", "5")
    assert (said.code, said.error) == (1, "error: the peer is not connected")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("0x2A", 42), ("00000000-0000-0000-0000-0000000000ff", 255), (STREAM, 42)],
)
def test_streams_are_numbers_in_hex_or_uuids(text: str, number: int) -> None:
    assert read_stream(text) == number.to_bytes(16, "big")


@pytest.mark.parametrize("text", ["", "tea", "1" * 33, "-"])
def test_what_is_no_stream(text: str) -> None:
    with pytest.raises(Rejected, match="expected a stream"):
        read_stream(text)
