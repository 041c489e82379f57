"""Going back: reorganisations and snapshots."""

import pytest

from channeld.core.errors import Rejected
from channeld.services.devchain import history, snapshots
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.errors import CallFailed
from channeld.services.devchain.logindex import LogFilter
from tests.devchain.cast import START_S, Person, calldata, numbers


def facts(chain: DevChain) -> tuple[object, ...]:
    """Everything that a client could tell two histories apart by."""
    cells = {key: value for key, value in chain.history.ledger.cells.items() if value is not None}
    logs = chain.logs(LogFilter(0, chain.head.number))
    return cells, [block.hash for block in chain.history.blocks], logs


def test_dropped_transactions_wait_again_and_are_mined_into_another_block(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    contract = alice.deploy()
    noted = alice.send(contract, calldata("note(uint256,bytes)", 7, b"here"))
    paid = bob.send(alice.address, value_wei=1)
    old = [chain.receipt(one) for one in (noted, paid)]
    dropped = chain.drop_blocks(2, transactions="return")
    assert [block.number for block in dropped] == [2, 3]
    assert chain.head.number == 1
    assert chain.receipt(noted) is None
    assert chain.logs(LogFilter(0, 1)) == []
    assert numbers(alice.call(contract, "number()")) == 0
    assert {waiting.hash for waiting in chain.pool} == {noted, paid}
    (block,) = chain.mine()
    again = [chain.receipt(one) for one in (noted, paid)]
    assert block.hash not in {one.hash for one in dropped}
    assert [one.status for one in again if one] == [1, 1]
    assert all(was and now and was.block_hash != now.block_hash for was, now in zip(old, again, strict=True))
    assert numbers(alice.call(contract, "number()")) == 7


def test_dropped_transactions_may_vanish(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    before = facts(chain)
    alice.mined(contract, calldata("note(uint256,bytes)", 7, b"here"))
    chain.drop_blocks(1, transactions="vanish")
    assert facts(chain) == before
    assert len(chain.pool) == 0
    # Its nonce is free again.
    assert chain.nonce(alice.address, pending=True) == 1


def test_a_block_mined_anew_in_the_same_second_differs_from_the_old_one(chain: DevChain) -> None:
    (old,) = chain.mine()
    chain.drop_blocks(1, transactions="vanish")
    (new,) = chain.mine()
    assert old.header.parent_hash == new.header.parent_hash
    assert old.timestamp_s == new.timestamp_s
    assert old.hash != new.hash
    assert chain.history.block_by_hash(old.hash) is None


def test_a_whole_branch_is_replaced(chain: DevChain, alice: Person, bob: Person) -> None:
    lost = alice.send(bob.address)
    kept = bob.sign(alice.address, value_wei=5)
    old = [block.hash for block in chain.mine(3)]
    new = chain.replace_blocks(3, [[], [kept], []])
    assert [block.number for block in new] == [2, 3, 4]
    assert not set(old) & {block.hash for block in new}
    assert [len(block.receipts) for block in new] == [0, 1, 0]
    assert chain.receipt(lost) is not None
    chain.replace_blocks(4, [[], [], [], []])
    assert chain.receipt(lost) is None


def test_money_made_from_nothing_goes_with_its_block(chain: DevChain, mallory: Person) -> None:
    chain.mine()
    chain.set_balance_wei(mallory.address, 5)
    chain.mine()
    chain.drop_blocks(1, transactions="vanish")
    assert chain.balance_wei(mallory.address) == 5
    chain.drop_blocks(1, transactions="vanish")
    assert chain.balance_wei(mallory.address) == 0


def test_the_genesis_block_stays(chain: DevChain) -> None:
    chain.mine(3)
    with pytest.raises(Rejected, match="0 to 3 blocks can be dropped, not 4"):
        chain.drop_blocks(4, transactions="vanish")
    assert chain.head.number == 3
    chain.drop_blocks(3, transactions="vanish")
    assert chain.head.number == 0


def test_a_snapshot_brings_back_state_blocks_clock_and_waiting_transactions(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    contract = alice.deploy()
    waiting = alice.send(bob.address, nonce=5)
    chain.set_balance_wei(bob.address, 77)
    before = facts(chain)
    snapshot = chain.snapshot()
    alice.mined(contract, calldata("note_many(uint256)", 5))
    chain.set_balance_wei(bob.address, 78)
    chain.advance_time_s(10_000)
    chain.drop_transaction(waiting)
    assert chain.revert(snapshot) is True
    assert facts(chain) == before
    assert [one.hash for one in chain.pool] == [waiting]
    assert chain.context("pending").timestamp_s < START_S + 10_000


def test_a_snapshot_serves_once_and_uses_up_the_later_ones(chain: DevChain) -> None:
    first, second = chain.snapshot(), chain.snapshot()
    chain.mine()
    third = chain.snapshot()
    assert chain.revert(second) is True
    assert chain.revert(second) is False
    assert chain.revert(third) is False
    assert chain.revert(first) is True
    assert chain.revert(99) is False


def test_only_so_many_old_states_and_snapshots_are_kept(
    chain: DevChain, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LAYERS_KEPT", 5)
    monkeypatch.setattr(snapshots, "SNAPSHOTS_KEPT", 3)
    first = chain.snapshot()
    chain.mine(10)
    assert chain.ledger_at(6).get_balance(alice.address) == chain.balance_wei(alice.address)
    with pytest.raises(CallFailed, match="missing trie node: block 5 lies more than 5 changes back"):
        chain.ledger_at(5)
    with pytest.raises(Rejected, match="no longer kept"):
        chain.drop_blocks(5, transactions="vanish")
    assert chain.revert(first) is False
    assert chain.block(1) is not None
    taken = [chain.snapshot() for _ in range(4)]
    assert chain.revert(taken[0]) is False
    chain.drop_blocks(4, transactions="vanish")
    assert chain.head.number == 6


def test_a_reorganisation_below_a_snapshot_forgets_it(chain: DevChain) -> None:
    chain.mine(3)
    early = chain.snapshot()
    chain.mine(3)
    late = chain.snapshot()
    chain.drop_blocks(2, transactions="vanish")
    chain.mine(5)
    assert chain.revert(late) is False
    assert chain.revert(early) is True
    assert chain.head.number == 3
