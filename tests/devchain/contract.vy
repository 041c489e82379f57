# pragma version 0.4.3
# What the tests of the development chain need from a contract.

event Noted:
    who: indexed(address)
    number: indexed(uint256)
    text: Bytes[64]

number: public(uint256)
word: transient(uint256)

@external
@payable
def note(number: uint256, text: Bytes[64]):
    self.number = number
    log Noted(who=msg.sender, number=number, text=text)

@external
def note_many(count: uint256):
    for i: uint256 in range(count, bound=1000):
        log Noted(who=msg.sender, number=i, text=b"many")

@external
def refuse():
    self.number = 999
    raise "not today"

@external
def refuse_silently():
    raw_revert(b"")

@external
def refuse_custom():
    raw_revert(abi_encode(convert(77, uint256), method_id=method_id("Custom(uint256)")))

@external
def overflow():
    self.number = max_value(uint256)
    self.number += 1

@external
def burn():
    for i: uint256 in range(max_value(uint256)):
        self.number = i

@external
@view
def block_hash(number: uint256) -> bytes32:
    return blockhash(number)

@external
@view
def surroundings() -> (uint256, uint256, uint256, uint256, address, uint256, uint256):
    return (block.number, block.timestamp, chain.id, block.gaslimit, block.coinbase, block.basefee, tx.gasprice)

@external
@view
def recover(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    return ecrecover(digest, v, r, s)

@external
@view
def digest(data: Bytes[1024]) -> bytes32:
    return sha256(data)

@external
@nonreentrant
def pay(to: address, amount: uint256) -> bool:
    return raw_call(to, b"", value=amount, gas=60000, revert_on_failure=False)

@external
def clear():
    self.number = 0

@external
def try_refuse() -> bool:
    # A reverted inner call takes its writes back; the outer one goes on.
    self.number = 5
    ok: bool = raw_call(self, method_id("refuse()"), revert_on_failure=False)
    return ok

@external
def keep_word(fresh: uint256) -> uint256:
    before: uint256 = self.word
    self.word = fresh
    return before

@external
def recurse(depth: uint256) -> uint256:
    if depth == 0:
        return 0
    ok: bool = False
    answer: Bytes[32] = b""
    ok, answer = raw_call(self, abi_encode(depth - 1, method_id=method_id("recurse(uint256)")), max_outsize=32, revert_on_failure=False)
    if not ok:
        return 0
    return 1 + convert(answer, uint256)

@external
def multiply() -> address:
    return create_minimal_proxy_to(self)

@external
@payable
def __default__():
    pass
