"""What one end of a channel asks for carrying claims over it, and the exact arithmetic of the fees.

Amounts are integers in the smallest unit of the channel's asset. Every fee is rounded up, in favour
of the hub that does the work: rounded down, a stream of tiny claims would travel for nothing.
"""

from dataclasses import dataclass

from routing.errors import BadPolicy

PPM = 1_000_000
DAY_S = 86_400

# The adjudicator keeps deposits as 96-bit numbers, so no claim can be larger.
MAX_AMOUNT = 2**96 - 1
# 32 bits hold fees of 4,294 times the amount; more is not a fee.
MAX_PPM = 2**32 - 1
# No channel waits longer than 30 days in a dispute, so no hop needs more time than that.
MAX_DEADLINE_DELTA_S = 30 * DAY_S
# The contract keeps times as 40-bit unix seconds.
MAX_TIMESTAMP_S = 2**40 - 1


@dataclass(frozen=True, slots=True)
class Policy:
    """The terms of one direction of a channel, set by the end that sends in that direction.

    `base_fee` and `fee_ppm` are charged on what is forwarded. `collateral_fee_ppm_per_day` is charged
    by the same end for locking collateral of options in this direction. `min_amount` and `max_amount`
    bound one claim. `deadline_delta_s` is by how much the incoming deadline must lie after the outgoing
    one; 0 where both channels share a secret registry.

    Raises BadPolicy for a field out of range.
    """

    base_fee: int
    fee_ppm: int
    collateral_fee_ppm_per_day: int
    min_amount: int
    max_amount: int
    deadline_delta_s: int
    enabled: bool
    timestamp_s: int

    def __post_init__(self) -> None:
        for name, value, most in (
            ("base_fee", self.base_fee, MAX_AMOUNT),
            ("fee_ppm", self.fee_ppm, MAX_PPM),
            ("collateral_fee_ppm_per_day", self.collateral_fee_ppm_per_day, MAX_PPM),
            ("min_amount", self.min_amount, MAX_AMOUNT),
            ("max_amount", self.max_amount, MAX_AMOUNT),
            ("deadline_delta_s", self.deadline_delta_s, MAX_DEADLINE_DELTA_S),
            ("timestamp_s", self.timestamp_s, MAX_TIMESTAMP_S),
        ):
            # A float would pass the comparison and then decide an amount.
            if type(value) is not int or not 0 <= value <= most:
                raise BadPolicy(f"{name}: expected an integer from 0 to {most}, got {value!r}")
        if type(self.enabled) is not bool:
            raise BadPolicy(f"enabled: expected a bool, got {self.enabled!r}")


def forwarding_fee(policy: Policy, amount: int) -> int:
    """Fee for forwarding `amount` under this policy, the proportional part rounded up."""
    return policy.base_fee + (amount * policy.fee_ppm + PPM - 1) // PPM


def collateral_fee(policy: Policy, collateral: int, duration_s: int) -> int:
    """Fee for locking `collateral` for `duration_s` under this policy, rounded up once."""
    whole = PPM * DAY_S
    return (collateral * policy.collateral_fee_ppm_per_day * duration_s + whole - 1) // whole
