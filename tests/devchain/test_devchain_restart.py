"""A chain with a state file comes back as it was: after a farewell, after a kill, after a torn write."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from channeld.core.errors import OperationalError
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.errors import StateFileRefused
from channeld.services.devchain.logindex import LogFilter
from channeld.services.devchain.settings import DevChainSettings
from tests.devchain.cast import START_S, Person, Wall, calldata, numbers, person


@pytest.fixture
def settings(tmp_path: Path) -> DevChainSettings:
    return DevChainSettings(state_path=tmp_path / "deep" / "chain.state")


@contextmanager
def opened(settings: DevChainSettings, wall: Wall) -> Iterator[DevChain]:
    chain = DevChain(settings, wall)
    try:
        yield chain
    finally:
        chain.close()


def facts(chain: DevChain) -> tuple[object, ...]:
    return (
        {key: value for key, value in chain.history.ledger.cells.items() if value is not None},
        list(chain.history.blocks),
        chain.logs(LogFilter(0, chain.head.number)),
        [waiting.hash for waiting in chain.pool],
        chain.clock.offset_s,
        chain.clock.forced_timestamp_s,
        chain.history.depth,
        chain.history.sealed,
    )


def eventful_life(chain: DevChain) -> Person:
    """Contracts, transfers, logs, a reorganisation, a snapshot, changed clocks and waiting transactions."""
    alice, bob = person(chain, "alice"), person(chain, "bob")
    contract = alice.deploy()
    alice.mined(contract, calldata("note_many(uint256)", 5))
    alice.mined(contract, calldata("multiply()"))
    chain.advance_time_s(1000)
    bob.mined(alice.address, value_wei=5)
    snapshot = chain.snapshot()
    chain.mine(20)
    chain.revert(snapshot)
    bob.mined(contract, calldata("note(uint256,bytes)", 3, b"lost"))
    chain.drop_blocks(2, transactions="return")
    chain.mine()
    chain.set_balance_wei(b"\5" * 20, 99)
    bob.send(alice.address, nonce=10)
    alice.send(bob.address, nonce=9)
    alice.send(bob.address, nonce=9, max_fee_per_gas_wei=2 * 10**10, max_priority_fee_per_gas_wei=2 * 10**9)
    chain.drop_transaction(bob.send(alice.address, nonce=11))
    chain.set_next_timestamp_s(chain.head.timestamp_s + 12345)
    return alice


def test_everything_is_there_after_a_restart(settings: DevChainSettings, wall: Wall) -> None:
    with opened(settings, wall) as chain:
        alice = eventful_life(chain)
        before = facts(chain)
        contract = chain.logs(LogFilter(0, 5))[0].address
    for _ in range(2):
        with opened(settings, wall) as chain:
            assert facts(chain) == before
            alice.chain = chain
            assert numbers(alice.call(contract, "number()")) == 3
            # What was known of the past is known again.
            old = chain.ledger_at(2)
            assert old.get_nonce(alice.address) == 2


def test_what_waits_and_the_time_that_passed_are_kept_by_themselves(
    settings: DevChainSettings, wall: Wall
) -> None:
    with opened(settings, wall) as chain:
        alice = person(chain, "alice")
        waiting = [alice.send(alice.address, nonce=nonce) for nonce in (1, 2)]
        chain.advance_clock_s(500)
    with opened(settings, wall) as chain:
        assert [one.hash for one in chain.pool] == waiting
        assert chain.context("pending").timestamp_s == START_S + 500
        alice.chain = chain
        alice.mined(alice.address, nonce=0)
        assert len(chain.head.receipts) == 3
    with opened(settings, wall) as chain:
        assert len(chain.pool) == 0


def test_a_restarted_chain_goes_on(settings: DevChainSettings, wall: Wall) -> None:
    with opened(settings, wall) as chain:
        alice = person(chain, "alice")
        contract = alice.deploy()
        alice.mined(contract, calldata("note(uint256,bytes)", 3, b""))
    with opened(settings, wall) as chain:
        alice.chain = chain
        alice.mined(contract, calldata("note(uint256,bytes)", 4, b""))
        (dropped,) = chain.drop_blocks(1, transactions="vanish")
        assert numbers(alice.call(contract, "number()")) == 3
        (again,) = chain.mine()
        assert again.hash != dropped.hash


def test_a_killed_chain_has_lost_nothing(settings: DevChainSettings, wall: Wall, tmp_path: Path) -> None:
    assert settings.state_path is not None
    with opened(settings, wall) as chain:
        eventful_life(chain)
        before = facts(chain)
        # The file as another process would find it if this one ended here and now.
        left_behind = tmp_path / "left_behind"
        left_behind.write_bytes(settings.state_path.read_bytes())
    with opened(replace(settings, state_path=left_behind), wall) as chain:
        assert facts(chain) == before


def test_a_torn_record_is_cut_off_wherever_it_tore(
    settings: DevChainSettings, wall: Wall, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.state_path is not None
    with opened(settings, wall) as chain:
        chain.mine(3)
        whole = settings.state_path.stat().st_size
        before = facts(chain)
        chain.mine()
    content = settings.state_path.read_bytes()
    torn = tmp_path / "torn"
    for length in range(whole, len(content), 97):
        torn.write_bytes(content[:length])
        with opened(replace(settings, state_path=torn), wall) as chain:
            assert facts(chain) == before
            chain.mine()
        with opened(replace(settings, state_path=torn), wall) as chain:
            assert chain.head.number == 4
    assert "torn record" in caplog.text


def test_a_flipped_bit_ends_the_log_before_it(settings: DevChainSettings, wall: Wall) -> None:
    assert settings.state_path is not None
    with opened(settings, wall) as chain:
        chain.mine(2)
        kept = settings.state_path.stat().st_size
        chain.mine(2)
    content = bytearray(settings.state_path.read_bytes())
    content[kept + 100] ^= 1
    settings.state_path.write_bytes(content)
    with opened(settings, wall) as chain:
        assert chain.head.number == 2


def test_a_file_of_something_else_is_refused_and_left_alone(
    settings: DevChainSettings, wall: Wall, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear bob, this is not a chain")
    with pytest.raises(StateFileRefused, match="is not a state file"):
        DevChain(replace(settings, state_path=letter), wall)
    assert letter.read_text() == "dear bob, this is not a chain"


def test_the_state_of_another_chain_is_refused(settings: DevChainSettings, wall: Wall) -> None:
    with opened(settings, wall) as chain:
        chain.mine()
    with pytest.raises(StateFileRefused, match="is of chain 1337931, this is to be chain 5"):
        DevChain(replace(settings, chain_id=5), wall)


def test_two_chains_do_not_share_a_file(settings: DevChainSettings, wall: Wall) -> None:
    with opened(settings, wall), pytest.raises(StateFileRefused, match="in use by another"):
        DevChain(settings, wall)
    with opened(settings, wall) as chain:
        assert chain.head.number == 0


def test_a_directory_that_cannot_be_written_is_named(settings: DevChainSettings, wall: Wall) -> None:
    with pytest.raises(StateFileRefused, match="cannot open the state file /proc/nowhere"):
        DevChain(replace(settings, state_path=Path("/proc/nowhere/chain.state")), wall)


def test_a_full_disk_stops_the_chain_with_words(settings: DevChainSettings, wall: Wall) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with opened(settings, wall) as chain:
        chain.mine()
    assert settings.state_path is not None
    with opened(settings, wall) as chain:
        state_log = chain._archive._log
        assert state_log is not None
        with open("/dev/full", "r+b", buffering=0) as full:
            real, state_log._file = state_log._file, full
            with pytest.raises(OperationalError, match="cannot write the state file"):
                chain.mine()
            with pytest.raises(OperationalError, match="restart the chain"):
                chain.mine()
            state_log._file = real
    with opened(settings, wall) as chain:
        assert chain.head.number == 1
