"""Which transactions a chain takes, with what words it refuses others, and in which order it mines."""

import pytest
import rlp
from coincurve import PrivateKey

from channeld.services.devchain import pool
from channeld.services.devchain.builder import EngineFailed
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.errors import TransactionRejected
from channeld.services.devchain.evm import Evm, Outcome
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.settings import ETHER_WEI, DevChainSettings
from channeld.services.devchain.transactions import CURVE_ORDER, Transaction, decode_transaction
from tests.devchain.cast import GWEI, Person, Wall, person


def refused(chain: DevChain, raw: bytes) -> str:
    """The words with which the chain refuses it; nothing may have changed."""
    before = (chain.head.hash, [waiting.hash for waiting in chain.pool])
    with pytest.raises(TransactionRejected) as wrong:
        chain.send_raw_transaction(raw)
    assert (chain.head.hash, [waiting.hash for waiting in chain.pool]) == before
    return str(wrong.value)


def legacy(key: bytes, chain_id: int, nonce: int, to: bytes, price_wei: int, v_base: int = 35) -> bytes:
    """[EIP-155]; `v_base` 27 leaves the chain id out of it, as before that proposal."""
    fields: list[object] = [nonce, price_wei, 21_000, to, 1, b""]
    signed = [*fields, chain_id, 0, 0] if v_base == 35 else fields
    signature = PrivateKey(key).sign_recoverable(keccak256(rlp.encode(signed)), hasher=None)
    v = v_base + signature[64] + (2 * chain_id if v_base == 35 else 0)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = rlp.encode([*fields, v, r, s])
    return raw


def with_access_list(key: bytes, chain_id: int, nonce: int, to: bytes, price_wei: int) -> bytes:
    """[EIP-2930], warming one slot of the recipient."""
    fields: list[object] = [chain_id, nonce, price_wei, 40_000, to, 1, b"", [[to, [bytes(32)]]]]
    digest = keccak256(b"\x01" + rlp.encode(fields))
    signature = PrivateKey(key).sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = b"\x01" + rlp.encode([*fields, signature[64], r, s])
    return raw


def test_all_three_kinds_of_transaction_are_mined(chain: DevChain, alice: Person, bob: Person) -> None:
    before_wei = chain.balance_wei(bob.address)
    old = chain.send_raw_transaction(legacy(alice.key, chain.chain_id, 0, bob.address, 2 * GWEI))
    listed = chain.send_raw_transaction(with_access_list(alice.key, chain.chain_id, 1, bob.address, 2 * GWEI))
    modern = alice.send(bob.address, nonce=2, value_wei=1)
    receipts = [chain.receipt(one) for one in (old, listed, modern)]
    assert [(one.type_id, one.status, one.gas_used) for one in receipts if one] == [
        (0, 1, 21_000),
        (1, 1, 21_000 + 2_400 + 1_900),
        (2, 1, 21_000),
    ]
    assert chain.balance_wei(bob.address) == before_wei + 3
    # The sender of the old kinds pays its price in full; of the new one, the base fee and the tip.
    assert [one.effective_gas_price_wei for one in receipts if one] == [
        2 * GWEI,
        2 * GWEI,
        chain.head.header.base_fee_wei + GWEI,
    ]


def test_every_wei_of_a_transfer_is_accounted_for(chain: DevChain, alice: Person, bob: Person) -> None:
    accounts = (alice.address, bob.address, chain.head.header.coinbase)
    before_wei = sum(map(chain.balance_wei, accounts))
    receipt = alice.mined(bob.address, value_wei=ETHER_WEI)
    burned_wei = receipt.gas_used * chain.head.header.base_fee_wei
    assert sum(map(chain.balance_wei, accounts)) == before_wei - burned_wei
    assert chain.balance_wei(bob.address) == 101 * ETHER_WEI


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ({"gas": 30_000_001}, "exceeds block gas limit: have 30000001, limit 30000000"),
        ({"chain_id": 1}, "invalid chain id for signer: have 1 want 1337931"),
        ({"value_wei": 101 * ETHER_WEI}, "insufficient funds for gas * price + value: balance 100000000"),
        (
            {"max_fee_per_gas_wei": GWEI, "max_priority_fee_per_gas_wei": GWEI + 1},
            "max priority fee per gas higher than max fee per gas",
        ),
        ({"value_wei": 2**256 - 1}, "insufficient funds"),
        ({"nonce": 2**64}, "rlp: nonce is not a canonical integer of at most 64 bits"),
    ],
)
def test_terms_that_cannot_be_met_are_refused(
    chain: DevChain, alice: Person, bob: Person, terms: dict[str, int], words: str
) -> None:
    assert words in refused(chain, alice.sign(bob.address, **terms))


