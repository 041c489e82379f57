# pragma version 0.4.3
"""A token with every bad habit, each to be switched on."""

FEE_PERCENT: constant(uint256) = 10

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
takes_fee: public(bool)
lies: public(bool)  # says no, and does nothing
answer: public(uint256)  # what it says after a transfer; 1 is true
burns: public(bool)  # all the gas it gets
silent_thief: public(bool)  # says yes, and does nothing
banned: public(HashMap[address, bool])
hook: address
hook_data: Bytes[4096]
hook_worked: public(bool)


@deploy
def __init__():
    self.answer = 1


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256):
    self.allowance[msg.sender][spender] = amount


@external
def behave(takes_fee: bool, lies: bool, answer: uint256, burns: bool, silent_thief: bool):
    self.takes_fee = takes_fee
    self.lies = lies
    self.answer = answer
    self.burns = burns
    self.silent_thief = silent_thief


@external
def ban(who: address, banned: bool):
    self.banned[who] = banned


@external
def call_back(hook: address, data: Bytes[4096]):
    self.hook = hook
    self.hook_data = data


@external
def transfer(to: address, amount: uint256) -> uint256:
    return self._move(msg.sender, to, amount)


@external
def transferFrom(sender: address, to: address, amount: uint256) -> uint256:
    self.allowance[sender][msg.sender] -= amount
    return self._move(sender, to, amount)


@internal
def _move(sender: address, to: address, amount: uint256) -> uint256:
    assert not self.banned[to], "banned"
    if self.burns:
        hash: bytes32 = empty(bytes32)
        for i: uint256 in range(10_000_000):
            hash = keccak256(hash)
    if self.hook != empty(address):
        self.hook_worked = raw_call(self.hook, self.hook_data, revert_on_failure=False)
    if self.lies:
        return 0
    if self.silent_thief:
        return 1
    self.balanceOf[sender] -= amount
    self.balanceOf[to] += amount - (amount * FEE_PERCENT // 100 if self.takes_fee else 0)
    return self.answer
