# pragma version 0.4.3
"""A contract that is a payee: takes ETH, refuses it, burns the gas, or calls back."""

MAX_CALL: constant(uint256) = 32_768
# A hub's batch that is too long has 19,332 bytes, and must be refused by who it is for.

accepts: public(bool)
burns: public(bool)
hook: address
hook_data: Bytes[4096]
hook_worked: public(bool)
gas_seen: public(uint256)


@deploy
@payable
def __init__():
    pass


@external
def behave(accepts: bool, burns: bool):
    self.accepts = accepts
    self.burns = burns


@external
def call_back(hook: address, data: Bytes[4096]):
    self.hook = hook
    self.hook_data = data


@external
@payable
def run(target: address, data: Bytes[MAX_CALL], amount: uint256) -> Bytes[32]:
    """Call anything, as this wallet."""
    return raw_call(target, data, max_outsize=32, value=amount)


@external
@payable
def __default__():
    if self.burns:
        hash: bytes32 = empty(bytes32)
        for i: uint256 in range(10_000_000):
            hash = keccak256(hash)
    if self.hook != empty(address):
        worked: bool = raw_call(self.hook, self.hook_data, revert_on_failure=False)
        assert not worked, "got in"
    assert self.accepts, "no thanks"
