# pragma version 0.4.3
"""
@title What both sides agree on: close, or withdraw a part
@notice Once signed, either is an outcome that the peer can enforce until its `until` has passed. The
        counter of the channel is signed along: it steps whenever deposits shrink, so that nothing
        signed before can be used again, not even when a top-up restores the same deposits.
"""
import ledger
import payouts
import signatures

uses: ledger
uses: payouts

event DepositsWithdrawn:
    channel: indexed(bytes32)
    to_a: uint256
    to_b: uint256
    slot: uint256


CLOSE_TYPE: constant(bytes32) = keccak256("Close(bytes32 channel,uint64 counter,int128 net,uint40 until)")
WITHDRAW_TYPE: constant(bytes32) = keccak256(
    "Withdraw(bytes32 channel,uint64 counter,uint96 to_a,uint96 to_b,uint40 until)"
)
# The counter has 22 bits. Withdrawals stop halfway: the other half is more than any dispute can use.
MAX_COUNTER: constant(uint256) = 2**21


@external
@nonreentrant
def close(
    params: ledger.Params,
    net: int128,
    until: uint40,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @notice Close at once as both agree: a has paid b `net`. Final, also during a dispute.
    """
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    status: uint256 = slot >> 232 & 3
    assert status == ledger.OPEN or status == ledger.DISPUTED, "close: no such channel"
    assert block.timestamp <= convert(until, uint256), "close: too late"
    ledger.require_agreed(
        params, keccak256(abi_encode(CLOSE_TYPE, id, slot >> 234, net, until)), sig_a, sig_b
    )
    if status == ledger.DISPUTED:
        ledger.disputes[id] = 0
    ledger.finish(params, id, slot, convert(net, int256))


@external
@nonreentrant
def withdraw(
    params: ledger.Params,
    to_a: uint96,
    to_b: uint96,
    until: uint40,
    sig_a: signatures.Signature,
    sig_b: signatures.Signature,
):
    """
    @notice Take money out while the channel stays open, as both agree. A side may take what it has
            earned: its deposit then is negative, and every state stays as it is.
    """
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    assert slot >> 232 & 3 == ledger.OPEN, "withdraw: not open"
    assert block.timestamp <= convert(until, uint256), "withdraw: too late"
    counter: uint256 = slot >> 234
    assert counter < MAX_COUNTER, "withdraw: too often"
    ledger.require_agreed(
        params, keccak256(abi_encode(WITHDRAW_TYPE, id, counter, to_a, to_b, until)), sig_a, sig_b
    )
    slot = ledger.with_deposits(
        slot,
        ledger.deposit_a(slot) - convert(to_a, int256),
        ledger.deposit_b(slot) - convert(to_b, int256),
    )
    slot = unsafe_add(slot, 1 << 234)
    ledger.channels[id] = slot
    log DepositsWithdrawn(
        channel=id, to_a=convert(to_a, uint256), to_b=convert(to_b, uint256), slot=slot
    )
    payouts.push(params.asset, params.a, convert(to_a, uint256))
    payouts.push(params.asset, params.b, convert(to_b, uint256))
