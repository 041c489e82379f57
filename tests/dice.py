"""Choices out of one number, the same in every Python: what a random run does follows from its seed."""

from collections.abc import Sequence
from typing import TypeVar

from channeld.wire.eip712 import keccak

T = TypeVar("T")


class Dice:
    """Choices out of one number: 0 chooses the first of everything, which is the honest one."""

    def __init__(self, seed: int) -> None:
        self.seed = self._rest = seed
        self._left = 2**24
        self._rolls = 0

    def below(self, sides: int) -> int:
        if self._left < sides and self.seed:
            self._rolls += 1
            self._left = 2**256
            self._rest = int.from_bytes(keccak(b"%d %d" % (self.seed, self._rolls)), "big")
        self._left //= sides
        self._rest, rolled = divmod(self._rest, sides)
        return rolled

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def one_in(self, sides: int) -> bool:
        return self.below(sides) == sides - 1

    def __repr__(self) -> str:
        return f"Dice({self.seed})"
