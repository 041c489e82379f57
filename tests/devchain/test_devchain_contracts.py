"""What bytecode sees and does: the rules of Prague as a contract meets them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from coincurve import PrivateKey

from channeld.services.devchain.accounts import COINBASE
from channeld.services.devchain.calls import Call
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.errors import CallFailed, CallReverted
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.logindex import LogFilter
from tests.devchain.cast import GWEI, START_S, Person, calldata, numbers

ROOT = Path(__file__).parents[2]
BLS_MODULUS = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
HISTORY = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")


def test_a_contract_is_deployed_written_and_read(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    receipt = alice.mined(contract, calldata("note(uint256,bytes)", 7, b"hello"), value_wei=3)
    assert receipt.status == 1
    assert numbers(alice.call(contract, "number()")) == 7
    assert chain.balance_wei(contract) == 3
    (entry,) = receipt.logs
    assert entry.address == contract
    assert entry.topics == (
        keccak256(b"Noted(address,uint256,bytes)"),
        alice.address.rjust(32, b"\0"),
        (7).to_bytes(32, "big"),
    )
    assert numbers(entry.data, "bytes") == b"hello"
    assert chain.logs(LogFilter(0, chain.head.number, frozenset([contract]))) == [entry]


def test_a_revert_carries_its_data_and_takes_everything_back(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    with pytest.raises(CallReverted, match="execution reverted: not today") as refused:
        alice.call(contract, "refuse()")
    assert refused.value.data == keccak256(b"Error(string)")[:4] + (
        (32).to_bytes(32, "big") + (9).to_bytes(32, "big") + b"not today".ljust(32, b"\0")
    )
    receipt = alice.mined(contract, calldata("refuse()"))
    assert (receipt.status, receipt.logs) == (0, ())
    assert numbers(alice.call(contract, "number()")) == 0
    # It paid for the gas all the same, and its nonce is used.
    assert chain.nonce(alice.address) == 2


def test_a_custom_error_and_an_empty_one_come_back_as_they_are(alice: Person) -> None:
    contract = alice.deploy()
    with pytest.raises(CallReverted, match=r"^execution reverted$") as custom:
        alice.call(contract, "refuse_custom()")
    assert custom.value.data == calldata("Custom(uint256)", 77)
    with pytest.raises(CallReverted) as silent:
        alice.call(contract, "refuse_silently()")
    assert silent.value.data == b""


def test_an_inner_revert_leaves_the_outer_call_going(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    assert alice.mined(contract, calldata("try_refuse()")).status == 1
    assert numbers(alice.call(contract, "number()")) == 5


def test_running_out_of_gas_costs_all_of_it(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    receipt = alice.mined(contract, calldata("burn()"), gas=100_000)
    assert (receipt.status, receipt.gas_used) == (0, 100_000)
    with pytest.raises(CallFailed, match="out of gas"):
        chain.call(Call(contract, calldata("burn()"), gas=100_000))


def test_a_contract_reads_the_hashes_of_the_last_256_blocks(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    chain.mine(300)
    head = chain.head.number
    for number in (head - 1, head - 255):
        block = chain.block(number)
        assert block is not None
        assert alice.call(contract, "block_hash(uint256)", number) == block.hash
    # The adjudicator mixes in the hash of the block before the transaction's own.
    pending = chain.call(Call(contract, calldata("block_hash(uint256)", head)), "pending")
    assert pending == chain.head.hash


def test_older_hashes_are_served_by_the_history_contract(chain: DevChain) -> None:
    chain.mine(300)
    tenth = chain.block(10)
    assert tenth is not None
    assert chain.call(Call(HISTORY, (10).to_bytes(32, "big"))) == tenth.hash


def test_a_contract_sees_its_block(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    types = ("uint256", "uint256", "uint256", "uint256", "address", "uint256", "uint256")
    seen = numbers(alice.call(contract, "surroundings()"), *types)
    coinbase = "0x" + COINBASE.hex()
    assert seen == (1, START_S + 1, 1337931, 30_000_000, coinbase, 0, 0)
    priced = Call(
        contract,
        calldata("surroundings()"),
        sender=alice.address,
        gas=100_000,
        max_fee_per_gas_wei=9 * GWEI,
        max_priority_fee_per_gas_wei=GWEI,
    )
    *_, base_fee_wei, gas_price_wei = numbers(chain.call(priced), *types)
    assert base_fee_wei == chain.head.header.base_fee_wei
    assert gas_price_wei == base_fee_wei + GWEI


def test_signatures_and_hashes_are_checked_by_precompiles(alice: Person) -> None:
    contract = alice.deploy()
    digest = keccak256(b"a message")
    signature = PrivateKey(alice.key).sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    who = alice.call(contract, "recover(bytes32,uint256,uint256,uint256)", digest, 27 + signature[64], r, s)
    assert who[12:] == alice.address
    assert alice.call(contract, "digest(bytes)", b"abc") == hashlib.sha256(b"abc").digest()


def test_points_of_bls12_381_are_added(chain: DevChain) -> None:
    # [EIP-2537]: the generator of G1 and its negative make the point at infinity; twice it is on the curve.
    x = "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    y = "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
    minus_y = BLS_MODULUS - int(y, 16)
    generator = bytes(16) + bytes.fromhex(x) + bytes(16) + bytes.fromhex(y)
    negative = generator[:80] + minus_y.to_bytes(48, "big")
    add = bytes(19) + b"\x0b"
    assert chain.call(Call(add, generator + negative)) == bytes(128)
    doubled = chain.call(Call(add, generator + generator))
    double_x, double_y = int.from_bytes(doubled[:64], "big"), int.from_bytes(doubled[64:], "big")
    assert double_y**2 % BLS_MODULUS == (double_x**3 + 4) % BLS_MODULUS
    assert chain.call(Call(add, doubled + negative)) == generator
    with pytest.raises(CallFailed):
        chain.call(Call(add, generator[:-1] + b"\0" + generator))


def test_starting_does_not_load_the_tables_of_bls12_381() -> None:
    # They took a third of the start.
    program = (
        "import sys, channeld.services.devchain.server\n"
        "print('py_ecc.optimized_bls12_381' in sys.modules, 'eth.vm.forks.prague.state' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "True"]


def test_transient_storage_is_forgotten_after_the_transaction(alice: Person) -> None:
    contract = alice.deploy()
    alice.mined(contract, calldata("keep_word(uint256)", 5))
    assert numbers(alice.call(contract, "keep_word(uint256)", 6)) == 0


def test_a_refund_is_paid_for_cleared_storage(alice: Person) -> None:
    contract = alice.deploy()
    alice.mined(contract, calldata("note(uint256,bytes)", 7, b""))
    # 4800 of refund: the cold write of 5000 and the call cost no more than a fifth back [EIP-3529].
    assert alice.mined(contract, calldata("clear()")).gas_used < 22_000


def test_gas_does_not_depend_on_which_block_a_transaction_shares(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    calls = [calldata("note(uint256,bytes)", number, b"") for number in (5, 6, 0, 7)]
    alone = [alice.mined(contract, data).gas_used for data in calls]
    alice.mined(contract, calldata("clear()"))
    chain.set_automine(False)
    for data in calls:
        alice.send(contract, data)
    (block,) = chain.mine()
    assert [receipt.gas_used for receipt in block.receipts] == alone


def test_money_goes_from_contract_to_contract(chain: DevChain, alice: Person, bob: Person) -> None:
    contract = alice.deploy()
    alice.mined(contract, value_wei=100)
    before_wei = chain.balance_wei(bob.address)
    assert alice.mined(contract, calldata("pay(address,uint256)", bob.address, 30)).status == 1
    assert chain.balance_wei(bob.address) == before_wei + 30
    # More than it has: the inner call fails, the outer reports it.
    assert numbers(alice.call(contract, "pay(address,uint256)", bob.address, 71), "bool") is False


def test_calls_nest_to_the_depth_that_gas_allows(alice: Person) -> None:
    contract = alice.deploy()
    assert numbers(alice.call(contract, "recurse(uint256)", 200)) == 200


def test_an_estimate_is_enough_and_not_much_more(chain: DevChain, alice: Person, bob: Person) -> None:
    contract = alice.deploy()
    alice.mined(contract, value_wei=100)
    for data in (
        calldata("note(uint256,bytes)", 7, b"hello"),
        calldata("note_many(uint256)", 50),
        calldata("pay(address,uint256)", bob.address, 30),
        calldata("multiply()"),
        b"\1" * 3000,
    ):
        gas = chain.estimate_gas(Call(contract, data, sender=alice.address))
        receipt = alice.mined(contract, data, gas=gas)
        assert receipt.status == 1
        # A search that stops 1.5 % above, and 63/64 of the gas for the inner call.
        assert receipt.gas_used <= gas <= receipt.gas_used * 1.2 + 3000
    assert chain.estimate_gas(Call(bob.address, sender=alice.address, value_wei=1)) == 21_000


def test_an_estimate_of_what_reverts_says_why(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    with pytest.raises(CallReverted, match="not today"):
        chain.estimate_gas(Call(contract, calldata("refuse()")))
    with pytest.raises(CallFailed, match=r"gas required exceeds allowance \(100000\)"):
        chain.estimate_gas(Call(contract, calldata("burn()"), gas=100_000))


def test_a_call_changes_nothing(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    before = dict(chain.history.ledger.cells)
    alice.call(contract, "note(uint256,bytes)", 7, b"hello")
    with pytest.raises(CallReverted):
        alice.call(contract, "refuse()")
    chain.estimate_gas(Call(contract, calldata("note(uint256,bytes)", 7, b"hello")))
    assert {key: value for key, value in chain.history.ledger.cells.items() if value is not None} == before


def test_old_states_can_be_called(chain: DevChain, alice: Person) -> None:
    contract = alice.deploy()
    for number in range(1, 6):
        alice.mined(contract, calldata("note(uint256,bytes)", number, b""))
    assert [numbers(alice.call(contract, "number()", at=block)) for block in range(2, 7)] == [1, 2, 3, 4, 5]
    assert chain.ledger_at(3).get_nonce(alice.address) == 3
    assert chain.call(Call(contract, calldata("number()")), 0) == b""
