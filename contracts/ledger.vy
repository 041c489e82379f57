# pragma version 0.4.3
"""
@title The state of every channel, packed, and what may be done to all of them
@notice One slot a channel for its whole cooperative life, a second one only in a dispute.
@dev Deposits are signed: what a side deposited less what it withdrew. A side may withdraw what it has
     earned, so one deposit may be negative; their sum never is. States hold the net only, so neither
     a deposit nor a withdrawal touches them.
"""
import payouts
import signatures

uses: payouts

struct Params:
    a: address  # below b as a number
    b: address
    asset: address  # zero: ETH
    config: uint256  # challenge period u40 << 216 (seconds) | salt u216

event Closed:
    channel: indexed(bytes32)
    to_a: uint256
    to_b: uint256


# deposit_a i96 | deposit_b i96 << 96 | expiry u40 << 192 | status u2 << 232 | counter u22 << 234
channels: public(HashMap[bytes32, uint256])
# version u64 << 192 | low 192 bits of keccak256(struct hash of the state, salt)
disputes: public(HashMap[bytes32, uint256])

OPEN: constant(uint256) = 1
DISPUTED: constant(uint256) = 2
TOMBSTONE: constant(uint256) = 3 << 232  # an id never lives again
MAX_POT: constant(int256) = 2**95 - 1  # so that the whole pot fits one signed deposit
MASK_96: constant(uint256) = 2**96 - 1

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


@internal
@view
def channel_id(params: Params) -> bytes32:
    return keccak256(abi_encode(params.a, params.b, params.asset, params.config, DOMAIN))


@internal
@pure
def deposit_a(slot: uint256) -> int256:
    return convert(convert(slot << 160, bytes32), int256) >> 160


@internal
@pure
def deposit_b(slot: uint256) -> int256:
    return convert(convert(slot << 64, bytes32), int256) >> 160


@internal
@pure
def with_deposits(slot: uint256, to_a: int256, to_b: int256) -> uint256:
    """
    @dev The slot with other deposits. Neither can be too small if their sum is not.
    """
    pot: int256 = unsafe_add(to_a, to_b)
    assert pot >= 0, "deposits: below zero"
    assert pot <= MAX_POT and to_a <= MAX_POT and to_b <= MAX_POT, "deposits: too large"
    low: uint256 = convert(convert(to_a, bytes32), uint256) & MASK_96
    high: uint256 = convert(convert(to_b, bytes32), uint256) & MASK_96
    return ((slot >> 192) << 192) | low | (high << 96)


@internal
@view
def require_agreed(
    params: Params, struct_hash: bytes32, sig_a: signatures.Signature, sig_b: signatures.Signature
):
    """
    @dev Both have signed; a party that calls need not. An id with address zero never opens, so an
         invalid signature matches nobody.
    """
    digest: bytes32 = keccak256(concat(b"\x19\x01", DOMAIN, struct_hash))
    if msg.sender != params.a:
        assert signatures.signer(digest, sig_a) == params.a, "not signed by a"
    if msg.sender != params.b:
        assert signatures.signer(digest, sig_b) == params.b, "not signed by b"


@internal
def finish(params: Params, id: bytes32, slot: uint256, net: int256):
    """
    @dev The end of a channel of which a has paid b `net` in all.
    """
    to_a: uint256 = 0
    to_b: uint256 = 0
    to_a, to_b = self.entomb(id, slot, net)
    payouts.push(params.asset, params.a, to_a)
    payouts.push(params.asset, params.b, to_b)


@internal
def entomb(id: bytes32, slot: uint256, net: int256) -> (uint256, uint256):
    """
    @dev The same, but what a and b get is for the caller to pay. Clamped to what is there.
    """
    deposit_a: int256 = convert(convert(slot << 160, bytes32), int256) >> 160
    deposit_b: int256 = convert(convert(slot << 64, bytes32), int256) >> 160
    pot: int256 = unsafe_add(deposit_a, deposit_b)
    to_a: uint256 = convert(max(0, min(deposit_a - net, pot)), uint256)
    to_b: uint256 = unsafe_sub(convert(pot, uint256), to_a)
    self.channels[id] = TOMBSTONE
    log Closed(channel=id, to_a=to_a, to_b=to_b)
    return to_a, to_b
