"""The cast and the place: four people with money, an adjudicator, a token and an oracle."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from bench.evm import Arena, Channel, Contract, Court, Mined, Party, Reverted, party
from channeld.core.claims import Claim, OptionTerms, PayoffKind, State
from channeld.core.identity import ETH
from channeld.wire.eip712 import Feed, keccak, price_digest
from contracts.artifacts import Artifact, erc20_test_token
from tests.contracts import typed_data
from tests.contracts.valuation import chain_of, read_list

PERIOD_S = 86_400
HOUR_S = 3_600
PURSE = 10**24
USD = 10**8

alice, bob, carol, mallory = (party(name) for name in ("alice", "bob", "carol", "mallory"))
CAST = (alice, bob, carol, mallory)
ORACLES = sorted((party(f"oracle {n}") for n in range(3)), key=lambda who: who.address)


@dataclass(frozen=True, slots=True)
class Secret:
    preimage: bytes

    @property
    def hash(self) -> bytes:
        return sha256(self.preimage).digest()


def secret(name: str) -> Secret:
    return Secret(keccak(name.encode()))


@dataclass(slots=True)
class Town:
    """A small world on one chain; everybody trusts nobody."""

    arena: Arena = field(default_factory=Arena)
    court: Court = field(init=False)
    token: Contract = field(init=False)
    oracles: list[Party] = field(init=False)
    feed: Feed = field(init=False)

    def __post_init__(self) -> None:
        self.court = Court(self.arena)
        self.token = self.erc20()
        self.oracles = ORACLES
        self.feed = Feed("ETH/USD", 8, 1, 2, 12, tuple(who.address for who in self.oracles))
        for who in CAST:
            self.arena.fund(who.address, PURSE)

    def erc20(self) -> Contract:
        """A token of which everybody has some and has approved the adjudicator."""
        return self.erc20_like(erc20_test_token())

    def erc20_like(self, artifact: Artifact) -> Contract:
        """Another token of which everybody has some and has approved the adjudicator."""
        token = Contract(self.arena, artifact, self.arena.deploy(artifact))
        for who in CAST:
            token.send(who, "mint", who.address, PURSE)
            token.send(who, "approve", self.court.address, 2**200)
        return token

    @property
    def now_s(self) -> int:
        return self.arena.now_s

    def wait(self, seconds: int) -> None:
        self.arena.now_s += seconds

    def wait_until(self, instant_s: int) -> None:
        assert instant_s >= self.arena.now_s
        self.arena.now_s = instant_s

    # -- channels --

    def channel(self, one: Party = alice, other: Party = bob, asset: bytes = ETH, **what: int) -> Channel:
        return self.court.channel(one, other, asset, **what)

    def open(
        self,
        a: int = 1_000,
        b: int = 0,
        one: Party = alice,
        other: Party = bob,
        asset: bytes = ETH,
        **what: int,
    ) -> Channel:
        """A channel in which sides a and b have deposited so much."""
        channel = self.channel(one, other, asset, **what)
        for who, amount in ((channel.a, a), (channel.b, b)):
            if amount:
                self.court.deposit(who, channel, who, amount)
        return channel

    def status(self, channel: Channel) -> int:
        slot: int = self.court.view("channels", channel.id)
        return slot >> 232 & 3

    def counter(self, channel: Channel) -> int:
        slot: int = self.court.view("channels", channel.id)
        return slot >> 234

    def deposits(self, channel: Channel) -> tuple[int, int]:
        slot: int = self.court.view("channels", channel.id)
        return _int96(slot), _int96(slot >> 96)

    def balance(self, who: Party | bytes, asset: bytes = ETH) -> int:
        address = who.address if isinstance(who, Party) else who
        if asset == ETH:
            return self.arena.balance_wei(address)
        balance: int = Contract(self.arena, erc20_test_token(), asset).view("balanceOf", address)
        return balance

    # -- disputes --

    def challenge(self, who: Party, channel: Channel, state: State) -> bytes:
        """The salt that settling needs."""
        mined = self.court.send(who, "challenge", *channel.signed_state(state))
        salt: bytes = mined.event("Challenged")["salt"]
        return salt

    def dispute(self, channel: Channel, state: State) -> bytes:
        """Challenge and let the window pass."""
        salt = self.challenge(channel.a, channel, state)
        self.wait(channel.params.challenge_period_s)
        return salt

    def sign_words(self, channel: Channel, version: int, net: int, words: bytes) -> tuple[object, ...]:
        """The arguments of challenge for claims given as words, in any order and shape."""
        claims = chain_of(list(read_list(words)))
        fields = {"channel": channel.id, "version": version, "net": net, "claims": claims}
        struct = typed_data.hash_struct("State", typed_data.STATE, fields)
        digest = keccak(b"\x19\x01" + self.court.domain + struct)
        return channel.words, version, net, claims, channel.a.sign(digest), channel.b.sign(digest)

    def dispute_words(self, channel: Channel, net: int, words: bytes, version: int = 1) -> bytes:
        """Challenge with such claims and let the window pass; the salt."""
        mined = self.court.send(channel.a, "challenge", *self.sign_words(channel, version, net, words))
        self.wait(channel.params.challenge_period_s)
        salt: bytes = mined.event("Challenged")["salt"]
        return salt

    def leave(self, channel: Channel, state: State) -> Mined:
        """Challenge, wait, settle."""
        return self.court.settle_state(channel.a, channel, state, self.dispute(channel, state))

    # -- registries --

    def reveal(self, *secrets: Secret) -> None:
        self.court.send(mallory, "register_secrets", [item.preimage for item in secrets])

    def publish(self, instant_s: int, price: int, feed: Feed | None = None, who: Party = mallory) -> Mined:
        feed = feed or self.feed
        digest = price_digest(feed.feed_id, instant_s, price)
        proofs = [oracle.sign(digest) for oracle in self.oracles][: feed.threshold]
        return self.court.send(who, "publish_price", feed.definition, instant_s, price, proofs)

    def terms(self, kind: PayoffKind, expiry_s: int, strike_usd: int, bound_usd: int = 0) -> OptionTerms:
        return OptionTerms(kind, self.feed.feed_id, expiry_s, strike_usd * USD, bound_usd * USD)


def _int96(slot: int) -> int:
    value = slot & (2**96 - 1)
    return value - 2**96 if value >> 95 else value


def lock(claim_id: int, amount: int, key: Secret, deadline_s: int) -> Claim:
    """A hash-locked transfer; even ids are paid by a."""
    return Claim(claim_id, amount, key.hash, deadline_s)


@contextmanager
def refused(words: str) -> Iterator[None]:
    """The call inside must revert with these words."""
    with pytest.raises(Reverted, match=f"^{re.escape(words)}"):
        yield
