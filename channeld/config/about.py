"""What stands beside every setting: its reason and its bounds."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class About:
    """Why a setting is what it is, and its bounds (of a text: its length in bytes; `like`: a regex).

    A text that is `secret` may hold a password: no message repeats it.
    """

    reason: str
    low: int | Decimal | None = None
    high: int | Decimal | None = None
    one_of: tuple[str, ...] = ()
    like: str = ""
    secret: bool = False
