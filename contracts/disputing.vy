# pragma version 0.4.3
"""
@title Leaving alone
@notice One window: whoever leaves shows a co-signed state, anyone may answer with a later one, the
        latest is paid out. The window never starts again.
"""
import claim_list
import ledger
import payouts
import signatures

uses: claim_list
uses: ledger
uses: payouts

struct Exit:
    peer: address
    config: uint256
    net: int256
    salt: bytes32

event Challenged:
    channel: indexed(bytes32)
    version: uint64
    net: int128
    claims: bytes32
    salt: bytes32

event PartiallySettled:
    channel: indexed(bytes32)
    to_a: uint256
    to_b: uint256
    net: int256
    claims: bytes32


STATE_TYPE: constant(bytes32) = keccak256("State(bytes32 channel,uint64 version,int128 net,bytes32 claims)")
PERMIT_TYPE: constant(bytes32) = keccak256(
    "Start(bytes32 channel,address holder,uint64 minimum,uint40 until)"
)
MASK_40: constant(uint256) = 2**40 - 1
MASK_42: constant(uint256) = 2**42 - 1
MASK_128: constant(uint256) = 2**128 - 1
MASK_192: constant(uint256) = 2**192 - 1
# selector, Params, net, salt
CLAIMS_OFFSET: constant(uint256) = 196
# Channels of one batch: the buffer is paid for by each.
MAX_BATCH: constant(uint256) = 128


