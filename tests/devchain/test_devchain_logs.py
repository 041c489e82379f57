"""Log queries by address, topic and range over thousands of blocks, against a scan of all receipts."""

import random

import pytest

from channeld.services.devchain import logindex
from channeld.services.devchain.blocks import LogEntry
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.errors import QueryTooLarge
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.logindex import LogFilter
from tests.devchain.cast import Person, calldata

NOTED = keccak256(b"Noted(address,uint256,bytes)")


def scan(chain: DevChain, wanted: LogFilter) -> list[LogEntry]:
    """What the index must find, the slow way."""
    return [
        entry
        for block in chain.history.blocks[wanted.first : wanted.last + 1]
        for receipt in block.receipts
        for entry in receipt.logs
        if (not wanted.addresses or entry.address in wanted.addresses)
        and len(wanted.topics) <= len(entry.topics)
        and all(one is None or entry.topics[place] in one for place, one in enumerate(wanted.topics))
    ]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def busy(chain: DevChain, alice: Person, bob: Person) -> tuple[DevChain, list[bytes]]:
    """3,300 blocks, two contracts, a few hundred logs scattered over them."""
    contracts = [alice.deploy(), bob.deploy()]
    dice = random.Random(20261121)
    while chain.head.number < 3300:
        who = dice.choice((alice, bob))
        if dice.random() < 0.5:
            who.mined(dice.choice(contracts), calldata("note(uint256,bytes)", dice.randrange(4), b"x"))
        else:
            who.mined(dice.choice(contracts), calldata("note_many(uint256)", dice.randrange(1, 4)))
        chain.mine(dice.randrange(1, 30))
    return chain, contracts


def test_queries_find_what_a_scan_of_all_blocks_finds(
    busy: tuple[DevChain, list[bytes]], alice: Person, bob: Person
) -> None:
    chain, contracts = busy
    dice = random.Random(7)
    people = [who.address.rjust(32, b"\0") for who in (alice, bob)]
    found = 0
    for _ in range(150):
        first = dice.randrange(chain.head.number + 1)
        last = dice.randrange(first, chain.head.number + 1)
        addresses = frozenset(dice.sample([*contracts, bytes(20)], dice.randrange(3)))
        choices: list[list[frozenset[bytes] | None]] = [
            [None, frozenset([NOTED]), frozenset([NOTED, bytes(32)]), frozenset([bytes(32)])],
            [None, frozenset(people[:1]), frozenset(people)],
            [None, frozenset([word(0), word(3)])],
            [None],
        ]
        topics = tuple(dice.choice(choice) for choice in choices[: dice.randrange(5)])
        wanted = LogFilter(first, last, addresses, topics)
        answer = chain.logs(wanted)
        assert answer == scan(chain, wanted)
        found += len(answer)
    assert found > 1000


def test_logs_are_numbered_through_their_block(chain: DevChain, alice: Person, bob: Person) -> None:
    contract = alice.deploy()
    chain.set_automine(False)
    alice.send(contract, calldata("note_many(uint256)", 3))
    bob.send(contract, calldata("note_many(uint256)", 2))
    chain.mine()
    entries = chain.logs(LogFilter(2, 2))
    assert [entry.log_index for entry in entries] == [0, 1, 2, 3, 4]
    assert [entry.transaction_index for entry in entries] == [0, 0, 0, 1, 1]
    assert all(entry.block_hash == chain.head.hash for entry in entries)


def test_dropped_blocks_leave_the_index(busy: tuple[DevChain, list[bytes]]) -> None:
    chain, contracts = busy
    chain.drop_blocks(1500, transactions="vanish")
    for wanted in (
        LogFilter(0, 5000),
        LogFilter(0, 5000, frozenset(contracts[:1])),
        LogFilter(0, 5000, frozenset(), (frozenset([NOTED]),)),
    ):
        answer = chain.logs(wanted)
        assert answer == scan(chain, wanted)
        assert answer
        assert answer[-1].block_number <= chain.head.number


def test_an_answer_that_would_be_too_long_says_how_to_ask_again(
    chain: DevChain, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logindex, "RESULT_LIMIT", 20)
    contract = alice.deploy()
    for _ in range(4):
        alice.mined(contract, calldata("note_many(uint256)", 10))
    with pytest.raises(QueryTooLarge, match="more than 20 results; try a range ending before block 3"):
        chain.logs(LogFilter(0, 5))
    assert len(chain.logs(LogFilter(2, 3))) == 20
    with pytest.raises(QueryTooLarge, match="maximum block range: 100001 blocks, limit 100000"):
        chain.logs(LogFilter(0, 100_000))
