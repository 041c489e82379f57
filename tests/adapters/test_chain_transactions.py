"""Each intention is mined once: through restarts, dropped transactions, low fees and reorganisations."""

import asyncio
import itertools
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.fees import GWEI, raised
from channeld.adapters.chain.outbox import Entry, Outbox, Request, Stage
from channeld.adapters.chain.rpc import NodeRefusal, NodeUnreachable, RpcClient, RpcSettings
from channeld.adapters.chain.transactions import (
    TransactionDisplaced,
    TransactionReverted,
    TransactionSettings,
    Transactor,
    deploy,
    open_transactor,
)
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.eip712 import channel_id
from channeld.wire.evm_transaction import TransactionFields, created_address
from contracts import artifacts
from tests.adapters.nodes import ALICE, BOB, ETHER_WEI, REPOSITORY, Town, deposit_request

ALICE_HEX = "0x" + ALICE.address.hex()
TIMEOUT_S = 30  # so that what never happens fails instead of hanging


def deposit(place: Town, amount_wei: int, salt: int = 1) -> Request:
    return deposit_request(place.adjudicator.address, amount_wei, salt)


async def deposited(place: Town, salt: int = 1) -> int:
    slot = await place.adjudicator.channel(channel_id(place.params(salt=salt), place.domain))
    return slot.deposit_a


async def nonce(place: Town, tag: str = "latest") -> int:
    return int(await place.rpc.call("eth_getTransactionCount", ALICE_HEX, tag), 16)


@asynccontextmanager
async def transactor(
    place: Town, outbox: Path, rpc: RpcClient | None = None, **settings: Any
) -> AsyncIterator[Transactor]:
    """Another run of alice's daemon, on the outbox of that path."""
    fast = TransactionSettings(**{"poll_s": 0.02, "resubmit_after_s": 3600.0, **settings})
    async with open_transactor(rpc or place.rpc, ALICE, outbox, fast) as running:
        yield running


def stored(place: Town, path: Path, intention: str) -> Entry:
    """What the outbox says about an intention."""
    with closing(Outbox(path, identity_in(path))) as outbox:
        entry = outbox.get(intention)
        assert entry is not None
        return entry


def identity_in(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        (identity,) = database.execute("SELECT identity FROM chain").fetchone()
        assert isinstance(identity, bytes)
        return identity


async def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for what a running transactor will bring about."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            value = condition()
            if value:
                return value
            await asyncio.sleep(0.01)


# --- once -----------------------------------------------------------------------------------------


async def test_an_intention_is_sent_once_however_often_it_is_submitted(place: Town, tmp_path: Path) -> None:
    before = await nonce(place)
    async with transactor(place, tmp_path / "run") as alice:
        for _ in range(3):
            await alice.execute("deposit:1", deposit(place, 1000))
        with pytest.raises(Rejected, match="differs from the first time"):
            await alice.submit("deposit:1", deposit(place, 2000))
        await alice.execute("deposit:2", deposit(place, 1))
    assert await deposited(place) == 1001
    assert await nonce(place) == before + 2


async def test_a_finished_intention_is_known_after_a_restart_and_may_be_forgotten(
    place: Town, tmp_path: Path
) -> None:
    async with transactor(place, tmp_path / "run") as alice:
        receipt = await alice.execute("deposit:1", deposit(place, 1000))
        await eventually(lambda: not alice.unfinished())
    async with transactor(place, tmp_path / "run") as alice:
        assert await alice.execute("deposit:1", deposit(place, 1000)) == receipt
        assert await deposited(place) == 1000
        with pytest.raises(Rejected, match="expected a submitted intention"):
            await alice.result("deposit:2")
        alice.forget("deposit:1")
        await alice.execute("deposit:1", deposit(place, 500))
    assert await deposited(place) == 1500


async def test_many_at_once_get_a_nonce_each(place: Town, tmp_path: Path) -> None:
    before = await nonce(place)
    await place.dev("evm_setAutomine", False)
    async with transactor(place, tmp_path / "run") as alice:
        names = [f"deposit:{number}" for number in range(10)]
        await asyncio.gather(*(alice.submit(name, deposit(place, 1, salt=n)) for n, name in enumerate(names)))
        assert sorted(alice.unfinished()) == names
        await place.mine()
        receipts = await asyncio.gather(*map(alice.result, names))
    assert all(receipt.succeeded for receipt in receipts)
    assert await nonce(place) == before + 10


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_daemon_killed_around_sending_deposits_once(place: Town, tmp_path: Path, moment: str) -> None:
    """The real thing: SIGKILL in another process, before or after the node has the bytes."""
    await place.dev("evm_setAutomine", False)
    before = await nonce(place)
    path = tmp_path / "run"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.adapters.killed_sender", place.url, str(path)),
        *(place.adjudicator.address.hex(), moment),
        cwd=REPOSITORY,
    )
    assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == -signal.SIGKILL
    assert await nonce(place, "pending") == before + (moment == "after")
    async with transactor(place, path) as alice:
        assert alice.unfinished() == ("deposit:1",)
        await alice.submit("deposit:1", deposit(place, 1000))
        await alice.submit("deposit:2", deposit(place, 1))
        # what was not sent is sent by the restart
        await eventually_async(lambda: nonce(place, "pending"), before + 2)
        await place.mine()
        for name in ("deposit:1", "deposit:2"):
            assert (await alice.result(name)).succeeded
    assert await deposited(place) == 1001
    assert await nonce(place) == before + 2


