# pragma version 0.4.3
"""
@title Deposits
@notice The first deposit opens the channel; anyone may deposit for either side.
"""
from ethereum.ercs import IERC20

import ledger

uses: ledger

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


# Below ten minutes nobody could answer; above a month the deposits would be lost to time.
MIN_PERIOD: constant(uint256) = 600
MAX_PERIOD: constant(uint256) = 2_592_000


@external
@payable
@nonreentrant
def deposit(params: ledger.Params, to_b: bool, amount: uint256):
    """
    @notice Add to the deposit of one side; the first deposit opens the channel. Anyone may pay.
    """
    self._deposit(params, to_b, amount)


@external
@nonreentrant
def deposit_with_permit(
    params: ledger.Params, to_b: bool, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice Deposit tokens with the sender's own approval by signature, in one transaction.
    @dev [EIP-2612]. A permit that fails is no matter if the allowance is there: whoever sees the
         transaction can use the permit first, and would stop the deposit if it was.
    """
    permitted: bool = raw_call(
        params.asset,
        abi_encode(
            msg.sender,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    self._deposit(params, to_b, amount)


@internal
@payable
def _deposit(params: ledger.Params, to_b: bool, amount: uint256):
    """
    @dev The slot is read after the token was called, so that nothing done in a hook is overwritten.
    """
    got: int256 = self._take(params.asset, amount)
    id: bytes32 = ledger.channel_id(params)
    slot: uint256 = ledger.channels[id]
    if slot == 0:
        assert params.a != empty(address), "open: no address"
        assert convert(params.a, uint256) < convert(params.b, uint256), "open: a must be below b"
        period: uint256 = params.config >> 216
        assert period >= MIN_PERIOD and period <= MAX_PERIOD, "open: period"
        ledger.channels[id] = (convert(got, uint256) << (96 if to_b else 0)) | (ledger.OPEN << 232)
        log Opened(
            channel=id,
            a=params.a,
            b=params.b,
            asset=params.asset,
            config=params.config,
            amount=-got if to_b else got,
        )
        return
    assert slot >> 232 & 3 == ledger.OPEN, "deposit: not open"
    deposit_a: int256 = ledger.deposit_a(slot)
    deposit_b: int256 = ledger.deposit_b(slot)
    if to_b:
        deposit_b = unsafe_add(deposit_b, got)
    else:
        deposit_a = unsafe_add(deposit_a, got)
    slot = ledger.with_deposits(slot, deposit_a, deposit_b)
    ledger.channels[id] = slot
    log Deposited(channel=id, slot=slot)


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
    assert got != 0 and got <= convert(ledger.MAX_POT, uint256), "deposit: nothing or too large"
    return convert(got, int256)

