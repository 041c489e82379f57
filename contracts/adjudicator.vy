# pragma version 0.4.3
# pragma evm-version prague
"""
@title The adjudicator
@notice Holds the deposits of every channel and pays them out as both sides have agreed, or as the
        latest state that both have signed says. No owner, no pause, no upgrade.
@dev The layout of words, digests and calls is in docs/protocol.md; why it is so, in docs/decisions.md.
"""
from ethereum.ercs import IERC20

import claim_list
import payouts
import price_registry
import secret_registry
import signatures

initializes: payouts
initializes: price_registry
initializes: secret_registry
initializes: claim_list[price_registry := price_registry, secret_registry := secret_registry]
exports: (
    payouts.claim_credit,
    payouts.credits,
    price_registry.prices,
    price_registry.publish_price,
    secret_registry.register_secret,
    secret_registry.register_secrets,
    secret_registry.secrets,
)

struct Params:
    a: address  # below b as a number
    b: address
    asset: address  # zero: ETH
    config: uint256  # challenge period u40 << 216 (seconds) | salt u216

event Opened:
    channel: indexed(bytes32)
    a: indexed(address)
    b: indexed(address)
    asset: address
    config: uint256
    amount: int256  # of the first deposit: above 0 for a, below for b

event Deposited:
    channel: indexed(bytes32)
    slot: uint256

event Closed:
    channel: indexed(bytes32)
    to_a: uint256
    to_b: uint256

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


# deposit_a i96 | deposit_b i96 << 96 | expiry u40 << 192 | status u2 << 232 | counter u22 << 234
channels: public(HashMap[bytes32, uint256])
# version u64 << 192 | low 192 bits of keccak256(struct hash of the state, salt)
disputes: public(HashMap[bytes32, uint256])

OPEN: constant(uint256) = 1
DISPUTED: constant(uint256) = 2
TOMBSTONE: constant(uint256) = 3 << 232  # an id never lives again

# Below ten minutes nobody could answer; above a month the expiry would have to be worth waiting for.
MIN_PERIOD: constant(uint256) = 600
MAX_PERIOD: constant(uint256) = 2_592_000
MAX_POT: constant(int256) = 2**95 - 1  # so that the whole pot fits one signed deposit

MASK_96: constant(uint256) = 2**96 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_128: constant(uint256) = 2**128 - 1
MASK_192: constant(uint256) = 2**192 - 1
# selector, Params, net, salt
CLAIMS_OFFSET: constant(uint256) = 196

STATE_TYPE: constant(bytes32) = keccak256("State(bytes32 channel,uint64 version,int128 net,bytes32 claims)")
CLOSE_TYPE: constant(bytes32) = keccak256("Close(bytes32 channel,uint64 counter,int128 net,uint40 until)")
DOMAIN: public(immutable(bytes32))


@deploy
def __init__():
    DOMAIN = keccak256(
        abi_encode(
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak256("channeld"),
            keccak256("1"),
            chain.id,
            self,
        )
    )


@external
@payable
@nonreentrant
def deposit(params: Params, to_b: bool, amount: uint256):
    """
    @notice Add to the deposit of one side; the first deposit opens the channel. Anyone may pay.
    @dev The slot is read after the token was called, so that nothing done in a hook is overwritten.
    """
    got: int256 = self._take(params.asset, amount)
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    if slot == 0:
        self._require_openable(params)
        log Opened(
            channel=id, a=params.a, b=params.b, asset=params.asset, config=params.config, amount=-got if to_b else got
        )
        self.channels[id] = (convert(got, uint256) << (96 if to_b else 0)) | (OPEN << 232)
        return
    assert (slot >> 232) & 3 == OPEN, "deposit: not open"
    deposit_a: int256 = self._deposit_a(slot)
    deposit_b: int256 = self._deposit_b(slot)
    assert deposit_a + deposit_b + got <= MAX_POT, "deposit: too large"
    if to_b:
        deposit_b += got
        assert deposit_b <= MAX_POT, "deposit: too large"
    else:
        deposit_a += got
        assert deposit_a <= MAX_POT, "deposit: too large"
    slot = ((slot >> 192) << 192) | self._packed(deposit_a, deposit_b)
    self.channels[id] = slot
    log Deposited(channel=id, slot=slot)


