"""What people do with channels: each act makes one call, honest or not, from a throw of the dice."""

from collections.abc import Iterator

from bench.evm import NO_SIGNATURE
from tests.contracts.model.books import DISPUTED, ETH, OPEN, Channel, Params, Standing
from tests.contracts.model.calls import Call
from tests.contracts.model.lists import hash_of, make_list, spoilt
from tests.contracts.model.mischief import cosigned, signed_by
from tests.contracts.model.money import CHAIN_ID
from tests.contracts.model.scene import ORACLES, Scene
from tests.contracts.model.signing import (
    CLOSE,
    PERMIT,
    START,
    STATE,
    WITHDRAW,
    chain_domain,
    hash_struct,
    sign,
    split,
    typed,
    with_wrong_v,
)
from tests.contracts.model.world import CAST, mallory
from tests.dice import Dice

MAX_POT = 2**95 - 1
Act = tuple[bytes, Call]


def _amount(dice: Dice, channel: Channel) -> int:
    if min(channel.a, channel.b) < 0 and dice.one_in(2):
        return MAX_POT - channel.pot
    if dice.one_in(8):
        return dice.pick((0, MAX_POT, MAX_POT + 1, MAX_POT - channel.pot, MAX_POT + 1 - channel.pot, 2**255))
    return dice.pick((1_000, 500, 10**6, 7, 10**5))


def first_deposits(scene: Scene, dice: Dice) -> Iterator[Act]:
    """Most channels of a run are open from the start; those in the token with permits are not."""
    tokens = scene.world.tokens
    for params in scene.stage:
        sender = params.a if params.a != tokens["hostile"] else params.b
        for to_b, amount in enumerate(dice.pick(((1_000, 500), (10**6, 0), (0, 800), (0, 0)))):
            if amount and params.asset != tokens["permit"]:
                value_wei = amount if params.asset == ETH else 0
                yield sender, Call("deposit", (params, to_b, amount), value_wei=value_wei)


def deposit(scene: Scene, dice: Dice) -> Act:
    scene.replace_closed()
    params = scene.channel_in(dice, OPEN)
    _, channel = scene.world.books.channel(params)
    amount = _amount(dice, channel)
    value_wei = amount if params.asset == ETH else 0
    if dice.one_in(16):
        value_wei += dice.pick((1, 2**127))
    to_b = dice.below(2) if not dice.one_in(40) else 2
    call = Call("deposit", (params, to_b, amount), value_wei=value_wei)
    return scene.sender(dice, params), call


def deposit_with_permit(scene: Scene, dice: Dice) -> Act:
    token = scene.world.tokens["permit"]
    fitting = [params for params in scene.stage if params.asset == token]
    params = dice.pick(fitting) if fitting and not dice.one_in(8) else scene.channel(dice)
    _, channel = scene.world.books.channel(params)
    amount, sender = _amount(dice, channel), scene.sender(dice, params)
    deadline_s, v, r, s = token_permit(scene, dice, token, sender, amount)
    return sender, Call("deposit_with_permit", (params, dice.below(2), amount, deadline_s, v, r, s))


def token_permit(
    scene: Scene, dice: Dice, token: bytes, owner: bytes, amount: int
) -> tuple[int, int, bytes, bytes]:
    """[EIP-2612]: deadline, v, r, s."""
    books = scene.world.books
    deadline_s = scene.now_s + (dice.pick((0, 500)) if not dice.one_in(8) else -1)
    nonce = books.nonces.get((token, owner), 0) + dice.one_in(10)
    struct = hash_struct(PERMIT, owner, books.court, amount, nonce, deadline_s)
    digest = typed(chain_domain("Permit Token", CHAIN_ID, token), struct)
    signature = sign(scene.key(owner), digest)
    if dice.one_in(12):
        signature = with_wrong_v(signature)
    s, parity = split(signature)
    return deadline_s, 27 + parity, signature[0], s.to_bytes(32, "big")