def test_data_must_be_paid_for_at_the_floor_price(chain: DevChain, alice: Person, bob: Person) -> None:
    words = refused(chain, alice.sign(bob.address, b"\1" * 2000, gas=100_999))
    assert words == "insufficient gas for floor data gas cost: gas 100999, minimum needed 101000"
    assert alice.mined(bob.address, b"\1" * 2000, gas=101_000).gas_used == 101_000


def test_a_creation_is_refused_above_the_size_of_init_code(chain: DevChain, alice: Person) -> None:
    words = refused(chain, alice.sign(b"", bytes(49_153), gas=13_000_000))
    assert words == "max initcode size exceeded: code size 49153, limit 49152"
    assert "oversized data" in refused(chain, alice.sign(b"", bytes(140_000), gas=13_000_000))


def test_mallory_without_money_is_turned_away(chain: DevChain, mallory: Person, bob: Person) -> None:
    assert refused(chain, mallory.sign(bob.address)).startswith("insufficient funds for gas * price + value")


def test_a_used_nonce_is_too_low_and_a_mined_transaction_comes_too_late(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    raw = alice.sign(bob.address)
    chain.send_raw_transaction(raw)
    assert refused(chain, raw) == "nonce too low: next nonce 1, tx nonce 0"


def test_a_gap_in_the_nonces_waits_until_it_is_filled(chain: DevChain, alice: Person, bob: Person) -> None:
    second = alice.send(bob.address, nonce=1)
    assert chain.receipt(second) is None
    assert chain.nonce(alice.address, pending=True) == 0
    first = alice.send(bob.address, nonce=0)
    numbers = [receipt.block_number for one in (first, second) if (receipt := chain.receipt(one))]
    assert numbers == [1, 1]
    assert chain.nonce(alice.address, pending=True) == 2


def test_a_transaction_below_the_base_fee_waits_for_it_to_fall(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    cheap = alice.send(bob.address, max_fee_per_gas_wei=GWEI // 2, max_priority_fee_per_gas_wei=0)
    assert chain.receipt(cheap) is None
    # Empty blocks lower the base fee by an eighth each; after five of them it is below half.
    chain.mine(6)
    receipt = chain.receipt(cheap)
    assert receipt is not None
    mined = chain.history.blocks[receipt.block_number]
    assert mined.header.base_fee_wei <= GWEI // 2 < chain.history.blocks[mined.number - 1].header.base_fee_wei


def test_a_waiting_transaction_is_replaced_by_one_that_pays_a_tenth_more(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    chain.set_automine(False)
    first = alice.sign(bob.address, value_wei=1)
    chain.send_raw_transaction(first)
    assert refused(chain, first) == "already known"
    for terms in (
        {},
        {"max_fee_per_gas_wei": 11 * GWEI},
        {"max_priority_fee_per_gas_wei": 11 * GWEI // 10},
        {"max_fee_per_gas_wei": 11 * GWEI - 1, "max_priority_fee_per_gas_wei": 11 * GWEI // 10},
    ):
        assert refused(chain, alice.sign(bob.address, value_wei=2, **terms)) == (
            "replacement transaction underpriced"
        )
    better = alice.send(
        bob.address, max_fee_per_gas_wei=11 * GWEI, max_priority_fee_per_gas_wei=11 * GWEI // 10
    )
    assert [waiting.hash for waiting in chain.pool] == [better]
    chain.mine()
    assert [receipt.transaction_hash for receipt in chain.head.receipts] == [better]


def test_the_price_of_one_wei_cannot_replace_itself_for_ever(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    chain.set_automine(False)
    alice.send(bob.address, nonce=0, max_fee_per_gas_wei=1, max_priority_fee_per_gas_wei=0)
    free_tip = alice.sign(
        bob.address, nonce=0, value_wei=1, max_fee_per_gas_wei=2, max_priority_fee_per_gas_wei=0
    )
    assert refused(chain, free_tip) == "replacement transaction underpriced"
    again = alice.sign(
        bob.address, nonce=0, value_wei=1, max_fee_per_gas_wei=1, max_priority_fee_per_gas_wei=0
    )
    assert refused(chain, again) == "replacement transaction underpriced"


def test_higher_tips_go_first_but_nonces_keep_their_order(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    chain.set_automine(False)
    low = alice.send(bob.address, max_priority_fee_per_gas_wei=GWEI)
    high = alice.send(bob.address, max_priority_fee_per_gas_wei=5 * GWEI)
    middle = bob.send(alice.address, max_priority_fee_per_gas_wei=2 * GWEI)
    chain.mine()
    assert [receipt.transaction_hash for receipt in chain.head.receipts] == [middle, low, high]


def test_all_that_waits_must_be_affordable_together(chain: DevChain, alice: Person, bob: Person) -> None:
    chain.set_automine(False)
    alice.send(bob.address, value_wei=60 * ETHER_WEI)
    assert "queued cost" in refused(chain, alice.sign(bob.address, value_wei=60 * ETHER_WEI))


def test_what_does_not_fit_in_a_block_goes_into_the_next(wall: Wall) -> None:
    chain = DevChain(DevChainSettings(block_gas_limit=50_000, automine=False), wall)
    alice = person(chain, "alice")
    for _ in range(5):
        alice.send(alice.address, gas=21_000)
    counts = [len(block.receipts) for block in chain.mine(3)]
    assert counts == [2, 2, 1]


def test_nothing_overtakes_the_senders_own_transaction_that_did_not_fit(wall: Wall) -> None:
    chain = DevChain(DevChainSettings(block_gas_limit=100_000, automine=False), wall)
    alice, bob = person(chain, "alice"), person(chain, "bob")
    bob.send(bob.address, b"\1" * 1000, gas=61_000, max_priority_fee_per_gas_wei=2 * GWEI)
    large, small = alice.send(bob.address, gas=90_000), alice.send(bob.address, gas=21_000)
    first, second = chain.mine(2)
    assert [receipt.sender for receipt in first.receipts] == [bob.address]
    assert [receipt.transaction_hash for receipt in second.receipts] == [large, small]


def test_a_sender_who_lost_the_money_meanwhile_is_passed_over(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    chain.set_automine(False)
    alice.send(bob.address, value_wei=ETHER_WEI)
    chain.set_balance_wei(alice.address, ETHER_WEI)
    paid = bob.send(alice.address, value_wei=5)
    (block,) = chain.mine()
    assert [receipt.transaction_hash for receipt in block.receipts] == [paid]
    assert chain.balance_wei(alice.address) == ETHER_WEI + 5
    chain.set_balance_wei(alice.address, 2 * ETHER_WEI)
    assert len(chain.mine()[0].receipts) == 1


def test_the_pool_has_room_for_so_many_and_no_more(
    chain: DevChain, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SENDER_LIMIT", 3)
    monkeypatch.setattr(pool, "POOL_LIMIT", 5)
    chain.set_automine(False)
    for _ in range(3):
        alice.send(bob.address)
    assert refused(chain, alice.sign(bob.address)) == "account limit exceeded: 3 transactions wait"
    bob.send(alice.address)
    bob.send(alice.address)
    assert refused(chain, bob.sign(alice.address)) == "txpool is full: 5 transactions wait"
    # A replacement takes no more room.
    alice.send(bob.address, nonce=0, max_fee_per_gas_wei=20 * GWEI, max_priority_fee_per_gas_wei=2 * GWEI)
    assert len(chain.pool) == 5


def test_a_transaction_that_the_engine_cannot_run_stops_no_other(
    chain: DevChain, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.set_automine(False)
    fine = alice.send(bob.address, value_wei=1, max_priority_fee_per_gas_wei=3 * GWEI)
    poison = bob.send(alice.address, value_wei=666)
    before = dict(chain.history.ledger.cells)
    real = Evm.execute

    def stumbling(evm: Evm, transaction: Transaction) -> Outcome:
        outcome = real(evm, transaction)
        if transaction.value == 666:
            raise ZeroDivisionError("a bug of the engine")
        return outcome

    monkeypatch.setattr(Evm, "execute", stumbling)
    with pytest.raises(EngineFailed, match=f"0x{poison.hex()} cannot be executed: a bug of the engine"):
        chain.mine()
    # Not even the transaction that had run before it left a trace.
    assert {key: value for key, value in chain.history.ledger.cells.items() if value is not None} == before
    assert [waiting.hash for waiting in chain.pool] == [fine]
    assert [receipt.transaction_hash for receipt in chain.mine()[0].receipts] == [fine]


def test_the_base_fee_follows_the_use_of_gas(wall: Wall) -> None:
    chain = DevChain(DevChainSettings(block_gas_limit=42_000), wall)
    alice = person(chain, "alice")
    fees = [chain.head.header.base_fee_wei]
    for gas in (21_000, 42_000, 42_000):
        # A block at its target leaves the fee alone; a full one raises it by an eighth.
        if gas == 21_000:
            alice.mined(alice.address, gas=21_000)
        else:
            chain.set_automine(False)
            alice.send(alice.address, gas=21_000)
            alice.send(alice.address, gas=21_000)
            chain.mine()
        fees.append(chain.head.header.base_fee_wei)
    chain.mine()
    fees.append(chain.head.header.base_fee_wei)
    chain.mine()
    fees.append(chain.head.header.base_fee_wei)
    # Genesis was empty, hence the first fall; [EIP-1559].
    assert fees[1] == fees[0] - fees[0] // 8
    assert fees[2] == fees[1]
    assert fees[3] == fees[2] + fees[2] // 8
    assert fees[4] == fees[3] + fees[3] // 8
    assert fees[5] == fees[4] - fees[4] // 8


def test_a_transaction_stuck_below_the_base_fee_is_bumped(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    chain.set_next_base_fee_wei(50 * GWEI)
    stuck = alice.send(bob.address, nonce=0)
    assert chain.receipt(stuck) is None
    assert chain.context("pending").base_fee_wei == 50 * GWEI
    bumped = alice.send(
        bob.address, nonce=0, max_fee_per_gas_wei=60 * GWEI, max_priority_fee_per_gas_wei=2 * GWEI
    )
    receipt = chain.receipt(bumped)
    assert receipt is not None
    assert receipt.effective_gas_price_wei == 52 * GWEI
    assert chain.context("pending").base_fee_wei < 50 * GWEI


def test_a_second_encoding_of_a_transaction_is_refused(chain: DevChain, alice: Person, bob: Person) -> None:
    transaction = decode_transaction(alice.sign(bob.address), chain.chain_id)
    fields = rlp.decode(transaction.raw[1:])
    flipped = [
        *fields[:9],
        bytes([1 - transaction.y_parity]).lstrip(b"\0"),
        fields[10],
        (CURVE_ORDER - transaction.s).to_bytes(32, "big"),
    ]
    assert refused(chain, b"\x02" + rlp.encode(flipped)) == "invalid transaction v, r, s values"
    padded = [fields[0], b"\0\1", *fields[2:]]
    assert "nonce is not a canonical integer" in refused(chain, b"\x02" + rlp.encode(padded))
    short = [*fields[:5], b"\1" * 19, *fields[6:]]
    assert "0 or 20 bytes" in refused(chain, b"\x02" + rlp.encode(short))


def test_a_transaction_that_any_chain_would_take_is_refused(
    chain: DevChain, alice: Person, bob: Person
) -> None:
    everywhere = legacy(alice.key, chain.chain_id, 0, bob.address, 2 * GWEI, v_base=27)
    assert refused(chain, everywhere) == "only replay-protected (EIP-155) transactions allowed over RPC"
    elsewhere = legacy(alice.key, 1, 0, bob.address, 2 * GWEI)
    assert refused(chain, elsewhere) == "invalid chain id for signer: have 1 want 1337931"


@pytest.mark.parametrize(
    "raw",
    ["", "00", "02", "c0", "03c0", "04c0", "7f", "02ffff", "f8", "02c101", "ff" * 40, "b90000"],
)
def test_bytes_that_are_no_transaction_are_refused(chain: DevChain, raw: str) -> None:
    refused(chain, bytes.fromhex(raw))


def test_lists_nested_without_end_are_refused(chain: DevChain) -> None:
    nested = b""
    while len(nested) < 100_000:
        length = len(nested)
        size = length.to_bytes((length.bit_length() + 7) // 8, "big")
        nested = (bytes([0xC0 + length]) if length < 56 else bytes([0xF7 + len(size)]) + size) + nested
    assert refused(chain, nested).startswith("rlp: ")


def test_the_faucet_pays_from_its_own_account(chain: DevChain, mallory: Person) -> None:
    nonces = [chain.nonce(account.address) for account in chain.accounts]
    receipt = chain.receipt(chain.fund(mallory.address, 5 * ETHER_WEI))
    assert receipt is not None
    assert chain.balance_wei(mallory.address) == 5 * ETHER_WEI
    assert [chain.nonce(account.address) for account in chain.accounts] == nonces