async def eventually_async(question: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Wait until the chain answers so."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if await question() == expected:
                return
            await asyncio.sleep(0.01)


class Unsent(RpcClient):
    """A client that loses the connection at each raw transaction while `away`."""

    away = True

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if self.away and method == "eth_sendRawTransaction":
            raise NodeUnreachable("node: no answer")
        return await super().call(method, *params, retried=retried)


async def test_what_the_node_never_got_is_sent_again(place: Town, tmp_path: Path) -> None:
    async with (
        Unsent(RpcSettings(place.url, attempts=1)) as rpc,
        transactor(place, tmp_path / "run", rpc, resubmit_after_s=0.05) as alice,
    ):
        await alice.submit("deposit:1", deposit(place, 1000))
        await alice.submit("deposit:2", deposit(place, 1))  # of a nonce that the node cannot count
        assert alice.unfinished() == ("deposit:1", "deposit:2")
        rpc.away = False
        async with asyncio.timeout(TIMEOUT_S):
            assert (await alice.result("deposit:1")).succeeded
            assert (await alice.result("deposit:2")).succeeded
    assert await deposited(place) == 1001


async def test_a_transaction_that_the_node_dropped_is_sent_again(place: Town, tmp_path: Path) -> None:
    await place.dev("evm_setAutomine", False)
    path = tmp_path / "run"
    async with transactor(place, path) as alice:
        await alice.submit("deposit:1", deposit(place, 1000))
    sent = stored(place, path, "deposit:1")
    await place.dev("anvil_dropTransaction", "0x" + sent.versions[0].hash.hex())
    await place.dev("evm_setAutomine", True)
    async with transactor(place, path) as alice, asyncio.timeout(TIMEOUT_S):
        assert (await alice.result("deposit:1")).transaction_hash == sent.versions[0].hash
    assert await deposited(place) == 1000


# --- fees -----------------------------------------------------------------------------------------


async def test_a_transaction_that_nobody_mines_is_replaced_at_a_higher_fee(
    place: Town, tmp_path: Path
) -> None:
    before = await nonce(place)
    await place.dev("evm_setAutomine", False)
    path = tmp_path / "run"
    async with transactor(place, path, resubmit_after_s=0.1) as alice:
        await alice.submit("deposit:1", deposit(place, 1000))
        await alice.submit("deposit:2", deposit(place, 1))
        await eventually(lambda: len(stored(place, path, "deposit:1").versions) >= 3)
        versions = stored(place, path, "deposit:1").versions
        # the node took the replacement: the first version is gone
        assert await place.rpc.call("eth_getTransactionByHash", "0x" + versions[0].hash.hex()) is None
        assert len(stored(place, path, "deposit:2").versions) == 1  # waits for a lower nonce, not for a fee
        await place.dev("evm_setAutomine", True)
        await place.mine()
        async with asyncio.timeout(TIMEOUT_S):
            first, second = await asyncio.gather(alice.result("deposit:1"), alice.result("deposit:2"))
    assert first.succeeded and second.succeeded
    assert first.transaction_hash in {version.hash for version in stored(place, path, "deposit:1").versions}
    for low, high in itertools.pairwise(versions):
        assert 8 * high.fees.tip_wei >= 9 * low.fees.tip_wei
        assert 8 * high.fees.max_fee_wei >= 9 * low.fees.max_fee_wei
    assert await deposited(place) == 1001
    assert await nonce(place) == before + 2


async def test_a_fee_stops_at_the_operators_limit(place: Town, tmp_path: Path) -> None:
    await place.dev("evm_setAutomine", False)
    limit_wei = (await place.head()).base_fee_wei + 2 * GWEI
    path = tmp_path / "run"
    async with transactor(place, path, resubmit_after_s=0.03, max_fee_wei=limit_wei, tip_wei=GWEI) as alice:
        await alice.submit("deposit:1", deposit(place, 1000))
        await eventually_async(lambda: is_pending(place, path), True)
        await asyncio.sleep(0.2)  # several rounds that must change nothing any more
        entry = stored(place, path, "deposit:1")
        assert all(version.fees.max_fee_wei <= limit_wei for version in entry.versions)
        assert raised(entry.versions[-1].fees, await place.head(), GWEI, limit_wei) is None
        await place.mine()
        async with asyncio.timeout(TIMEOUT_S):
            assert (await alice.result("deposit:1")).succeeded


async def is_pending(place: Town, path: Path) -> bool:
    newest = stored(place, path, "deposit:1").versions[-1]
    return await place.rpc.call("eth_getTransactionByHash", "0x" + newest.hash.hex()) is not None


# --- what goes wrong on the chain -------------------------------------------------------------------


async def test_a_transaction_reorganised_away_is_mined_again(place: Town, tmp_path: Path) -> None:
    async with transactor(place, tmp_path / "run", confirmations=3) as alice:
        receipt = await alice.execute("deposit:1", deposit(place, 1000))
        assert await deposited(place) == 1000
        await place.dev("anvil_reorg", 1, [])  # the new block does not hold it
        await eventually_async(lambda: deposited(place), 1000)
        assert alice.unfinished() == ("deposit:1",)
        await place.mine(3)
        await eventually(lambda: not alice.unfinished())
        again = await alice.result("deposit:1")
    assert again.transaction_hash == receipt.transaction_hash
    assert again.block_hash != receipt.block_hash


async def test_a_nonce_used_by_another_wallet_is_reported_and_nothing_is_sent_twice(
    place: Town, tmp_path: Path
) -> None:
    await place.dev("evm_setAutomine", False)
    path = tmp_path / "run"
    async with transactor(place, path, confirmations=2) as alice:
        await alice.submit("deposit:1", deposit(place, 1000))
        entry = stored(place, path, "deposit:1")
        fees = entry.versions[0].fees
        other_wallet = TransactionFields(
            place.chain_id, entry.nonce, 3 * fees.tip_wei, 3 * fees.max_fee_wei, 21_000, BOB.address, 1, b""
        )
        await place.rpc.call("eth_sendRawTransaction", "0x" + ALICE.sign_transaction(other_wallet).hex())
        await place.mine()
        # one block is not enough to believe it: a reorganisation could still mine ours
        await asyncio.sleep(0.1)
        assert stored(place, path, "deposit:1").stage is Stage.SENT
        await place.mine(2)
        with pytest.raises(TransactionDisplaced, match="used by another transaction"):
            async with asyncio.timeout(TIMEOUT_S):
                await alice.result("deposit:1")
        with pytest.raises(TransactionDisplaced):
            await alice.result("deposit:1")
        await alice.submit("deposit:1", deposit(place, 1000))
        assert stored(place, path, "deposit:1").nonce == entry.nonce + 1
        await place.mine()
        async with asyncio.timeout(TIMEOUT_S):
            assert (await alice.result("deposit:1")).succeeded
    assert await deposited(place) == 1000


async def test_a_wallet_that_was_used_elsewhere_leaves_no_gap(place: Town, tmp_path: Path) -> None:
    foreign = TransactionFields(
        place.chain_id, await nonce(place), GWEI, 10 * GWEI, 21_000, BOB.address, 1, b""
    )
    await place.rpc.call("eth_sendRawTransaction", "0x" + ALICE.sign_transaction(foreign).hex())
    async with transactor(place, tmp_path / "run") as alice, asyncio.timeout(TIMEOUT_S):
        await alice.execute("deposit:1", deposit(place, 1000))
    assert await deposited(place) == 1000


async def test_a_call_that_would_revert_is_not_sent(place: Town, tmp_path: Path) -> None:
    before = await nonce(place)
    async with transactor(place, tmp_path / "run") as alice:
        request = Request(place.adjudicator.address, calls.claim_credit(bytes(20), ALICE.address))
        with pytest.raises(NodeRefusal, match="nothing owed"):
            await alice.submit("credit", request)
        assert alice.unfinished() == ()
        assert await nonce(place, "pending") == before
        # sent blindly it is mined and fails, which is an outcome too
        with pytest.raises(TransactionReverted, match="credit failed in block"):
            await alice.execute("credit", request, gas_limit=100_000)
        assert not (await alice.result("credit")).succeeded
    assert await nonce(place) == before + 1


async def test_a_failed_transaction_frees_its_name_at_once_and_its_nonce_is_still_watched(
    place: Town, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    async with transactor(place, path, confirmations=4) as alice:
        request = Request(place.adjudicator.address, calls.claim_credit(bytes(20), ALICE.address))
        with pytest.raises(TransactionReverted):
            await alice.execute("work", request, gas_limit=100_000)
        first = stored(place, path, "work").nonce
        alice.forget("work")
        await alice.execute("work", deposit(place, 1000))
        assert alice.unfinished() == (f"work (failed at nonce {first})", "work")
        with pytest.raises(Rejected, match="final before it is forgotten"):
            alice.forget("work")
        await place.mine(4)
        await eventually(lambda: not alice.unfinished())
    assert await deposited(place) == 1000


class Forgetful(RpcClient):
    """A client whose node cannot tell about one transaction."""

    unknown = ""

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if method == "eth_getTransactionReceipt" and params[0] == self.unknown:
            raise NodeRefusal(method, -32000, "transaction indexing is in progress", None)
        return await super().call(method, *params, retried=retried)


async def test_what_the_node_cannot_tell_about_one_does_not_hide_the_others(
    place: Town, tmp_path: Path
) -> None:
    await place.dev("evm_setAutomine", False)
    path = tmp_path / "run"
    async with (
        Forgetful(RpcSettings(place.url, attempts=1)) as rpc,
        transactor(place, path, rpc) as alice,
    ):
        await alice.submit("deposit:1", deposit(place, 1000))
        await alice.submit("deposit:2", deposit(place, 1))
        rpc.unknown = "0x" + stored(place, path, "deposit:1").versions[0].hash.hex()
        await place.mine()
        async with asyncio.timeout(TIMEOUT_S):
            assert (await alice.result("deposit:2")).succeeded
            assert "deposit:1" in alice.unfinished()
            rpc.unknown = ""
            assert (await alice.result("deposit:1")).succeeded


async def test_a_transaction_that_the_node_refuses_leaves_no_trace(place: Town, tmp_path: Path) -> None:
    before = await nonce(place)
    path = tmp_path / "run"
    async with transactor(place, path) as alice:
        too_much = Request(BOB.address, b"", 10**9 * ETHER_WEI)
        with pytest.raises(NodeRefusal, match=r"(?i)insufficient|lack|funds|balance"):
            await alice.submit("too much", too_much, gas_limit=21_000)
        assert alice.unfinished() == ()
        with pytest.raises(Rejected, match="expected a submitted intention"):
            await alice.result("too much")
        await alice.execute("deposit:1", deposit(place, 1000))
    assert stored(place, path, "deposit:1").nonce == before


async def test_the_gas_limit_has_a_margin_and_stays_below_the_block(place: Town, tmp_path: Path) -> None:
    path = tmp_path / "run"
    async with transactor(place, path) as alice:
        receipt = await alice.execute("deposit:1", deposit(place, 1000))
    entry = stored(place, path, "deposit:1")
    assert 1.2 * receipt.gas_used <= entry.gas_limit <= 1.5 * receipt.gas_used
    async with transactor(place, tmp_path / "other", gas_margin_percent=10**9) as alice:
        await alice.execute("deposit:2", deposit(place, 1000))
    assert stored(place, tmp_path / "other", "deposit:2").gas_limit == (await place.head()).gas_limit


async def test_a_contract_is_deployed_at_the_address_that_follows_from_the_nonce(
    place: Town, tmp_path: Path
) -> None:
    expected = created_address(ALICE.address, await nonce(place))
    async with transactor(place, tmp_path / "run") as alice:
        assert await deploy(alice, place.rpc, "token", artifacts.erc20_test_token().bytecode) == expected
        with pytest.raises(OperationalError):  # code that creates nothing
            await deploy(alice, place.rpc, "nothing", b"\x00")


async def test_an_outbox_serves_one_key_on_one_chain(place: Town, tmp_path: Path) -> None:
    async with transactor(place, tmp_path / "run"):
        pass
    with pytest.raises(Rejected, match="belongs to others"):
        async with open_transactor(place.rpc, BOB, tmp_path / "run", TransactionSettings()):
            pass
    with pytest.raises(OperationalError, match="outbox"):
        async with open_transactor(place.rpc, BOB, tmp_path / "absent" / "run", TransactionSettings()):
            pass


async def test_whoever_waits_is_told_when_nobody_watches_any_more(place: Town, tmp_path: Path) -> None:
    await place.dev("evm_setAutomine", False)
    async with transactor(place, tmp_path / "run") as alice:
        await alice.submit("deposit:1", deposit(place, 1000))
        waiting = asyncio.create_task(alice.result("deposit:1"))
        await asyncio.sleep(0)
    with pytest.raises(OperationalError, match="no longer watched"):
        await waiting
