"""A token that refuses to pay alice: the contract keeps her money, and her daemon fetches it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bench.evm import call_data
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.api.client import ApiClient
from channeld.api.commands import CreditInfo
from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.accounts import development_account
from tests.contracts.hostile.build import hostile
from tests.daemon.cluster import ETHER, USD, Cluster, cluster, eventually
from tests.daemon.town import PURSE, STAKE, closed, leave_alone, window_end_s

PAID = 70 * USD
LEFT = STAKE - PAID


@dataclass(frozen=True)
class Scene:
    """alice and bob, who share a channel in a token whose issuer is hostile; carol is elsewhere."""

    net: Cluster
    channel_id: bytes
    issuer: Callable[..., Awaitable[object]]

    async def ban(self, name: str, banned: bool) -> None:
        """From now on nobody can pay that account, or everybody can again."""
        await self.issuer("ban", development_account(name).address, banned)

    async def credit_in_info(self) -> list[int]:
        return [asset.credit for asset in (await self.net["alice"].info()).assets]


@asynccontextmanager
async def hostile_dollars(directory) -> AsyncIterator[Scene]:
    """A network whose USD is the hostile token. alice has paid bob 70 of her stake."""
    names = ("alice", "bob", "carol")
    async with cluster(directory, *names, running=()) as net:
        key = Signer(development_account("issuer").key)
        net.chain.chain.fund(key.address, ETHER)
        artifact = hostile("hostile_token")
        fast = TransactionSettings(poll_s=0.02)
        async with open_transactor(net.rpc, key, directory / "issuer.db", fast) as transactor:

            async def issuer(function: str, *args: object) -> None:
                intention = f"{function}:{args}"
                await transactor.execute(intention, Request(net.token, call_data(artifact, function, *args)))

            net.token = await deploy(transactor, net.rpc, "token", artifact.bytecode)
            for name in names:
                await issuer("mint", development_account(name).address, PURSE)
            net.beginning = await net.totals()
            for name in ("alice", "bob"):
                await net.start(name)
            await net.connect("alice", "bob")
            channel_id = await net.open("alice", "bob", "USD", STAKE, STAKE)
            (invoice,) = await net["bob"].create_invoice("USD", PAID, "", None, 1)
            paid = await net["alice"].pay(invoice.text, None, None, 10.0)
            assert (paid.status, paid.fee) == ("succeeded", 0)
            yield Scene(net, channel_id, issuer)


async def test_alice_fetches_what_a_close_could_not_pay_her(tmp_path, caplog):
    """Over the API, as the command line does."""
    async with hostile_dollars(tmp_path) as scene:
        net = scene.net
        token = (tmp_path / "alice" / "api.token").read_text().strip()
        alice = ApiClient(net["alice"].api_url, token)
        assert await alice.credits() == []
        await scene.ban("alice", True)
        ended = await alice.close_channel(scene.channel_id, False, 15.0)
        assert ended.phase == "closed"
        assert await net.dollars("bob") == PURSE + PAID
        assert await net.dollars("alice") == PURSE - STAKE
        owed = CreditInfo(net.token, "USD", 6, LEFT)
        assert await alice.credits() == [owed]
        await eventually(lambda: f"a payout of {LEFT} smallest units" in caplog.text)
        assert caplog.text.count("fetch it with `channeld credits --claim`") == 1, "bob is owed nothing"
        assert [asset.credit for asset in (await alice.info()).assets] == [0, LEFT]

        blocks = net.chain.chain.head.number
        with pytest.raises(OperationalError, match=r"stays in the contract.*name another address"):
            await alice.claim_credit("USD", None, 15.0)
        assert net.chain.chain.head.number == blocks, "a call that would fail was paid for"
        assert await alice.credits() == [owed]

        await scene.ban("alice", False)
        assert await alice.claim_credit("USD", None, 15.0) == owed
        assert await net.dollars("alice") == PURSE - PAID
        assert await alice.credits() == []
        assert await scene.credit_in_info() == [0, 0]
        with pytest.raises(Rejected, match="no credit"):
            await alice.claim_credit("USD", None, 15.0)


async def test_alice_has_a_settlement_paid_to_another_account(tmp_path):
    """The token will never pay her; bob is gone; carol's account is as good."""
    async with hostile_dollars(tmp_path) as scene:
        net = scene.net
        await scene.ban("alice", True)
        await net.stop("bob")
        await leave_alone(net, "alice", scene.channel_id)
        net.reach(window_end_s(net, "alice", scene.channel_id))
        await closed(net, "alice", scene.channel_id)
        assert await net.dollars("alice") == PURSE - STAKE
        for trap in (bytes(20), net.token, net.adjudicator):
            with pytest.raises(Rejected, match="an address that can spend"):
                await net["alice"].claim_credit("USD", trap, 15.0)
        fetched = await net["alice"].claim_credit("USD", development_account("carol").address, 15.0)
        assert fetched.amount == LEFT
        assert await net.dollars("carol") == PURSE + LEFT
        assert await scene.credit_in_info() == [0, 0]


async def test_a_claim_that_nobody_mines_goes_on_and_is_not_doubled(tmp_path):
    async with hostile_dollars(tmp_path) as scene:
        net = scene.net
        await scene.ban("alice", True)
        await net["alice"].close_channel(scene.channel_id, False, 15.0)
        await scene.ban("alice", False)
        await eventually(lambda: not net["alice"].funding._transactor.unfinished())
        net.chain.chain.set_automine(False)
        with pytest.raises(OperationalError, match=r"not mined within 0\.1 s"):
            await net["alice"].claim_credit("USD", None, 0.1)
        with pytest.raises(Rejected, match="on its way already"):
            await net["alice"].claim_credit("USD", None, 0.1)
        net.chain.chain.mine(1)
        assert await scene.credit_in_info() == [0, 0]
        assert await net.dollars("alice") == PURSE - PAID