@external
def challenge(
    params: ledger.Params,
    version: uint64,
    net: int128,
    claims: bytes32,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @notice Leave alone with a co-signed state: starts the window in which a later one may answer.
            Version 0, nothing paid and no claims, needs no signature.
    """
    assert msg.sender == params.a or msg.sender == params.b, "challenge: not a party"
    id: bytes32 = ledger.channel_id(params)
    self._start(id, params.config)
    self._store_state(params, id, version, net, claims, sig_a, sig_b)


@external
def challenge_for(
    params: ledger.Params,
    version: uint64,
    net: int128,
    claims: bytes32,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
    minimum: uint64,
    until: uint40,
    permit: signatures.Signature,
):
    """
    @notice Leave for a party that has permitted it to the caller, a tower say, until a time and with
            no version below a minimum.
    @dev The minimum is above 0, or the holder could bring the state that needs no signature.
    """
    id: bytes32 = ledger.channel_id(params)
    digest: bytes32 = keccak256(
        concat(
            b"\x19\x01",
            ledger.DOMAIN,
            keccak256(abi_encode(PERMIT_TYPE, id, msg.sender, minimum, until)),
        )
    )
    granter: address = signatures.signer(digest, permit)
    assert granter == params.a or granter == params.b, "permit: not by a party"
    assert block.timestamp <= convert(until, uint256), "permit: too late"
    assert minimum != 0 and version >= minimum, "permit: version too low"
    self._start(id, params.config)
    self._store_state(params, id, version, net, claims, sig_a, sig_b)


@external
def respond(
    params: ledger.Params,
    version: uint64,
    net: int128,
    claims: bytes32,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @notice Answer a challenge with a later state, within the window. Anyone may.
    """
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    assert slot >> 232 & 3 == ledger.DISPUTED, "respond: no dispute"
    assert block.timestamp < slot >> 192 & MASK_40, "respond: too late"
    assert convert(version, uint256) > ledger.disputes[id] >> 192, "respond: not later"
    self._store_state(params, id, version, net, claims, sig_a, sig_b)


@external
@nonreentrant
def settle(params: ledger.Params, net: int256, salt: bytes32):
    """
    @notice Pay out a state without claims after the window. `salt` is in its Challenged event.
    """
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    self._require_settleable(id, slot, net, empty(bytes32), salt)
    ledger.disputes[id] = 0
    ledger.finish(params, id, slot, net)


@external
@nonreentrant
def settle_batch(hub: address, asset: address, exits: DynArray[Exit, MAX_BATCH]):
    """
    @notice Settle many channels of one address in one asset, none of them with claims; the hub is paid
            once. What cannot be settled (yet, or any more) is skipped.
    """
    to_hub: uint256 = 0
    domain: bytes32 = ledger.DOMAIN
    for exit: Exit in exits:
        a: address = hub
        b: address = exit.peer
        if convert(a, uint256) > convert(b, uint256):
            a = exit.peer
            b = hub
        id: bytes32 = keccak256(abi_encode(a, b, asset, exit.config, domain))
        slot: uint256 = ledger.channels[id]
        # Status and expiry in one: from "disputed, expired at 0" to "disputed, expires now".
        if unsafe_sub(slot >> 192 & MASK_42, ledger.DISPUTED << 40) > block.timestamp:
            continue
        stored: uint256 = ledger.disputes[id]
        state: bytes32 = keccak256(
            abi_encode(STATE_TYPE, id, stored >> 192, exit.net, empty(bytes32))
        )
        if (stored ^ convert(keccak256(abi_encode(state, exit.salt)), uint256)) & MASK_192 != 0:
            continue
        ledger.disputes[id] = 0
        to_a: uint256 = 0
        to_b: uint256 = 0
        to_a, to_b = ledger.entomb(id, slot, exit.net)
        if a == hub:
            to_hub = unsafe_add(to_hub, to_a)
            payouts.push(asset, b, to_b)
        else:
            to_hub = unsafe_add(to_hub, to_b)
            payouts.push(asset, a, to_a)
    payouts.push(asset, hub, to_hub)


@external
@nonreentrant
def settle_claims(params: ledger.Params, net: int256, salt: bytes32):
    """
    @notice Pay out a state with claims after the window: their words follow the arguments. What is
            decided now is paid now; if something stays pending, both get what its worst case cannot
            need, and the rest waits for another call.
    @dev Reverts if it would neither decide nor pay anything. |net| < 2^127 as signed, and a claim
         moves less than 2^224: sums of 2^16 of them are far from overflowing.
    """
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    t: claim_list.Tally = claim_list.tally(CLAIMS_OFFSET)
    self._require_settleable(id, slot, net, t.link, salt)
    by_b: int256 = convert(t.paid >> 128, int256)
    by_a: int256 = convert(t.paid & MASK_128, int256)
    total: int256 = net - t.payoff + by_a - by_b
    if t.rest == empty(bytes32):
        ledger.disputes[id] = 0
        ledger.finish(params, id, slot, total)
        return
    base: int256 = ledger.deposit_a(slot) - total
    pot: int256 = ledger.deposit_a(slot) + ledger.deposit_b(slot)
    to_a: int256 = max(0, min(base - convert(t.need_a, int256), pot))
    to_b: int256 = max(0, min(pot - base - convert(t.need_b, int256), pot))
    assert t.rest != t.link or to_a + to_b != 0, "settle: nothing to do yet"
    left: int256 = pot - to_a - to_b
    new_net: int256 = left + to_a - base
    version: uint256 = ledger.disputes[id] >> 192
    ledger.disputes[id] = (version << 192) | self._fingerprint(id, version, new_net, t.rest, salt)
    # The counter steps, so that a close signed for the old deposits dies.
    ledger.channels[id] = unsafe_add(ledger.with_deposits(slot, left, 0), 1 << 234)
    log PartiallySettled(
        channel=id, to_a=convert(to_a, uint256), to_b=convert(to_b, uint256), net=new_net, claims=t.rest
    )
    payouts.push(params.asset, params.a, convert(to_a, uint256))
    payouts.push(params.asset, params.b, convert(to_b, uint256))


@internal
def _start(id: bytes32, config: uint256):
    """
    @dev Start the window. While a channel is open its expiry is 0 and its status 1, which becomes 2.
    """
    slot: uint256 = ledger.channels[id]
    assert slot >> 232 & 3 == ledger.OPEN, "challenge: not open"
    expiry: uint256 = unsafe_add(block.timestamp, config >> 216)
    ledger.channels[id] = unsafe_add(slot, (1 << 232) | (expiry << 192))


@internal
def _store_state(
    params: ledger.Params,
    id: bytes32,
    version: uint64,
    net: int128,
    claims: bytes32,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @dev The salt is not known when the state is signed, so nobody can prepare a second state with the
         same fingerprint: 192 bits against a second preimage, not 96 against a collision.
    """
    struct_hash: bytes32 = keccak256(abi_encode(STATE_TYPE, id, version, net, claims))
    if version == 0:
        assert net == 0 and claims == empty(bytes32), "state: version 0 is empty"
    else:
        ledger.require_agreed(params, struct_hash, sig_a, sig_b)
    salt: bytes32 = blockhash(unsafe_sub(block.number, 1))
    fingerprint: uint256 = convert(keccak256(abi_encode(struct_hash, salt)), uint256) & MASK_192
    ledger.disputes[id] = (convert(version, uint256) << 192) | fingerprint
    log Challenged(channel=id, version=version, net=net, claims=claims, salt=salt)


@internal
@pure
def _fingerprint(id: bytes32, version: uint256, net: int256, claims: bytes32, salt: bytes32) -> uint256:
    struct_hash: bytes32 = keccak256(abi_encode(STATE_TYPE, id, version, net, claims))
    return convert(keccak256(abi_encode(struct_hash, salt)), uint256) & MASK_192


@internal
@view
def _require_settleable(id: bytes32, slot: uint256, net: int256, claims: bytes32, salt: bytes32):
    """
    @dev The window is over and this is the state that stands.
    """
    assert slot >> 232 & 3 == ledger.DISPUTED, "settle: no dispute"
    assert block.timestamp >= slot >> 192 & MASK_40, "settle: too early"
    stored: uint256 = ledger.disputes[id]
    assert stored & MASK_192 == self._fingerprint(
        id, stored >> 192, net, claims, salt
    ), "settle: not the state"
