# pragma version 0.4.3
"""
@title The list of claims, streamed from calldata
@notice Reads claim by claim behind the arguments of the call, so that the list has no length limit
        and one claim does not pay for the memory of the longest list. Nothing in here reverts for
        what a list says: what cannot be understood pays nothing.
@dev A claim is 1 to 4 words: head, hashlock if locked, feed and terms if it is an option.
     head: kind u6 << 250 | locked << 249 | payer is b << 248 | expiry u40 << 136 | deadline u40 << 96
     | amount u96. terms: strike u128 << 128 | bound u128.
"""
import payoffs
import price_registry
import secret_registry

uses: price_registry
uses: secret_registry

LOCKED: constant(uint256) = 1 << 249
FROM_B: constant(uint256) = 1 << 248
MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_128: constant(uint256) = 2**128 - 1
# A bound that the compiler wants; four times what fits the calldata of a 30M-gas block.
MAX_CLAIMS: constant(uint256) = 2**16

# What has become of a claim's hashlock, or of a group's price.
DEAD: constant(uint256) = 0
LIVE: constant(uint256) = 1
PENDING: constant(uint256) = 2

struct Tally:
    link: bytes32  # the chained hash of the list as given
    rest: bytes32  # the same of the claims that stay pending; equal to `link` if all do
    paid: uint256  # transfers that are due: by b u128 << 128 | by a u128
    payoff: int256  # options that are due, positive if a receives
    need_a: uint256  # what the pending claims can still cost a at worst
    need_b: uint256

struct Run:
    feed: bytes32
    expiry: uint256
    coin_floor_plus_1: uint256
    fate: uint256
    price: uint256
    num: int256  # the sum of numerators so far, positive if a receives


@internal
@view
def tally(start: uint256) -> Tally:
    """
    @dev Value the claims from byte `start` of the calldata to its end.
    """
    t: Tally = empty(Tally)
    run: Run = empty(Run)
    netted: DynArray[payoffs.Option, payoffs.MAX_NETTED] = []
    end: uint256 = len(msg.data)
    at: uint256 = start
    assert (end - start) & 31 == 0, "claims: not whole words"
    for _: uint256 in range(MAX_CLAIMS):
        head: uint256 = 0
        second: bytes32 = empty(bytes32)
        if unsafe_sub(end, at) >= 64:
            words: Bytes[64] = slice(msg.data, at, 64)
            head = extract32(words, 0, output_type=uint256)
            second = extract32(words, 32)
            # What most lists consist of, as cheaply as can be: a transfer whose secret came in time.
            if head >> 249 == 1:
                # Seen, and not after the deadline: never is 0, which wraps around.
                if unsafe_sub(secret_registry.secrets[second], 1) < head >> 96 & MASK_40:
                    at = unsafe_add(at, 64)
                    t.link = keccak256(abi_encode(t.link, head, second))
                    t.paid = unsafe_add(t.paid, (head & MASK_96) << (head >> 241 & 128))
                    continue
        elif at == end:
            break
        else:
            head = convert(slice(msg.data, at, 32), uint256)
        kind: uint256 = head >> 250
        locked: bool = head & LOCKED != 0
        size: uint256 = 32 if kind == 0 else 96
        fate: uint256 = LIVE
        if locked:
            size = unsafe_add(size, 32)
            fate = self._lock_fate(second, head >> 96 & MASK_40)
        if unsafe_sub(end, at) < size:
            t.link = self._cut(t.link, at, end)
            break
        at = unsafe_add(at, size)
        if kind == 0:
            t = self._transfer(t, head, second, fate)
            continue
        feed: bytes32 = second
        if locked:
            feed = convert(slice(msg.data, unsafe_sub(at, 64), 32), bytes32)
        terms: uint256 = convert(slice(msg.data, unsafe_sub(at, 32), 32), uint256)
        t.link = self._chain_option(t.link, head, second, feed, terms)
        expiry: uint256 = head >> 136 & MASK_40
        option: payoffs.Option = payoffs.option(
            kind, head & MASK_96, terms >> 128, terms & MASK_128, head & FROM_B != 0, fate == LIVE
        )
        if option.amount == 0 or fate == DEAD or (locked and head >> 96 & MASK_40 > expiry):
            continue
        floor_plus_1: uint256 = unsafe_add(terms & MASK_128, 1) if kind >= payoffs.COIN_CALL else 0
        if feed != run.feed or expiry != run.expiry or floor_plus_1 != run.coin_floor_plus_1:
            t = self._close_run(t, run, netted)
            netted = []
            run = self._open_run(feed, expiry, floor_plus_1)
        if run.fate == LIVE:
            run.num = unsafe_add(run.num, payoffs.numerator(option, run.price))
        elif run.fate == PENDING:
            t.rest = self._chain_option(t.rest, head, second, feed, terms)
            if len(netted) < payoffs.MAX_NETTED:
                netted.append(option)
            else:
                t = self._reserve(t, option.from_b, payoffs.most(option, floor_plus_1))
    return self._close_run(t, run, netted)