def _until_s(scene: Scene, dice: Dice) -> int:
    return scene.now_s + dice.pick((0, 400, 10_000)) if not dice.one_in(10) else scene.now_s - 1


def _net(dice: Dice, channel: Channel) -> int:
    if dice.one_in(8):
        return dice.pick((2**127 - 1, -(2**127), channel.pot + 1, -channel.pot - 1, 2**127))
    return dice.pick((0, 50, -50, channel.a, -channel.b, channel.a // 2, channel.a + 1, 300))


def close(scene: Scene, dice: Dice, sender: bytes = b"") -> Act:
    if dice.below(3) and not scene.any_in(DISPUTED):
        return deposit(scene, dice)
    params = scene.channel_in(dice, dice.pick((OPEN, DISPUTED)))
    _, channel = scene.world.books.channel(params)
    sender = sender or scene.sender(dice, params)
    net, until_s = _net(dice, channel), _until_s(scene, dice)
    counter = channel.counter + (dice.pick((1, -1)) if dice.one_in(10) else 0)
    signatures = cosigned(scene, dice, params, CLOSE, (counter, net, until_s), sender)
    return sender, Call("close", (params, net, until_s, *signatures))


def withdraw(scene: Scene, dice: Dice, sender: bytes = b"") -> Act:
    if not dice.below(3):
        return challenge(scene, dice)
    params = scene.channel_in(dice, OPEN)
    _, channel = scene.world.books.channel(params)
    sender, until_s = sender or scene.sender(dice, params), _until_s(scene, dice)
    to_a, to_b = dice.pick(
        (
            (max(channel.a, 0), 0),
            (0, max(channel.pot, 0)),  # all of it, much of which b has earned
            (10, 20),
            (max(channel.pot, 0), 0),
            (0, 0),
            (max(channel.pot, 0), 1),  # more than there is
            (2**96, 0),
        )
    )
    counter = channel.counter + (dice.pick((1, -1)) if dice.one_in(10) else 0)
    signatures = cosigned(scene, dice, params, WITHDRAW, (counter, to_a, to_b, until_s), sender)
    return sender, Call("withdraw", (params, to_a, to_b, until_s, *signatures))


def _state(
    scene: Scene, dice: Dice, params: Params, lowest: int, sender: bytes
) -> tuple[Params, int, int, bytes, object, object]:
    """A state of at least that version, mostly, signed by both."""
    books = scene.world.books
    _, channel = books.channel(params)
    words = make_list(scene, dice)
    version = lowest + dice.pick((1, 0, 2, 5, -1))
    if dice.one_in(16):
        version = dice.pick((2**64 - 1, 2**64, 0))
    claims = hash_of(words)
    books.lists[claims] = words
    net = _net(dice, channel)
    version = max(version, 0)
    sig_a, sig_b = cosigned(scene, dice, params, STATE, (version, net, claims), sender)
    if version == 0:
        net, claims = dice.pick(((0, bytes(32)), (5, bytes(32)), (0, b"\1" * 32)))
    return params, version, net, claims, sig_a, sig_b


def challenge(scene: Scene, dice: Dice) -> Act:
    params = scene.channel_in(dice, OPEN)
    sender = scene.sender(dice, params)
    if dice.one_in(6):
        nothing = (params, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE)
        return sender, Call("challenge", nothing)
    if sender not in params[:2] and not dice.one_in(3):
        return _challenge_for(scene, dice, params, sender)
    return sender, Call("challenge", _state(scene, dice, params, 5, sender))


def _challenge_for(scene: Scene, dice: Dice, params: Params, sender: bytes) -> Act:
    minimum = dice.pick((3, 1, 5, 0, 7))
    until_s = _until_s(scene, dice)
    holder = sender if not dice.one_in(8) else mallory.address
    granter = scene.key(dice.pick(params[:2])) if not dice.one_in(8) else mallory
    struct = hash_struct(START, params.id(scene.world.books.domain), holder, minimum, until_s)
    digest = typed(scene.world.books.domain, struct)
    permit = signed_by(dice, granter, digest) if dice.one_in(4) else sign(granter, digest)
    state = _state(scene, dice, params, 4, sender)
    return sender, Call("challenge_for", (*state, minimum, until_s, permit))


def respond(scene: Scene, dice: Dice, sender: bytes = b"") -> Act:
    if not scene.any_in(DISPUTED) and dice.below(12):
        return challenge(scene, dice)
    params = scene.channel_in(dice, DISPUTED)
    sender = sender or dice.pick(CAST).address
    if dice.one_in(8):  # in the last second
        scene.go_to(scene.world.books.channel(params)[1].expiry_s - 1)
    standing = scene.world.books.disputes.get(params.id(scene.world.books.domain))
    lowest = standing.version if standing else 5
    return sender, Call("respond", _state(scene, dice, params, lowest, sender))


def settle(scene: Scene, dice: Dice) -> Act:
    if not scene.any_in(DISPUTED) and dice.below(12):
        return challenge(scene, dice)
    books = scene.world.books
    params = scene.channel_in(dice, DISPUTED)
    _wait_for_the_end(scene, dice, params)
    nothing = Standing(1, 0, bytes(32), bytes(32))
    standing = books.disputes.get(params.id(books.domain), nothing)
    words, net, salt = books.lists.get(standing.claims, b""), standing.net, standing.salt
    match dice.below(16):
        case 15:
            net = dice.pick((net + 1, net - 1, -(2**255), 2**255 - 1))
        case 14:
            salt = bytes(32)
        case 13 | 12:
            words = spoilt(words, dice)
        case 11:
            words += b"\0" * dice.pick((1, 31))
    sender = dice.pick(CAST).address
    with_claims = bool(words) if not dice.one_in(16) else not words
    if with_claims:
        return sender, Call("settle_claims", (params, net, salt), tail=words)
    return sender, Call("settle", (params, net, salt))


def _wait_for_the_end(scene: Scene, dice: Dice, params: Params) -> None:
    """Mostly nobody settles before the window is over."""
    expiry_s = scene.world.books.channel(params)[1].expiry_s
    if dice.below(6):
        scene.go_to(expiry_s)


def settle_batch(scene: Scene, dice: Dice) -> Act:
    if not scene.any_in(DISPUTED) and dice.below(12):
        return challenge(scene, dice)
    books = scene.world.books
    first = scene.channel_in(dice, DISPUTED)
    _wait_for_the_end(scene, dice, first)
    hub, asset = dice.pick(first[:2]), first.asset
    exits = []
    for params in (*scene.stage, *scene.others[:2], *scene.stage[: dice.below(2)]):
        peer = params.b if params.a == hub else params.a
        standing = books.disputes.get(params.id(books.domain))
        net, salt = (standing.net, standing.salt) if standing else (0, bytes(32))
        exits.append((peer, params.config, net + dice.one_in(8), salt))
    if dice.one_in(40):
        exits *= 25
    return dice.pick(CAST).address, Call("settle_batch", (hub, asset, exits))


def claim_credit(scene: Scene, dice: Dice) -> Act:
    world = scene.world
    owed = [
        key for key, amount in world.books.credits.items() if amount and key[1] not in world.tokens.values()
    ]
    if not owed and dice.below(4):
        return settle(scene, dice)
    asset, sender = dice.pick(owed) if owed and not dice.one_in(6) else (ETH, mallory.address)
    targets = (sender, ORACLES[0].address, mallory.address, world.wallet.address, world.court)
    to = dice.pick(targets[:1] * 3 + targets[1:])
    if dice.below(3):
        return sender, Call("claim_credit", (asset, to))
    return sender, Call("claim_credits", ([asset, *world.tokens.values(), ETH] * dice.pick((1, 2, 7)), to))
