# pragma version 0.4.3
"""
@title Payouts that never hold up a settlement
@notice A push with capped gas; what cannot be pushed (a wallet that refuses, a blacklist) is credited
        and its owner fetches it, to an address of its choice.
"""
from ethereum.ercs import IERC20

event Credited:
    asset: indexed(address)
    to: indexed(address)
    amount: uint256

event Withdrawn:
    asset: indexed(address)
    owner: indexed(address)
    to: address
    amount: uint256


# Enough for a wallet contract that logs or forwards; not enough to make a settlement dear.
ETH_PUSH_GAS: constant(uint256) = 30_000
# A call with value to an account that does not exist yet costs 36,600 before its own gas, of which
# the caller keeps a 64th: below this the push could be starved into a credit.
ETH_PUSH_RESERVE: constant(uint256) = 70_000
# Costly tokens (proxies, snapshots, hooks) need up to 120k for a transfer.
TOKEN_PUSH_GAS: constant(uint256) = 150_000
TOKEN_PUSH_RESERVE: constant(uint256) = 160_000

# Assets of one claim_credits: the buffer is paid for by each.
MAX_ASSETS: constant(uint256) = 32

# asset => owner => what a push could not deliver, in the asset's smallest unit
credits: public(HashMap[address, HashMap[address, uint256]])


@internal
def push(asset: address, to: address, amount: uint256):
    """
    @dev Pay, or credit. Asserting the gas first stops a caller who wants a push to fail by starving it.
         A token may return nothing (USDT). Only false counts as unpaid: taking any odd answer for a
         failure would pay twice, from the deposits of others.
    """
    if amount == 0:
        return
    paid: bool = False
    if asset == empty(address):
        assert msg.gas > ETH_PUSH_RESERVE, "payout: too little gas"
        paid = raw_call(to, b"", value=amount, gas=ETH_PUSH_GAS, revert_on_failure=False)
    else:
        assert msg.gas > TOKEN_PUSH_RESERVE, "payout: too little gas"
        answer: Bytes[32] = b""
        paid, answer = raw_call(
            asset,
            abi_encode(to, amount, method_id=method_id("transfer(address,uint256)")),
            max_outsize=32,
            gas=TOKEN_PUSH_GAS,
            revert_on_failure=False,
        )
        paid = paid and (len(answer) == 0 or convert(answer, uint256) != 0)
    if not paid:
        self.credits[asset][to] += amount
        log Credited(asset=asset, to=to, amount=amount)


@external
@nonreentrant
def claim_credit(asset: address, to: address):
    """
    @notice Fetch what could not be pushed to you, to any address.
    """
    assert self.credits[asset][msg.sender] != 0, "credit: nothing owed"
    self._fetch(asset, to)


@external
@nonreentrant
def claim_credits(assets: DynArray[address, MAX_ASSETS], to: address):
    """
    @notice Fetch what you are owed of several assets; those of which it is nothing are skipped.
    """
    for asset: address in assets:
        if self.credits[asset][msg.sender] != 0:
            self._fetch(asset, to)


@internal
def _fetch(asset: address, to: address):
    amount: uint256 = self.credits[asset][msg.sender]
    self.credits[asset][msg.sender] = 0
    log Withdrawn(asset=asset, owner=msg.sender, to=to, amount=amount)
    if asset == empty(address):
        raw_call(to, b"", value=amount)
    else:
        assert extcall IERC20(asset).transfer(to, amount, default_return_value=True), "credit: transfer failed"
