"""What goes wrong on the chain between sending a transaction and its confirmation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.fees import GWEI
from channeld.adapters.chain.outbox import Request, Stage
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient, RpcSettings
from channeld.adapters.chain.transactions import (
    TransactionDisplaced,
    TransactionReverted,
    TransactionSettings,
    deploy,
    open_transactor,
)
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.evm_transaction import TransactionFields, created_address
from contracts import artifacts
from tests.adapters.nodes import ALICE, BOB, ETHER_WEI, Town
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