@external
@nonreentrant
def close(
    params: Params, net: int128, until: uint40, sig_a: signatures.Signature, sig_b: signatures.Signature
):
    """
    @notice Close at once as both agree: a has paid b `net`. Final, also during a dispute.
    """
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    status: uint256 = (slot >> 232) & 3
    assert status == OPEN or status == DISPUTED, "close: no such channel"
    assert block.timestamp <= convert(until, uint256), "close: too late"
    self._require_agreed(
        params, keccak256(abi_encode(CLOSE_TYPE, id, slot >> 234, net, until)), sig_a, sig_b
    )
    if status == DISPUTED:
        self.disputes[id] = 0
    self._finish(params, id, slot, self._deposit_a(slot) - convert(net, int256))


@external
def challenge(
    params: Params,
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
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    assert (slot >> 232) & 3 == OPEN, "challenge: not open"
    expiry: uint256 = unsafe_add(block.timestamp, params.config >> 216)
    self.channels[id] = (slot & ~((3 << 232) | (MASK_40 << 192))) | (DISPUTED << 232) | (expiry << 192)
    self._store_state(params, id, version, net, claims, sig_a, sig_b)


@external
def respond(
    params: Params,
    version: uint64,
    net: int128,
    claims: bytes32,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @notice Answer a challenge with a later state, within the window. Anyone may.
    """
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    assert (slot >> 232) & 3 == DISPUTED, "respond: no dispute"
    assert block.timestamp < (slot >> 192) & MASK_40, "respond: too late"
    assert convert(version, uint256) > self.disputes[id] >> 192, "respond: not later"
    self._store_state(params, id, version, net, claims, sig_a, sig_b)


@external
@nonreentrant
def settle(params: Params, net: int256, salt: bytes32):
    """
    @notice Pay out a state without claims after the window. `salt` is in its Challenged event.
    """
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    self._require_settleable(id, slot, net, empty(bytes32), salt)
    self.disputes[id] = 0
    self._finish(params, id, slot, self._deposit_a(slot) - net)


@external
@nonreentrant
def settle_claims(params: Params, net: int256, salt: bytes32):
    """
    @notice Pay out a state with claims after the window: their words follow the arguments. What is
            decided now is paid now; if something stays pending, both get what its worst case cannot
            need, and the rest waits for another call.
    @dev Reverts if it would neither decide nor pay anything. Arithmetic: |net| < 2^129, a claim moves
         less than 2^129, so unchecked sums of 2^16 of them are far from overflowing.
    """
    id: bytes32 = self._channel_id(params)
    slot: uint256 = self.channels[id]
    t: claim_list.Tally = claim_list.tally(CLAIMS_OFFSET)
    version: uint256 = self._require_settleable(id, slot, net, t.link, salt)
    deposit_a: int256 = self._deposit_a(slot)
    base: int256 = deposit_a - net + t.payoff + convert(t.paid >> 128, int256) - convert(t.paid & MASK_128, int256)
    if t.rest == empty(bytes32):
        self.disputes[id] = 0
        self._finish(params, id, slot, base)
        return
    pot: int256 = deposit_a + self._deposit_b(slot)
    to_a: int256 = max(0, min(base - convert(t.need_a, int256), pot))
    to_b: int256 = max(0, min(pot - base - convert(t.need_b, int256), pot))
    assert t.rest != t.link or to_a + to_b != 0, "settle: nothing to do yet"
    left: int256 = pot - to_a - to_b
    new_net: int256 = left + to_a - base
    self.disputes[id] = (version << 192) | self._fingerprint(id, version, new_net, t.rest, salt)
    # The counter steps, so that a close signed for the old deposits dies.
    self.channels[id] = (((slot >> 192) << 192) + (1 << 234)) | convert(left, uint256)
    log PartiallySettled(
        channel=id, to_a=convert(to_a, uint256), to_b=convert(to_b, uint256), net=new_net, claims=t.rest
    )
    payouts.push(params.asset, params.a, convert(to_a, uint256))
    payouts.push(params.asset, params.b, convert(to_b, uint256))


@internal
@payable
def _take(asset: address, amount: uint256) -> int256:
    """
    @dev Fetch a deposit and say what arrived: a token may take a fee.
    """
    got: uint256 = amount
    if asset == empty(address):
        assert msg.value == amount, "deposit: wrong value"
    else:
        assert msg.value == 0, "deposit: no ETH here"
        before: uint256 = staticcall IERC20(asset).balanceOf(self)
        assert extcall IERC20(asset).transferFrom(
            msg.sender, self, amount, default_return_value=True
        ), "deposit: transfer failed"
        got = staticcall IERC20(asset).balanceOf(self) - before
    assert got != 0 and got <= convert(MAX_POT, uint256), "deposit: nothing or too large"
    return convert(got, int256)


@internal
@pure
def _require_openable(params: Params):
    assert params.a != empty(address), "open: no address"
    assert convert(params.a, uint256) < convert(params.b, uint256), "open: a must be below b"
    period: uint256 = params.config >> 216
    assert period >= MIN_PERIOD and period <= MAX_PERIOD, "open: period"


@internal
@view
def _channel_id(params: Params) -> bytes32:
    return keccak256(abi_encode(params.a, params.b, params.asset, params.config, DOMAIN))


@internal
@pure
def _deposit_a(slot: uint256) -> int256:
    return convert(convert(slot << 160, bytes32), int256) >> 160


@internal
@pure
def _deposit_b(slot: uint256) -> int256:
    return convert(convert(slot << 64, bytes32), int256) >> 160


@internal
@pure
def _packed(deposit_a: int256, deposit_b: int256) -> uint256:
    low: uint256 = convert(convert(deposit_a, bytes32), uint256) & MASK_96
    return low | ((convert(convert(deposit_b, bytes32), uint256) & MASK_96) << 96)


@internal
@view
def _require_agreed(
    params: Params, struct_hash: bytes32, sig_a: signatures.Signature, sig_b: signatures.Signature
):
    """
    @dev Both have signed; a party that calls need not. An id with address zero never opens, so an
         invalid signature matches nobody.
    """
    digest: bytes32 = signatures.digest(DOMAIN, struct_hash)
    if msg.sender != params.a:
        assert signatures.signer(digest, sig_a) == params.a, "not signed by a"
    if msg.sender != params.b:
        assert signatures.signer(digest, sig_b) == params.b, "not signed by b"


@internal
def _store_state(
    params: Params,
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
        self._require_agreed(params, struct_hash, sig_a, sig_b)
    salt: bytes32 = blockhash(unsafe_sub(block.number, 1))
    fingerprint: uint256 = convert(keccak256(abi_encode(struct_hash, salt)), uint256) & MASK_192
    self.disputes[id] = (convert(version, uint256) << 192) | fingerprint
    log Challenged(channel=id, version=version, net=net, claims=claims, salt=salt)


@internal
@pure
def _fingerprint(id: bytes32, version: uint256, net: int256, claims: bytes32, salt: bytes32) -> uint256:
    struct_hash: bytes32 = keccak256(abi_encode(STATE_TYPE, id, version, net, claims))
    return convert(keccak256(abi_encode(struct_hash, salt)), uint256) & MASK_192


@internal
@view
def _require_settleable(
    id: bytes32, slot: uint256, net: int256, claims: bytes32, salt: bytes32
) -> uint256:
    """
    @dev The window is over and this is the state that stands. Returns its version.
    """
    assert (slot >> 232) & 3 == DISPUTED, "settle: no dispute"
    assert block.timestamp >= (slot >> 192) & MASK_40, "settle: too early"
    stored: uint256 = self.disputes[id]
    version: uint256 = stored >> 192
    assert stored & MASK_192 == self._fingerprint(id, version, net, claims, salt), "settle: not the state"
    return version


@internal
def _finish(params: Params, id: bytes32, slot: uint256, base: int256):
    """
    @dev Pay out everything; `base` is what a should get, clamped to what is there.
    """
    pot: int256 = self._deposit_a(slot) + self._deposit_b(slot)
    to_a: uint256 = convert(max(0, min(base, pot)), uint256)
    to_b: uint256 = convert(pot, uint256) - to_a
    self.channels[id] = TOMBSTONE
    log Closed(channel=id, to_a=to_a, to_b=to_b)
    payouts.push(params.asset, params.a, to_a)
    payouts.push(params.asset, params.b, to_b)
