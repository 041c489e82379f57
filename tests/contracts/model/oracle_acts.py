"""What is done with the registries: secrets shown, prices published, rightly and wrongly."""

from bench.evm import CompactSignature
from channeld.wire.eip712 import keccak
from tests.contracts.model.acts import Act
from tests.contracts.model.calls import Blob, Call
from tests.contracts.model.lists import USD
from tests.contracts.model.mischief import signed_by
from tests.contracts.model.registries import feed_id
from tests.contracts.model.scene import BAD_FEEDS, GOOD_FEEDS, ORACLES, PREIMAGES, Dice, Scene
from tests.contracts.model.signing import PRICE, PRICE_DOMAIN, chain_domain, hash_struct, sign, typed, word
from tests.contracts.model.world import CAST

PRICES = (150, 100, 200, 250, 300, 1_000)


def register_secrets(scene: Scene, dice: Dice) -> Act:
    sender = dice.pick(CAST).address
    if dice.below(2):
        return sender, Call("register_secret", (dice.pick(PREIMAGES),))
    some = [dice.pick(PREIMAGES) for _ in range(dice.pick((2, 1, 0, 3)))]
    if dice.one_in(30):
        some = [*PREIMAGES, *PREIMAGES] * 6
    return sender, Call("register_secrets", (some,))


def publish(scene: Scene, dice: Dice) -> Act:
    """Preferably a price that some claim waits for."""
    due = [item for item in scene.expiries[-12:] if item[1] <= scene.now_s]
    if due and not dice.one_in(6):
        feed, instant_s = dice.pick(due)
    elif scene.expiries and dice.one_in(3):
        feed, instant_s = dice.pick(scene.expiries[-12:])
    else:
        feed, instant_s = dice.pick(GOOD_FEEDS), scene.now_s + dice.pick((0, -60, 1))
    if dice.one_in(4):
        feed, instant_s = dice.pick(BAD_FEEDS), min(instant_s, scene.now_s)
    price = _price(dice)
    ours = len(feed) < 64 or feed[61] != 2
    if dice.one_in(24):
        ours = not ours
    if ours:
        return dice.pick(CAST).address, _ours(dice, feed, instant_s, price)
    return dice.pick(CAST).address, _redstone(dice, feed, instant_s, price)


def _price(dice: Dice) -> int:
    if dice.one_in(12):
        return dice.pick((0, 1, 2**128 - 1, 2**128))
    return dice.pick(PRICES) * USD + dice.pick((0, -1, 1))


def _identity(feed: Blob) -> bytes:
    return feed_id(feed) if len(feed) >= 64 else bytes(32)


def _ours(dice: Dice, feed: Blob, instant_s: int, price: int) -> Call:
    domain, fields = PRICE_DOMAIN, [_identity(feed), instant_s, price]
    match dice.below(24):
        case 23:
            domain = chain_domain("channeld price", 1, bytes(20))
        case 22:
            fields[2] = price + 1  # another value is signed
        case 21:
            fields[1] = instant_s - 10  # at another instant
        case 20:
            fields[0] = feed_id(GOOD_FEEDS[2])  # for another feed
    digest = typed(domain, hash_struct(PRICE, *fields))
    threshold = feed[62] if len(feed) >= 64 else 1
    signers = list(ORACLES[:threshold])
    match dice.below(16):
        case 15:
            signers.reverse()
        case 14:
            signers = signers[:1] * threshold
        case 13:
            signers = signers[:-1]
        case 12:
            signers = [*signers, ORACLES[-1]]
        case 11:
            signers[-1:] = [ORACLES[-1]]
        case 10:
            signers = list(ORACLES[1 : threshold + 1])
    proofs = [signed_by(dice, who, digest) if dice.one_in(4) else sign(who, digest) for who in signers]
    return Call("publish_price", (feed, instant_s, price, proofs))


def _redstone(dice: Dice, feed: Blob, instant_s: int, price: int) -> Call:
    count = feed[62] if len(feed) >= 64 else 1
    names = [bytes(feed[96 + 32 * n - 20 : 96 + 32 * n]) for n in range(count)]
    keys = {who.address: who for who in ORACLES}
    signers = [keys.get(name, ORACLES[0]) for name in names]
    spread = dice.pick(((0, 3, -5), (0, 0, 0), (9, -1, 2), (2**200, 2**255, 2**255), (1, 0, 2**130)))
    values = [max(0, price + spread[n % 3]) for n in range(count)]
    proofs: list[CompactSignature] = []
    for who, value in zip(signers, values, strict=True):
        symbol = feed[:32] if not dice.one_in(40) else b"BTC".ljust(32, b"\0")
        shown_ms = instant_s * 1000 + dice.one_in(40)
        package = symbol + word(value) + (shown_ms % 2**48).to_bytes(6, "big")
        proofs.append(signed_by(dice, who, keccak(package + b"\0\0\0\x20\0\0\x01")))
    match dice.below(16):
        case 15:
            proofs = proofs[:-1]
        case 14:
            values = values[:-1]
        case 13:
            values.reverse()
        case 12:
            proofs.reverse()
    return Call("publish_redstone", (feed, instant_s, values, proofs))
