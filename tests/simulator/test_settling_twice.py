"""The submitter over the contract's model: what a first settlement left is settled by the same bytes."""

import asyncio
from collections import Counter
from dataclasses import replace

from channeld.adapters.chain.events import Challenged
from channeld.adapters.chain.transactions import Transactor
from channeld.adapters.signer import Signer
from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.draft import Draft, Tables
from channeld.core.effects import SubmitChallenge, SubmitSettlement
from channeld.core.identity import ETH, ChannelParams
from channeld.daemon.submitting import Submitter
from channeld.wire.eip712 import claims_hash, state_digest
from tests.contracts.model.books import CLOSED
from tests.contracts.model.calls import Call
from tests.dice import Dice
from tests.simulator.chain import COURT, DOMAIN, Chain, Transaction, as_model
from tests.simulator.market import FEED_ID
from tests.simulator.wallet import Wallet

T0_S = 1_900_000_000
LOCK = bytes(range(32))


class Town:
    """Alice alone has paid into a channel with bob, and owes him an option under a hashlock."""

    def __init__(self) -> None:
        self.now_s = T0_S
        self.chain = Chain(Dice(0), T0_S, (), Counter())
        self.alice, self.bob = sorted((Signer(b"\1" * 32), Signer(b"\2" * 32)), key=lambda who: who.address)
        self.wallet = Wallet(self.chain, Dice(0), self.alice.address, lambda: self.now_s * 1000)
        params = ChannelParams(self.alice.address, self.bob.address, ETH, 600, 1)
        self.id = as_model(params).id(DOMAIN)
        self.chain.endow(self.alice.address)
        deposit = Call("deposit", (as_model(params), False, 1_000), value_wei=1_000)
        self.chain.submit(Transaction(self.alice.address, self.wallet.next_nonce(), deposit, 0, 0))
        terms = OptionTerms(PayoffKind.DIGITAL_PUT, FEED_ID, T0_S + 2_000, 4_000 * 10**8, 0)
        claim = Claim(0, 100, LOCK, T0_S + 900, terms)
        self.state = State(2, 0, {0: claim}, (0, -1))
        self.chain.lists[claims_hash([claim])] = (claim,)
        tables = Tables()
        draft = Draft(tables)
        draft.put(replace(Channel(self.id, params, Side.A, b"", Phase.DISPUTED, 2), theirs=self.state))
        tables.commit(draft)
        transactor: Transactor = self.wallet  # type: ignore[assignment]
        self.submitter = Submitter(transactor, COURT, tables, {})

    async def pass_time(self, seconds: int) -> None:
        """Blocks until then, and what follows from them."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 60
            self.chain.mine(self.now_s, self.now_s * 1000)
            self.wallet.watch(confirmations=3)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def salt(self) -> bytes:
        """As the event of the challenge says it."""
        (seen,) = [e for block in self.chain.blocks for e in block.events if isinstance(e, Challenged)]
        return seen.salt


async def test_what_a_first_settlement_left_is_settled_too():
    town = Town()
    await town.pass_time(60)
    theirs = town.bob.sign_digest(state_digest(DOMAIN, town.id, town.state))
    town.submitter.submit(SubmitChallenge(town.id, town.state, theirs))
    await asyncio.sleep(0)
    await town.pass_time(660)
    settlement = SubmitSettlement(town.id, town.state, town.salt())
    town.submitter.submit(settlement)
    await asyncio.sleep(0)
    await town.pass_time(300)
    assert town.chain.books.channels[town.id].a == 100, "all but what the option may need"
    town.submitter.submit(settlement)
    await asyncio.sleep(0)
    await town.pass_time(120)
    assert town.chain.books.channels[town.id].status == CLOSED
    await town.submitter.close()
