"""How much of a channel the unresolved claims of other people may lock: what we carry, and for whom.

Attack stopped (jamming): claims through us that nobody answers cost whoever sends them nothing, and until
their deadline they hold our money and the channel's places. So a channel carries only so many and so much
for all neighbours together, which leaves room for our own payments, and less for any one of them, which
leaves room for the others. What counts is what we owe because a neighbour offered us something, from our
offer until its answer is known: claims carried on, and options that we write. docs/jamming.md has the sums.
"""

from dataclasses import dataclass
from typing import NamedTuple

from channeld.core.channel import Channel
from channeld.core.claims import Claim, Side
from channeld.core.operations import MAX_CLAIMS_PER_SIDE
from channeld.core.payoff import most
from channeld.core.records import ClaimRef, FailureCode


@dataclass(frozen=True, slots=True)
class FlightLimits:
    """For each channel that we owe in: claims, and how much of what we own in it, in per cent.

    `claims`, `locked_percent` (payments and premiums) and `option_percent` are for all neighbours together,
    the others for each of them. Options count without the netting that may make them cheaper.
    """

    claims: int = MAX_CLAIMS_PER_SIDE
    claims_per_peer: int = MAX_CLAIMS_PER_SIDE
    locked_percent: int = 100
    locked_per_peer_percent: int = 100
    option_percent: int = 10_000


class Load(NamedTuple):
    """Claims in flight; what they can cost, FIXED ones and options, in the asset's smallest unit."""

    claims: int = 0
    fixed: int = 0
    options: int = 0


class Held(NamedTuple):
    """One claim that we owe in a channel, for the neighbour with this address (20 bytes), as a load."""

    channel_id: bytes
    peer: bytes
    load: Load


NOTHING = Load()


class Carried:
    """All of them, by the claim that we owe; and the sums, by channel, and by channel and neighbour."""

    __slots__ = ("held", "loads")

    def __init__(self) -> None:
        self.held: dict[bytes, Held] = {}
        self.loads: dict[bytes, Load] = {}

    def update(self, flight: "Flight") -> None:
        """Take over what a step changed."""
        for key, held in flight.held.items():
            if held is None:
                self.held.pop(key, None)
            else:
                self.held[key] = held
        for place, load in flight.loads.items():
            if load.claims:
                self.loads[place] = load
            else:
                self.loads.pop(place, None)


class Flight:
    """One step's view: reads through to what is carried, and collects what changes."""

    __slots__ = ("_carried", "held", "loads")

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        self.held: dict[bytes, Held | None] = {}
        self.loads: dict[bytes, Load] = {}

    def load(self, channel_id: bytes, peer: bytes = b"") -> Load:
        """Of a channel, or what one neighbour has in it."""
        place = channel_id + peer
        found = self.loads.get(place)
        return self._carried.loads.get(place, NOTHING) if found is None else found

    def take(self, owed: ClaimRef, peer: bytes, claim: Claim) -> None:
        """We have offered a claim for a neighbour."""
        load = Load(1, claim.amount) if claim.terms is None else Load(1, 0, most(claim))
        self.held[owed.key] = Held(owed.channel_id, peer, load)
        self._add(owed.channel_id, peer, *load)

    def let_go(self, owed: ClaimRef) -> None:
        """A claim that we owed is answered; nothing happens if it was not for a neighbour."""
        held = self.held[owed.key] if owed.key in self.held else self._carried.held.get(owed.key)
        if held is not None:
            self.held[owed.key] = None
            claims, fixed, options = held.load
            self._add(held.channel_id, held.peer, -claims, -fixed, -options)

    def refusal(
        self, channel: Channel, peer: bytes, claim: Claim, limits: FlightLimits
    ) -> FailureCode | None:
        """Why we do not owe one more claim in a channel for a neighbour; None if we may.

        NO_CAPACITY: we never would. BUSY: not with what is in flight now. `claim` needs no id yet.
        """
        everybody, of_peer = self.load(channel.channel_id), self.load(channel.channel_id, peer)
        own = own_balance(channel)
        if claim.terms is None:
            cost, share = claim.amount, own * limits.locked_percent // 100
            share_of_peer = own * limits.locked_per_peer_percent // 100
            left = min(share - everybody.fixed, share_of_peer - of_peer.fixed)
        else:
            cost, share = most(claim), own * limits.option_percent // 100
            share_of_peer, left = share, share - everybody.options
        if cost > min(share, share_of_peer):
            return FailureCode.NO_CAPACITY
        if everybody.claims >= limits.claims or of_peer.claims >= limits.claims_per_peer or cost > left:
            return FailureCode.BUSY
        return None

    def _add(self, channel_id: bytes, peer: bytes, claims: int, fixed: int, options: int) -> None:
        for place, load in (
            (channel_id, self.load(channel_id)),
            (channel_id + peer, self.load(channel_id, peer)),
        ):
            self.loads[place] = Load(load.claims + claims, load.fixed + fixed, load.options + options)


def own_balance(channel: Channel) -> int:
    """What is ours in a channel in the newest state that the peer signed, locked or not."""
    deposit_a, deposit_b = channel.usable_deposits()
    net = channel.theirs.net
    return max(0, deposit_a - net if channel.me is Side.A else deposit_b + net)
