"""Signatures as both would give them, and everything that mallory tries with them."""

from bench.evm import NO_SIGNATURE, CompactSignature, Party
from tests.contracts.model.books import Params
from tests.contracts.model.money import CHAIN_ID
from tests.contracts.model.scene import Scene
from tests.contracts.model.signing import (
    CLOSE,
    STATE,
    chain_domain,
    hash_struct,
    sign,
    typed,
    with_high_s,
    with_wrong_v,
)
from tests.contracts.model.world import mallory
from tests.dice import Dice

TRICKS = (
    "another chain",
    "another contract",
    "another channel",
    "another message",
    "altered",
    "swapped",
    "mallory for a",
    "mallory for b",
    "high s of a",
    "high s of b",
    "wrong v of a",
    "wrong v of b",
    "none",
    "beyond the order",
)


def cosigned(
    scene: Scene, dice: Dice, params: Params, text: str, fields: tuple[int | bytes, ...], sender: bytes
) -> tuple[CompactSignature, CompactSignature]:
    """The signatures of a and b under what is sent; one time in five something is wrong with them."""
    trick = scene.trick = dice.pick(TRICKS) if dice.one_in(5) else ""
    domain, identity = scene.world.books.domain, params.id(scene.world.books.domain)
    signers = [scene.key(params.a), scene.key(params.b)]
    match trick:
        case "another chain":
            domain = chain_domain("channeld", CHAIN_ID + 1, scene.world.court)
        case "another contract":
            domain = chain_domain("channeld", CHAIN_ID, scene.world.wallet.address)
        case "another channel":
            identity = dice.pick(scene.stage).id(domain)
        case "another message":
            text = CLOSE if text == STATE else STATE
        case "altered":
            at = dice.below(len(fields))
            fields = tuple(_other(value) if index == at else value for index, value in enumerate(fields))
        case "mallory for a" | "mallory for b":
            signers[trick == "mallory for b"] = mallory
    digest = typed(domain, hash_struct(text, identity, *fields))
    return _tampered(trick, [sign(who, digest) for who in signers], params, sender)


def _other(value: int | bytes) -> int | bytes:
    if isinstance(value, int):
        return value + 1
    return bytes([value[0] ^ 1]) + value[1:]


def _tampered(
    trick: str, signatures: list[CompactSignature], params: Params, sender: bytes
) -> tuple[CompactSignature, CompactSignature]:
    side = trick[-1:] == "b"
    match trick:
        case "swapped":
            signatures.reverse()
        case "high s of a" | "high s of b":
            signatures[side] = with_high_s(signatures[side])
        case "wrong v of a" | "wrong v of b":
            signatures[side] = with_wrong_v(signatures[side])
        case "none":
            return NO_SIGNATURE, NO_SIGNATURE
        case "beyond the order":
            signatures = [(b"\xff" * 32, vs) for _, vs in signatures]
        case "":
            if sender in params[:2]:  # who calls need not sign
                signatures[params.index(sender)] = NO_SIGNATURE
    return signatures[0], signatures[1]


def signed_by(dice: Dice, who: Party, digest: bytes) -> CompactSignature:
    """One signature, now and then spoilt."""
    signature = sign(who, digest)
    match dice.below(6):
        case 2:
            return with_high_s(signature)
        case 3:
            return with_wrong_v(signature)
        case 5:
            return NO_SIGNATURE
        case 4:
            return sign(mallory, digest)
        case _:
            return signature
