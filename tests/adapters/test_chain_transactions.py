"""Each intention is mined once: through restarts, dropped transactions, low fees and reorganisations."""

import asyncio
import itertools
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.chain.fees import GWEI, raised
from channeld.adapters.chain.rpc import NodeUnreachable, RpcClient, RpcSettings
from channeld.core.errors import Rejected
from tests.adapters.nodes import REPOSITORY, Town
from tests.adapters.sending import (
    TIMEOUT_S,
    deposit,
    deposited,
    eventually,
    eventually_async,
    nonce,
    stored,
    transactor,
)

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
