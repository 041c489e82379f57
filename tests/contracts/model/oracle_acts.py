"""What is done with the registries: secrets shown, prices published, rightly and wrongly."""

from hashlib import sha256

from bench.evm import NO_SIGNATURE, CompactSignature
from channeld.wire.eip712 import keccak
from tests.contracts.model.acts import Act
from tests.contracts.model.calls import Blob, Call
from tests.contracts.model.lists import USD
from tests.contracts.model.mischief import signed_by
from tests.contracts.model.registries import feed_id
from tests.contracts.model.scene import BAD_FEEDS, GOOD_FEEDS, ORACLES, PREIMAGES, Scene
from tests.contracts.model.signing import PRICE, PRICE_DOMAIN, chain_domain, hash_struct, sign, typed, word
from tests.contracts.model.world import CAST
from tests.contracts.valuation import read_list
from tests.dice import Dice

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
    domain, identity, signed_s, signed = PRICE_DOMAIN, _identity(feed), instant_s, price
    threshold = feed[62] if len(feed) >= 64 else 1
    signers = list(ORACLES[:threshold])
    flaw = dice.below(13) if dice.one_in(2) else 0
    match flaw:
        case 1:
            domain = chain_domain("channeld price", 1, bytes(20))
        case 2:
            signed = price + 1  # another value is signed
        case 3:
            signed_s = instant_s - 10  # at another instant
        case 4:
            identity = feed_id(GOOD_FEEDS[2])  # for another feed
        case 5:
            signers.reverse()
        case 6:
            signers = signers[:1] * threshold
        case 7:
            signers = signers[:-1]
        case 8:
            signers = [*signers, ORACLES[-1]]
        case 9:
            signers[-1:] = [ORACLES[-1]]
        case 10:
            signers = list(ORACLES[1 : threshold + 1])
    digest = typed(domain, hash_struct(PRICE, identity, signed_s, signed))
    proofs = [signed_by(dice, who, digest) if flaw == 11 else sign(who, digest) for who in signers]
    if flaw == 12:
        proofs[:1] = [NO_SIGNATURE]
    return Call("publish_price", (feed, instant_s, price, proofs))


def _redstone(dice: Dice, feed: Blob, instant_s: int, price: int) -> Call:
    count = feed[62] if len(feed) >= 64 else 1
    names = [bytes(feed[96 + 32 * n - 20 : 96 + 32 * n]) for n in range(count)]
    keys = {who.address: who for who in ORACLES}
    signers = [keys.get(name, ORACLES[0]) for name in names]
    spread = dice.pick(((0, 3, -5), (0, 0, 0), (9, -1, 2)))
    values = [max(0, price + spread[n % 3]) for n in range(count)]
    if dice.one_in(5):
        values = [dice.pick((2**255, 2**130, 0))] * count
    symbol, shown_ms = feed[:32], instant_s * 1000 % 2**48
    flaw = dice.below(8) if dice.one_in(3) else 0
    match flaw:
        case 1:
            symbol = b"BTC".ljust(32, b"\0")
        case 2:
            shown_ms += 1
    proofs: list[CompactSignature] = []
    for who, value in zip(signers, values, strict=True):
        digest = keccak(symbol + word(value) + shown_ms.to_bytes(6, "big") + b"\0\0\0\x20\0\0\x01")
        proofs.append(signed_by(dice, who, digest) if flaw == 3 else sign(who, digest))
    match flaw:
        case 4:
            proofs = proofs[:-1]
        case 5:
            values = values[:-1]
        case 6:
            values = [value + 1 for value in values]
        case 7:
            proofs.reverse()
    return Call("publish_redstone", (feed, instant_s, values, proofs))


def decide(scene: Scene, dice: Dice) -> Act | None:
    """Whatever would decide a claim of a dispute: its secret, its price, or time."""
    books = scene.world.books
    waiting = [books.lists[state.claims] for state in books.disputes.values() if state.claims in books.lists]
    claims = [claim for words in waiting for claim in read_list(words) if not claim.cut]
    if not claims:
        return None
    claim = dice.pick(claims)
    secrets = {sha256(preimage).digest(): preimage for preimage in PREIMAGES}
    if claim.hashlock in secrets and claim.hashlock not in books.registries.secrets:
        if claim.deadline_s >= scene.now_s and dice.one_in(3):
            scene.go_to(claim.deadline_s + dice.below(2))
        return dice.pick(CAST).address, Call("register_secret", (secrets[claim.hashlock],))
    feeds = {feed_id(feed): feed for feed in (*GOOD_FEEDS, BAD_FEEDS[0])}
    if not claim.kind or claim.feed not in feeds:
        return None
    last_s = claim.expiry_s + claim.feed[31] * 3600
    scene.go_to(
        max(
            scene.now_s, claim.expiry_s + dice.pick((1, 0, 2)), last_s + dice.pick((-(2**40), 0, 1, -(2**40)))
        )
    )
    price = claim.strike + dice.pick((0, -1, 1, 50 * USD, -50 * USD, 200 * USD))
    publish = _ours if feeds[claim.feed][61] == 1 else _redstone
    return dice.pick(CAST).address, publish(
        dice, feeds[claim.feed], claim.expiry_s, min(max(price, 1), 2**128 - 1)
    )
