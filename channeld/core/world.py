"""What a node knows of the world outside its channels: the chain's clock, secrets and prices.

Both sides of a channel judge operations by their own view of the same chain; margins absorb that
one of them has seen a block more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PublishedPrice:
    """A settlement price in the contract's registry. `published_s` is the block time of first sight."""

    price: int
    published_s: int


@dataclass(frozen=True, slots=True)
class Margins:
    """How much earlier than a deadline we act, and how much later we believe it has passed.

    `register_s`: room to get a secret registered; a fulfil that leaves us less is refused (R9), and
    an unanswered one is registered this long before its deadline (R10).
    `reorg_s`: how long after a deadline we believe that nothing was registered in time (R7).
    `skew_s`: by how much the times that two honest ends see may differ while a message travels. Whoever
    signs leaves that much more room than whoever checks, or it would sign what the other must refuse.
    `longest_s`: the farthest deadline that we tie money to: a claim that we carry on cannot be let go
    before it, and whoever buys an option may decide until then.
    """

    register_s: int = 120
    reorg_s: int = 60
    skew_s: int = 15
    longest_s: int = 3_600


class World(Protocol):
    """Read-only view of the chain; the node's tables implement it."""

    @property
    def now_s(self) -> int:
        """Time of the chain's latest block, moved on by our own clock (unix seconds)."""

    @property
    def confirmed_s(self) -> int:
        """Block time up to which `registered_s` and `published` are complete; it lags behind `now_s`.

        That something has *not* happened by some time is known from here alone: the latest block is not
        confirmed, and a node that hears nothing of the chain still sees its own clock move on.
        """

    @property
    def clock_trusted(self) -> bool:
        """Whether `now_s` can be relied on; if not, it may be far too early or too late."""

    @property
    def margins(self) -> Margins: ...

    @property
    def registered_s(self) -> Mapping[bytes, int]:
        """sha256 of a secret -> block time of its registration."""

    @property
    def published(self) -> Mapping[tuple[bytes, int], PublishedPrice]:
        """(feed, expiry) -> what the contract's registry holds."""

    @property
    def signed_prices(self) -> Mapping[tuple[bytes, int], int]:
        """(feed, expiry) -> price proven by enough signatures, wherever it came from."""


def registered_in_time(world: World, hashlock: bytes, deadline_s: int) -> bool:
    """Whether the contract counts the secret of `hashlock` as revealed by `deadline_s`."""
    seen_s = world.registered_s.get(hashlock)
    return seen_s is not None and seen_s <= deadline_s


def expired_unregistered(world: World, hashlock: bytes, deadline_s: int, margin_s: int) -> bool:
    """Whether a hash-locked claim is dead: its deadline is over by `margin_s` and no secret is on chain.

    Attack stopped: a debtor that says "expired" while the registration waits for its confirmations.
    """
    return world.confirmed_s > deadline_s + margin_s and not registered_in_time(world, hashlock, deadline_s)


def settlement_price(world: World, feed: bytes, expiry_s: int, grace_s: int, slack_s: int = 0) -> int | None:
    """The price at which options of (feed, expiry) settle now; 0 when they are void; None while open.

    A price signed but not published counts only while there is time to publish it within the grace: else
    a buyer that shows it at the last moment would be paid by a hub that can no longer collect from the
    writer (for options what variant b4 is for secrets). `slack_s` more is what whoever signs leaves.
    They are void when it is certain that nothing was published in time.
    """
    on_chain = world.published.get((feed, expiry_s))
    last_s = expiry_s + grace_s
    if on_chain is not None:
        return on_chain.price if on_chain.published_s <= last_s else 0
    if world.confirmed_s > last_s:
        return 0
    if world.now_s + world.margins.register_s + slack_s <= last_s:
        return world.signed_prices.get((feed, expiry_s))
    return None
