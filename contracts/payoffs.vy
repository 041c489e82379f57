# pragma version 0.4.3
"""
@title What an option pays at a price
@notice Every kind of option rises or falls by `amount` for each step of the price from `low` to `high`
        and is flat outside; a digital one takes its only step between strike - 1 and strike. Payoffs
        here are numerators, so that the options of one group are added up exactly and divided once.
@dev Sizes have 96 bits and prices 128. An amount has 123 at most, then only one step; so a numerator
     has 224, and 2^16 of them do not overflow.
"""

CALL: constant(uint256) = 1
PUT: constant(uint256) = 2
DIGITAL_CALL: constant(uint256) = 3
DIGITAL_PUT: constant(uint256) = 4
COIN_CALL: constant(uint256) = 5
COIN_PUT: constant(uint256) = 6

# Prices carry 8 decimals.
PRICE_SCALE: constant(uint256) = 10**8
MAX_PRICE: constant(uint256) = 2**128 - 1
# Options that are netted exactly against each other when a group stays pending: sorting grows with the
# square. Those beyond it are reserved one by one, which is safe but releases less.
MAX_NETTED: constant(uint256) = 16

struct Option:
    amount: uint256  # zero: void
    low: uint256
    high: uint256
    rises: bool
    from_b: bool
    sure: bool  # no hashlock, or its secret came in time


@internal
@pure
def option(kind: uint256, size: uint256, strike: uint256, bound: uint256, from_b: bool, sure: bool) -> Option:
    """
    @dev Terms that are not legal make it void; they never revert, or two signatures could lock both
         deposits for ever.
    """
    low: uint256 = bound
    high: uint256 = strike
    amount: uint256 = size
    legal: bool = bound < strike
    if kind == CALL:
        low = strike
        high = bound
        legal = low < high and strike != 0
    elif kind == COIN_CALL:
        low = strike
        high = MAX_PRICE
    elif kind == DIGITAL_CALL or kind == DIGITAL_PUT:
        legal = bound == 0 and strike != 0
        low = unsafe_sub(strike, 1)
        amount = unsafe_mul(size, PRICE_SCALE)
    elif kind == COIN_PUT:
        legal = legal and bound != 0
    else:
        legal = legal and kind == PUT
    return Option(
        amount=amount if legal else 0, low=low, high=high, rises=kind & 1 == 1, from_b=from_b, sure=sure
    )


@internal
@pure
def numerator(option: Option, price: uint256) -> int256:
    """
    @dev Positive if a receives. The denominator is `denominator(coin floor + 1, price)`.
    """
    seen: uint256 = min(max(price, option.low), option.high)
    steps: uint256 = unsafe_sub(seen, option.low) if option.rises else unsafe_sub(option.high, seen)
    num: int256 = convert(unsafe_mul(option.amount, steps), int256)
    return num if option.from_b else unsafe_sub(0, num)


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
def most(option: Option, coin_floor_plus_1: uint256) -> uint256:
    """
    @dev The most that an option can pay, in the asset's smallest unit. Rounded up, because within its
         group its fraction may complete that of another.
    """
    best: uint256 = option.high if option.rises else option.low
    num: uint256 = unsafe_mul(option.amount, unsafe_sub(option.high, option.low))
    return unsafe_add(num // self.denominator(coin_floor_plus_1, best), 1)


@internal
@pure
def worst(options: DynArray[Option, MAX_NETTED], coin_floor_plus_1: uint256) -> (uint256, uint256):
    """
    @dev What these options of one group can cost a, and what they can cost b, over all prices and all
         outcomes of their hashlocks; never less than 0, because a missing price makes them void.
         Costs (numerators) are linear between the lows and highs, so one over the price is monotone
         there, and the worst is at one of them: they are walked in ascending order.
    """
    turns: uint256[2 * MAX_NETTED + 1] = self._turns(options)
    cost_a: int256 = 0
    cost_b: int256 = 0
    slope_a: int256 = 0
    slope_b: int256 = 0
    for option: Option in options:
        if not option.rises:  # at price 0 what falls pays in full
            full: int256 = convert(unsafe_mul(option.amount, unsafe_sub(option.high, option.low)), int256)
            cost_a, cost_b = self._charged(cost_a, cost_b, option, full)
    need_a: int256 = 0
    need_b: int256 = 0
    last: uint256 = 0
    for i: uint256 in range(2 * len(options), bound=2 * MAX_NETTED):
        turn: uint256 = turns[unsafe_add(i, 1)]
        price: uint256 = turn >> 8
        step: int256 = convert(unsafe_sub(price, last), int256)
        last = price
        cost_a = unsafe_add(cost_a, unsafe_mul(slope_a, step))
        cost_b = unsafe_add(cost_b, unsafe_mul(slope_b, step))
        den: int256 = convert(self.denominator(coin_floor_plus_1, price), int256)
        need_a = max(need_a, cost_a // den)
        need_b = max(need_b, cost_b // den)
        option: Option = options[turn >> 1 & 127]
        slope: int256 = convert(option.amount, int256)
        if option.rises == (turn & 1 == 1):  # a rise ends, or a fall begins
            slope = unsafe_sub(0, slope)
        slope_a, slope_b = self._charged(slope_a, slope_b, option, slope)
    return convert(need_a, uint256), convert(need_b, uint256)


@internal
@pure
def _charged(cost_a: int256, cost_b: int256, option: Option, num: int256) -> (int256, int256):
    """
    @dev Both costs with one more option: it adds to its payer's always, and takes from the other's only
         if it is sure.
    """
    won: int256 = num if option.sure else 0
    if option.from_b:
        return unsafe_sub(cost_a, won), unsafe_add(cost_b, num)
    return unsafe_add(cost_a, num), unsafe_sub(cost_b, won)


@internal
@pure
def _turns(options: DynArray[Option, MAX_NETTED]) -> uint256[2 * MAX_NETTED + 1]:
    """
    @dev Where the payoffs turn, in ascending order: price << 8 | index of the option << 1 | is its high.
         Two for each option, behind a 0 that stops the search for the place of the next.
    """
    turns: uint256[2 * MAX_NETTED + 1] = empty(uint256[2 * MAX_NETTED + 1])
    index: uint256 = 0
    for option: Option in options:
        for turn: uint256 in [option.low << 8 | index, option.high << 8 | index | 1]:
            at: uint256 = index | (turn & 1)
            for _: uint256 in range(2 * MAX_NETTED):
                below: uint256 = turns[at]
                if below <= turn:
                    break
                turns[unsafe_add(at, 1)] = below
                at = unsafe_sub(at, 1)
            turns[unsafe_add(at, 1)] = turn
        index = unsafe_add(index, 2)
    return turns
