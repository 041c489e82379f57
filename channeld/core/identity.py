"""What a channel is, before anything has happened in it."""

from dataclasses import dataclass

ETH = bytes(20)
"""The asset of a channel that holds the chain's own coin."""

MIN_CHALLENGE_PERIOD_S = 600
MAX_CHALLENGE_PERIOD_S = 30 * 86_400
"""The contract's bounds: shorter and nobody can answer, longer and the deposits are lost to time."""


@dataclass(frozen=True, slots=True)
class ChannelParams:
    """What a channel's id commits to, besides chain and contract.

    `a < b` as numbers (20-byte addresses); `asset` is 20 zero bytes for ETH. `challenge_period_s` is
    600 to 2,592,000; `salt` has 216 bits.
    """

    a: bytes
    b: bytes
    asset: bytes
    challenge_period_s: int
    salt: int

    @property
    def config(self) -> int:
        """The word that the contract reads: period u40 << 216 | salt u216."""
        return self.challenge_period_s << 216 | self.salt
