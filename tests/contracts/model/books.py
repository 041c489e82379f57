"""What the contract should know, as dicts of numbers, and who has what outside of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from channeld.wire.eip712 import keccak
from tests.contracts.model.calls import Call
from tests.contracts.model.signing import STATE, hash_struct, word
from tests.contracts.valuation import Registries

ETH = bytes(20)
NONE, OPEN, DISPUTED, CLOSED = range(4)
STATUS = ("none", "open", "disputed", "closed")
MASK_96, MASK_192 = 2**96 - 1, 2**192 - 1


class Refused(Exception):
    """A call that must revert: with which words, and in which of the cases that say so."""

    def __init__(self, words: str, case: str = "") -> None:
        super().__init__(words, case)
        self.words = words
        self.path = f"{words or 'no words'} [{case}]" if case else words


class Params(NamedTuple):
    """Who, in what; `config` is the challenge period (seconds) << 216 | salt."""

    a: bytes
    b: bytes
    asset: bytes
    config: int

    @property
    def period_s(self) -> int:
        return self.config >> 216

    def id(self, domain: bytes) -> bytes:
        return keccak(b"".join(word(part) for part in (self.a, self.b, self.asset, self.config)) + domain)


@dataclass(frozen=True, slots=True)
class Channel:
    """Deposits less withdrawals of each side; when the window ends; how often deposits shrank."""

    a: int = 0
    b: int = 0
    expiry_s: int = 0
    status: int = NONE
    counter: int = 0

    @property
    def pot(self) -> int:
        return self.a + self.b

    @property
    def slot(self) -> int:
        """As the contract packs it."""
        low = self.a & MASK_96 | (self.b & MASK_96) << 96
        return low | self.expiry_s << 192 | self.status << 232 | self.counter << 234


TOMBSTONE = Channel(status=CLOSED)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state that stands in a dispute."""

    version: int
    net: int
    claims: bytes
    salt: bytes

    def slot(self, channel: bytes) -> int:
        struct = hash_struct(STATE, channel, self.version, self.net, self.claims)
        return self.version << 192 | int.from_bytes(keccak(struct + self.salt), "big") & MASK_192


@dataclass(frozen=True, slots=True)
class Habits:
    """How a token behaves, or a wallet; see tests/contracts/hostile."""

    kind: str = "plain"  # plain, silent, permit, hostile, wallet
    takes_fee: bool = False
    lies: bool = False
    answer: int = 1
    burns: bool = False
    silent_thief: bool = False
    accepts: bool = True
    hook: Call | None = None


Saved = tuple[Any, ...]


@dataclass(slots=True)
class Books:
    """Everything, and how to take it back. `execute` runs a call inside another (from a hook)."""

    court: bytes
    domain: bytes
    now_s: int = 0
    salt: bytes = bytes(32)
    locked: bool = False
    hook_worked: bool = False  # what became of the hostile token's last call
    channels: dict[bytes, Channel] = field(default_factory=dict)
    disputes: dict[bytes, Standing] = field(default_factory=dict)
    registries: Registries = field(default_factory=Registries)
    credits: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    balances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)  # of (asset, owner)
    allowances: dict[tuple[bytes, bytes], int] = field(default_factory=dict)  # of (asset, owner) to us
    nonces: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    banned: dict[tuple[bytes, bytes], bool] = field(default_factory=dict)
    habits: dict[bytes, Habits] = field(default_factory=dict)
    # Assets that have moved money and denied it: nothing can be promised about those.
    broken: set[bytes] = field(default_factory=set)
    lists: dict[bytes, bytes] = field(default_factory=dict)  # words of claims by their hash
    fired: Counter[str] = field(default_factory=Counter)
    execute: Callable[["Books", bytes, Call], None] | None = None

    def save(self) -> Saved:
        known = self.registries
        return (
            *(dict(book) for book in (self.channels, self.disputes, self.credits, self.balances)),
            *(dict(book) for book in (self.allowances, self.nonces, self.banned, self.habits)),
            *(dict(book) for book in (known.secrets, known.prices)),
            set(self.broken),
            self.locked,
            self.hook_worked,
        )

    def restore(self, saved: Saved) -> None:
        """May be used once for each `save`."""
        self.channels, self.disputes, self.credits, self.balances = saved[:4]
        self.allowances, self.nonces, self.banned, self.habits = saved[4:8]
        self.registries.secrets, self.registries.prices, self.broken = saved[8:11]
        self.locked, self.hook_worked = saved[11:]

    def channel(self, params: Params) -> tuple[bytes, Channel]:
        identity = params.id(self.domain)
        return identity, self.channels.get(identity, Channel())

    def change(self, identity: bytes, **what: int) -> None:
        self.channels[identity] = replace(self.channels[identity], **what)

    def balance(self, asset: bytes, owner: bytes) -> int:
        return self.balances.get((asset, owner), 0)

    def habit(self, address: bytes) -> Habits:
        return self.habits.get(address, Habits("person"))

    def owed(self, asset: bytes, assets: dict[bytes, bytes]) -> int:
        """What the contract must hold; `assets` says what each channel is in."""
        pots = sum(channel.pot for identity, channel in self.channels.items() if assets[identity] == asset)
        return pots + sum(amount for (of, _), amount in self.credits.items() if of == asset)
