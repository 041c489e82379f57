"""Lists of claims as two might sign them, sensible or not, and as mallory would rather have them."""

from hashlib import sha256

from channeld.core.claims import PayoffKind
from tests.contracts.model.registries import feed_id
from tests.contracts.model.scene import BAD_FEEDS, GOOD_FEEDS, HOUR_S, PREIMAGES, Scene
from tests.contracts.model.signing import word
from tests.contracts.valuation import chain_of, read_list
from tests.dice import Dice

USD = 10**8
LOCKED, FROM_B = 1 << 249, 1 << 248
AMOUNTS = (100, 1, 7, 1_000, 0, 60_000, 2**95 - 1, 2**96 - 1)
STRIKES = (200, 100, 300, 2)
FAR_S = 2**40 - 1
LOCKS = tuple(sha256(preimage).digest() for preimage in PREIMAGES)


def make_list(scene: Scene, dice: Dice) -> bytes:
    """The words of some claims. Remembers the moments that decide them."""
    if dice.one_in(24):
        return _many_of_one_group(scene, dice)
    feed, expiry_s = _group(scene, dice)
    words = []
    for _ in range(dice.pick((0, 1, 2, 3, 4, 6))):
        if dice.one_in(4):
            feed, expiry_s = _group(scene, dice)
        words.append(_claim(scene, dice, feed, expiry_s))
    if dice.below(3) != 2:
        words.sort(key=lambda claim: _order(claim))
    return spoilt(b"".join(words), dice) if dice.one_in(12) else b"".join(words)


def _order(claim: bytes) -> tuple[bool, bytes]:
    (listed,) = read_list(claim)
    return bool(listed.kind), listed.words[-64:-32] if listed.kind else b""


def _group(scene: Scene, dice: Dice) -> tuple[bytes, int]:
    definition = dice.pick(GOOD_FEEDS) if not dice.one_in(10) else BAD_FEEDS[0]
    expiry_s = scene.now_s // 60 * 60 + dice.pick((660, 60, 1_200, 1_260, 4_800))
    if dice.one_in(20):
        expiry_s = dice.pick((0, FAR_S))
    else:
        scene.expiries.append((definition, expiry_s))
        grace_s = feed_id(definition)[31] * HOUR_S
        scene.note_moments(expiry_s, expiry_s + 1, expiry_s + grace_s, expiry_s + grace_s + 1)
    return feed_id(definition), expiry_s


def _claim(scene: Scene, dice: Dice, feed: bytes, expiry_s: int) -> bytes:
    kind = dice.pick((0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 5))
    if dice.one_in(20):
        kind = dice.pick((7, 8, 63))
    head = kind << 250 | dice.pick(AMOUNTS[: 5 if dice.below(3) else 8])
    head |= FROM_B if dice.one_in(2) else 0
    lock = b""
    if dice.one_in(2) or kind == 0:
        head |= LOCKED
        lock = dice.pick(LOCKS)
        deadline_s = scene.now_s + dice.pick((700, 300, 0, 601, 1_300, 5_000))
        if dice.one_in(20):
            deadline_s = dice.pick((0, FAR_S))
        scene.note_moments(deadline_s, deadline_s + 1)
        head |= deadline_s % 2**40 << 96
    elif dice.one_in(10):
        head |= scene.now_s << 96  # a deadline without a lock says nothing
    if kind == 0:
        if dice.one_in(20):
            head, lock = head & ~LOCKED, b""  # an unconditional debt
        return word(head) + lock
    return word(head | expiry_s << 136) + lock + feed + word(_terms(dice, kind))


def _terms(dice: Dice, kind: int) -> int:
    strike = dice.pick(STRIKES) * USD
    match kind:
        case PayoffKind.CALL:
            bound = strike + dice.pick((100, 1, 1_000)) * USD
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            bound = 0
        case _:
            bound = dice.pick((USD, USD + USD // 2, strike - 1))
    if dice.one_in(8):
        bound = dice.pick((0, strike, strike - 1, strike + 1, 2**128 - 1))
    if dice.one_in(12):
        strike = dice.pick((0, 1, 2**128 - 1))
    return strike << 128 | bound


def _many_of_one_group(scene: Scene, dice: Dice) -> bytes:
    feed, expiry_s = _group(scene, dice)
    words = b""
    for _ in range(26):
        kind, strike = dice.pick((1, 2, 3)), dice.pick(STRIKES) * USD
        bound = {1: strike + USD, 2: strike - USD, 3: 0}[kind]
        head = kind << 250 | expiry_s << 136 | dice.pick((1, 3)) | (FROM_B if dice.one_in(2) else 0)
        words += word(head) + feed + word(strike << 128 | bound)
    return words


def spoilt(words: bytes, dice: Dice) -> bytes:
    """Another list than the one given: cut, longer, reordered, thinned out."""
    claims = [claim.words for claim in read_list(words)]
    match dice.below(6):
        case 0:
            return words[:-32]
        case 1:
            return words + bytes(32)
        case 2:
            return b"".join(claims[1:] + claims[:1])
        case 3:
            return b"".join(claims[:-1])
        case 4:
            return words + word(dice.pick((1, 5, 63)) << 250 | LOCKED | 9) + bytes(32 * dice.below(3))
        case _:
            return words[:-1] + bytes([words[-1] ^ 1]) if words else bytes(64)


def hash_of(words: bytes) -> bytes:
    return chain_of(list(read_list(words)))
