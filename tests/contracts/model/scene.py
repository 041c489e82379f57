"""What one run is about: a few channels, secrets, feeds and moments that matter; and the dice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from bench.evm import Party, party
from channeld.wire.eip712 import Feed, keccak
from tests.contracts.model.books import CLOSED, ETH, Params
from tests.contracts.model.calls import Blob, Call
from tests.contracts.model.world import CAST, World, alice, bob, carol, mallory
from tests.dice import Dice

HOUR_S = 3_600
LAST_S = 2**38  # in milliseconds that still fits the 48 bits of a RedStone package
ORACLES = sorted((party(f"oracle {n}") for n in range(4)), key=lambda who: who.address)
PREIMAGES = tuple(keccak(b"secret %d" % n) for n in range(6))


def _feed(scheme: int, threshold: int, grace_h: int, signers: Sequence[Party]) -> Blob:
    addresses = tuple(who.address for who in signers)
    return Blob(Feed("ETH", 8, scheme, threshold, grace_h, addresses).definition)


GOOD_FEEDS = (
    _feed(1, 2, 1, ORACLES[:3]),
    _feed(2, 3, 1, ORACLES[:3]),
    _feed(1, 1, 2, ORACLES[:1]),
    _feed(2, 2, 1, ORACLES[:2]),
)
BAD_FEEDS = (
    _feed(1, 2, 0, ORACLES[:3]),  # no grace
    _feed(2, 2, 0, ORACLES[:2]),
    _feed(1, 2, 1, ORACLES),  # no majority
    _feed(1, 1, 1, ORACLES[:2]),
    _feed(1, 0, 1, ORACLES[:1]),  # nobody need sign
    _feed(1, 0, 1, ()),
    _feed(2, 0, 1, ()),
    _feed(3, 1, 1, ORACLES[:1]),  # no such scheme
    _feed(2, 2, 1, (ORACLES[1], ORACLES[0])),  # not ascending
    _feed(2, 2, 1, (ORACLES[0], ORACLES[0])),
    _feed(2, 2, 1, ORACLES[:3]),  # RedStone's must all sign
    Blob(_feed(1, 1, 1, ORACLES[:1])[:63]),  # cut
    Blob(_feed(1, 2, 1, ORACLES[:3])[:-7]),
    Blob(_feed(1, 2, 1, (ORACLES[0], ORACLES[0]))),  # one signer twice
)


@dataclass(slots=True)
class Scene:
    """The state of one run beside the books."""

    world: World
    stage: list[Params] = field(default_factory=list)  # the channels that this run is about
    others: list[Params] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)
    expiries: list[tuple[Blob, int]] = field(default_factory=list)
    history: list[tuple[bytes, Call]] = field(default_factory=list)
    trick: str = ""  # what is wrong with the signatures that were made last

    @property
    def now_s(self) -> int:
        return self.world.engine.now_s

    def go_to(self, instant_s: int) -> None:
        """Time never goes back, nor further than anything has bits for."""
        engine = self.world.engine
        engine.now_s = max(engine.now_s, min(instant_s, LAST_S))

    def set(self, dice: Dice) -> None:
        """Choose the channels; they share parties and assets, so that batches and replays make sense."""
        tokens = self.world.tokens
        bad = tokens["hostile"]
        asset = dice.pick((ETH, bad, tokens["plain"], bad, tokens["silent"], tokens["permit"]))
        second = dice.pick((ETH, bad, tokens["permit"], ETH))
        wallet = self.world.wallet.address
        one, other, third = _orders(dice.below(24))
        self.stage = [
            make(one, other, asset, 600, 1),
            make(one, third, asset, 600, 2),
            make(one, dice.pick((other, wallet, bad, wallet)), second, dice.pick((600, 700)), 3),
        ]
        self.others = [
            make(one, other, asset, 600, 4),
            make(one, wallet, ETH, 600, 5),
            make(mallory.address, third, ETH, 30 * 86_400, 6),
            *_impossible(one, other, asset),
            make(one, other, mallory.address, 600, 7),  # not a token
        ]
        for params in (*self.stage, *self.others):
            self.world.note(params)

    def channel(self, dice: Dice) -> Params:
        return dice.pick(self.others) if dice.one_in(8) else dice.pick(self.stage)

    def channel_in(self, dice: Dice, status: int) -> Params:
        """Preferably one with that status."""
        books = self.world.books
        fitting = [params for params in self.stage if books.channel(params)[1].status == status]
        if fitting and not dice.one_in(10):
            return dice.pick(fitting)
        return self.channel(dice)

    def key(self, address: bytes) -> Party:
        """Of contracts there is none: mallory signs for them, in vain."""
        return _keys().get(address, mallory)

    def sender(self, dice: Dice, params: Params) -> bytes:
        """Mostly a party; the wallet always calls itself, for it cannot sign."""
        wallet = self.world.wallet.address
        if wallet in params[:2] and not dice.one_in(8):
            return wallet
        if dice.one_in(4):
            return dice.pick((mallory, carol, alice, bob)).address
        people = [who for who in params[:2] if who in _keys()] or [alice.address]
        return dice.pick(people)

    def remember(self, sender: bytes, call: Call) -> None:
        self.history.append((sender, call))
        del self.history[:-80]

    def note_moments(self, *instants_s: int) -> None:
        self.moments.extend(instants_s)
        del self.moments[:-60]

    def next_moments(self) -> list[int]:
        """The next seconds at which something changes."""
        ends = [channel.expiry_s for channel in self.world.books.channels.values()]
        return sorted({end for end in (*ends, *self.moments) if end > self.now_s})[:5]

    def any_in(self, status: int) -> bool:
        books = self.world.books
        return any(books.channel(params)[1].status == status for params in self.stage)

    def replace_closed(self) -> None:
        """A closed channel never opens again; its parties open another."""
        for index, params in enumerate(self.stage):
            if self.world.books.channel(params)[1].status == CLOSED:
                self.others[index] = params
                self.stage[index] = params._replace(config=params.config + 16)
                self.world.note(self.stage[index])


@cache
def _keys() -> dict[bytes, Party]:
    return {who.address: who for who in CAST}


def _orders(index: int) -> tuple[bytes, bytes, bytes]:
    people = [who.address for who in CAST]
    first = people.pop(index % 4)
    second = people.pop(index // 4 % 3)
    return first, second, people[index // 12]


def make(one: bytes, other: bytes, asset: bytes, period_s: int, salt: int) -> Params:
    return Params(min(one, other), max(one, other), asset, period_s << 216 | salt)


def _impossible(one: bytes, other: bytes, asset: bytes) -> list[Params]:
    good = make(one, other, asset, 600, 8)
    return [
        good._replace(a=good.b, b=good.a),
        good._replace(b=good.a),
        good._replace(a=bytes(20)),
        good._replace(config=599 << 216),
        good._replace(config=(30 * 86_400 + 1) << 216),
        good._replace(config=(2**40 - 1) << 216),
    ]
