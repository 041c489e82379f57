"""The settings of what neighbours may do unasked: tie our money to their claims, and push theirs."""

from dataclasses import dataclass
from typing import Annotated

from channeld.config.about import About
from channeld.core.operations import MAX_CLAIMS_PER_SIDE


@dataclass(frozen=True, slots=True)
class FlightSettings:
    """What others may have in flight through this node: claims that it owes for them, in each channel."""

    max_claims: Annotated[
        int,
        About(
            "Carried in one channel, for all peers together: 20 of 230 places stay for your own payments.",
            0,
            MAX_CLAIMS_PER_SIDE,
        ),
    ] = 210
    max_claims_per_peer: Annotated[
        int,
        About(
            "Carried in one channel for one peer: a busy one needs 200 for 1,500 payments a second; 20 stay "
            "for the others.",
            0,
            MAX_CLAIMS_PER_SIDE,
        ),
    ] = 200
    max_locked_percent: Annotated[
        int,
        About(
            "Payments, of your balance in a channel, for all peers together: a tenth stays yours to spend.",
            0,
            100,
        ),
    ] = 90
    max_locked_per_peer_percent: Annotated[
        int,
        About(
            "The same for one peer: none can stop a channel alone. Also bounds the largest payment carried.",
            0,
            100,
        ),
    ] = 50
    max_option_percent: Annotated[
        int,
        About(
            "Options not yet decided, the most that they can pay, of your balance in a channel: without the "
            "netting that may make them cheaper, hence above 100. Collateral is checked exactly besides.",
            0,
            10_000,
        ),
    ] = 200


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Pushes: money of a neighbour's without an invoice, as much and as often as it likes."""

    accept: Annotated[
        bool,
        About("Tell peers that you take pushes. What comes all the same is yours, counted without a stream."),
    ] = True
    max_streams: Annotated[
        int,
        About(
            "Streams of one channel that are counted by themselves, 200 bytes each; further ones together.",
            0,
            10**9,
        ),
    ] = 100_000
