# pragma version 0.4.3
"""
@title What an option pays at a price
@notice Numerators of payoffs, so that the options of one group are added up exactly and divided once.
        Sizes have 96 bits and prices 128: a product has at most 224, and 2^31 of them cannot overflow.
"""

CALL: constant(uint256) = 1
DIGITAL_CALL: constant(uint256) = 3
DIGITAL_PUT: constant(uint256) = 4
COIN_CALL: constant(uint256) = 5
COIN_PUT: constant(uint256) = 6

# Prices carry 8 decimals.
PRICE_SCALE: constant(uint256) = 10**8
MAX_PRICE: constant(uint256) = 2**128 - 1
# Options that are netted exactly against each other when a group stays pending: the work grows with
# the square. Those beyond it are reserved one by one, which is safe but releases less.
MAX_NETTED: constant(uint256) = 16

struct Option:
    kind: uint256
    size: uint256
    strike: uint256
    bound: uint256
    from_b: bool
    sure: bool  # no hashlock, or its secret came in time


@internal
@pure
def legal(option: Option) -> bool:
    """
    @dev Terms that are not legal pay nothing; they never revert, or two signatures could lock both
         deposits for ever.
    """
    if option.strike == 0 or option.kind > COIN_PUT:
        return False
    if option.kind == CALL:
        return option.bound > option.strike
    if option.kind == DIGITAL_CALL or option.kind == DIGITAL_PUT:
        return option.bound == 0
    if option.kind == COIN_PUT and option.bound == 0:
        return False
    return option.bound < option.strike


@internal
@pure
def numerator(option: Option, price: uint256) -> uint256:
    """
    @dev Terms must be legal. The denominator is `denominator(coin floor + 1, price)`.
    """
    if option.kind == DIGITAL_CALL:
        return unsafe_mul(option.size, PRICE_SCALE) if price >= option.strike else 0
    if option.kind == DIGITAL_PUT:
        return unsafe_mul(option.size, PRICE_SCALE) if price < option.strike else 0
    seen: uint256 = min(price, option.bound) if option.kind == CALL else max(price, option.bound)
    if option.kind & 1 == 1:  # a call
        return unsafe_mul(option.size, unsafe_sub(seen, option.strike)) if seen > option.strike else 0
    return unsafe_mul(option.size, unsafe_sub(option.strike, seen)) if option.strike > seen else 0


@internal
@pure
def signed_numerator(option: Option, price: uint256) -> int256:
    """
    @dev Positive if a receives.
    """
    num: int256 = convert(self.numerator(option, price), int256)
    return num if option.from_b else -num


@internal
@pure
def denominator(coin_floor_plus_1: uint256, price: uint256) -> uint256:
    """
    @dev At least 1, as every price is.
    """
    if coin_floor_plus_1 == 0:
        return PRICE_SCALE
    return max(price, unsafe_sub(coin_floor_plus_1, 1))


@internal
@pure
def most(option: Option) -> uint256:
    """
    @dev The most that a legal option can pay, in the asset's smallest unit. Rounded up, because within
         its group its fraction may complete that of another.
    """
    best: uint256 = MAX_PRICE if option.kind & 1 == 1 else 1
    floor_plus_1: uint256 = unsafe_add(option.bound, 1) if option.kind >= COIN_CALL else 0
    return unsafe_add(self.numerator(option, best) // self.denominator(floor_plus_1, best), 1)


@internal
@pure
def worst(options: DynArray[Option, MAX_NETTED], coin_floor_plus_1: uint256) -> (uint256, uint256):
    """
    @dev What these options of one group can cost a, and what they can cost b, over all prices and all
         outcomes of their hashlocks; never less than 0, because a missing price makes them void.
         Between the points tried, payoffs (coin-settled: numerators) are linear.
    """
    points: DynArray[uint256, 2 * MAX_NETTED + 2] = [1, MAX_PRICE]
    for option: Option in options:
        points.append(option.strike)
        if option.kind < DIGITAL_CALL:
            points.append(max(option.bound, 1))
        elif option.kind < COIN_CALL:
            points.append(max(unsafe_sub(option.strike, 1), 1))
    need_a: int256 = 0
    need_b: int256 = 0
    for price: uint256 in points:
        to_a: int256 = 0
        to_b: int256 = 0
        for option: Option in options:
            num: int256 = self.signed_numerator(option, price)
            if option.sure or num < 0:
                to_a += num
            if option.sure or num > 0:
                to_b -= num
        den: int256 = convert(self.denominator(coin_floor_plus_1, price), int256)
        need_a = max(need_a, -to_a // den)
        need_b = max(need_b, -to_b // den)
    return convert(need_a, uint256), convert(need_b, uint256)