@internal
@pure
def _transfer(tally: Tally, head: uint256, lock: bytes32, fate: uint256) -> Tally:
    t: Tally = tally
    t.link = self._chain(t.link, head, lock)
    if fate == LIVE:
        t.paid = unsafe_add(t.paid, (head & MASK_96) << (head >> 241 & 128))
    elif fate == PENDING:
        t.rest = self._chain(t.rest, head, lock)
        t = self._reserve(t, head & FROM_B != 0, head & MASK_96)
    return t


@internal
@pure
def _reserve(tally: Tally, from_b: bool, amount: uint256) -> Tally:
    t: Tally = tally
    if from_b:
        t.need_b = unsafe_add(t.need_b, amount)
    else:
        t.need_a = unsafe_add(t.need_a, amount)
    return t


@internal
@view
def _lock_fate(lock: bytes32, deadline: uint256) -> uint256:
    seen: uint256 = secret_registry.secrets[lock]
    if seen == 0:
        return PENDING if block.timestamp <= deadline else DEAD
    return LIVE if seen <= deadline else DEAD


@internal
@pure
def _chain(link: bytes32, head: uint256, lock: bytes32) -> bytes32:
    if head & LOCKED != 0:
        return keccak256(abi_encode(link, head, lock))
    return keccak256(abi_encode(link, head))


@internal
@pure
def _chain_option(link: bytes32, head: uint256, lock: bytes32, feed: bytes32, terms: uint256) -> bytes32:
    if head & LOCKED != 0:
        return keccak256(abi_encode(link, head, lock, feed, terms))
    return keccak256(abi_encode(link, head, feed, terms))


@internal
@view
def _cut(link: bytes32, at: uint256, end: uint256) -> bytes32:
    """
    @dev A claim that the end of the list cuts off is void; its words are hashed as they are.
    """
    if end - at == 32:
        return keccak256(concat(link, slice(msg.data, at, 32)))
    if end - at == 64:
        return keccak256(concat(link, slice(msg.data, at, 64)))
    return keccak256(concat(link, slice(msg.data, at, 96)))


@internal
@view
def _open_run(feed: bytes32, expiry: uint256, coin_floor_plus_1: uint256) -> Run:
    """
    @dev A price counts if it was published within the grace; from then on it always does, and without
         one the group is void after it: settling and publishing cannot race. In the second of the
         expiry itself hashlocks may still be pending, so the group waits for the next.
    """
    run: Run = Run(
        feed=feed, expiry=expiry, coin_floor_plus_1=coin_floor_plus_1, fate=DEAD, price=0, num=0
    )
    last: uint256 = unsafe_add(expiry, unsafe_mul(convert(feed, uint256) & 255, 3600))
    entry: uint256 = price_registry.prices[keccak256(abi_encode(feed, expiry))]
    if entry != 0 and entry >> 128 <= last and block.timestamp > expiry:
        run.fate = LIVE
        run.price = entry & MASK_128
    elif block.timestamp <= last:
        run.fate = PENDING
    return run


@internal
@pure
def _close_run(
    tally: Tally, run: Run, netted: DynArray[payoffs.Option, payoffs.MAX_NETTED]
) -> Tally:
    t: Tally = tally
    if run.fate == LIVE:
        t.payoff += run.num // convert(payoffs.denominator(run.coin_floor_plus_1, run.price), int256)
    elif run.fate == PENDING:
        need_a: uint256 = 0
        need_b: uint256 = 0
        need_a, need_b = payoffs.worst(netted, run.coin_floor_plus_1)
        t.need_a += need_a
        t.need_b += need_b
    return t
