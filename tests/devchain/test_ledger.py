"""The ledger against a model: whatever is written and taken back, it holds what plain copying would hold."""

import copy
from collections import Counter

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.ledger import (
    EMPTY_CODE_HASH,
    Account,
    Diff,
    Ledger,
    Mark,
    decode_diff,
    encode_diff,
)

ADDRESSES = [bytes([n]) * 20 for n in (1, 2, 3)]
SLOTS = [0, 1, 2**256 - 1]
addresses = st.sampled_from(ADDRESSES)
slots = st.sampled_from(SLOTS)

# address -> (nonce, balance, code) or absent; (address, slot) -> value
Model = tuple[dict[bytes, tuple[int, int, bytes]], dict[tuple[bytes, int], int]]
NOBODY = (0, 0, b"")

RULES = (
    "restart",
    "set_balance",
    "use_nonce",
    "set_code",
    "set_storage",
    "delete",
    "touch",
    "open_call",
    "end_call",
    "seal_block",
    "drop_block",
    "look_back",
)
FIRED: Counter[str] = Counter()


class LedgerAgainstModel(RuleBasedStateMachine):
    """Writes, nested calls that revert or not, blocks that are dropped again and looked back at."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.model: Model = ({}, {})
        self.calls: list[tuple[Mark, Model]] = []
        # What each block changed, and the model after it; the first is an empty genesis.
        self.layers: list[tuple[Diff, Model]] = [({}, ({}, {}))]

    @rule(address=addresses, balance_wei=st.integers(0, 2**256 - 1))
    def set_balance(self, address: bytes, balance_wei: int) -> None:
        FIRED["set_balance"] += 1
        nonce, _, code = self.model[0].get(address, NOBODY)
        self.model[0][address] = (nonce, balance_wei, code)
        self.ledger.set_balance(address, balance_wei)

    @rule(address=addresses)
    def use_nonce(self, address: bytes) -> None:
        FIRED["use_nonce"] += 1
        nonce, balance_wei, code = self.model[0].get(address, NOBODY)
        self.model[0][address] = (nonce + 1, balance_wei, code)
        self.ledger.increment_nonce(address)

    @rule(address=addresses, code=st.binary(max_size=3))
    def set_code(self, address: bytes, code: bytes) -> None:
        FIRED["set_code"] += 1
        nonce, balance_wei, _ = self.model[0].get(address, NOBODY)
        self.model[0][address] = (nonce, balance_wei, code)
        self.ledger.set_code(address, code)

    @rule(address=addresses, slot=slots, word=st.integers(0, 3))
    def set_storage(self, address: bytes, slot: int, word: int) -> None:
        FIRED["set_storage"] += 1
        self.model[1][address, slot] = word
        self.ledger.set_storage(address, slot, word)

    @rule(address=addresses)
    def delete(self, address: bytes) -> None:
        FIRED["delete"] += 1
        self.model[0].pop(address, None)
        for key in [key for key in self.model[1] if key[0] == address]:
            del self.model[1][key]
        self.ledger.delete_account(address)

    @rule(address=addresses)
    def touch(self, address: bytes) -> None:
        FIRED["touch"] += 1
        self.model[0].setdefault(address, NOBODY)
        self.ledger.touch_account(address)

    @rule()
    def open_call(self) -> None:
        FIRED["open_call"] += 1
        self.calls.append((self.ledger.mark(), copy.deepcopy(self.model)))

    @precondition(lambda self: self.calls)
    @rule(reverts=st.booleans())
    def end_call(self, reverts: bool) -> None:
        FIRED["end_call"] += 1
        mark, before = self.calls.pop()
        if reverts:
            self.ledger.rewind(mark)
            self.model = before

    @precondition(lambda self: not self.calls)
    @rule()
    def seal_block(self) -> None:
        FIRED["seal_block"] += 1
        self.layers.append((self.ledger.seal(), copy.deepcopy(self.model)))

    @precondition(lambda self: len(self.layers) > 1 and not self.calls)
    @rule()
    def drop_block(self) -> None:
        FIRED["drop_block"] += 1
        self.seal_block()
        for _ in range(2):
            before, _ = self.layers.pop()
            self.ledger.apply(before)
        self.model = copy.deepcopy(self.layers[-1][1])

    @precondition(lambda self: len(self.layers) > 1 and not self.calls)
    @rule()
    def look_back(self) -> None:
        FIRED["look_back"] += 1
        self.seal_block()
        overlay: Diff = {}
        for place in range(len(self.layers) - 1, 0, -1):
            overlay.update(self.layers[place][0])
            compare(self.ledger.view(overlay), self.layers[place - 1][1])

    @precondition(lambda self: not self.calls)
    @rule()
    def restart(self) -> None:
        FIRED["restart"] += 1
        self.seal_block()
        written = encode_diff(dict(self.ledger.cells))
        self.ledger = Ledger(codes=self.ledger.codes)
        self.ledger.apply(decode_diff(written))

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        compare(self.ledger, self.model)


def compare(ledger: Ledger, model: Model) -> None:
    for address in ADDRESSES:
        nonce, balance_wei, code = model[0].get(address, NOBODY)
        assert ledger.account_exists(address) == (address in model[0])
        assert ledger.get_nonce(address) == nonce
        assert ledger.get_balance(address) == balance_wei
        assert ledger.get_code(address) == code
        assert ledger.get_code_hash(address) == (keccak256(code) if code else EMPTY_CODE_HASH)
        assert ledger.account_is_empty(address) == ((nonce, balance_wei, code) == NOBODY)
        for slot in SLOTS:
            assert ledger.get_storage(address, slot) == model[1].get((address, slot), 0)


def test_the_ledger_holds_what_the_model_holds() -> None:
    FIRED.clear()
    terms = settings(
        max_examples=100,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    # Each example leaves out some of the rules, by chance; a run that left one out of all is repeated.
    for _ in range(5):
        run_state_machine_as_test(LedgerAgainstModel, settings=terms)
        if set(FIRED) == set(RULES):
            break
    assert set(FIRED) == set(RULES), "a rule that never fired tests nothing"


def test_an_account_restored_from_a_diff_is_deleted_with_all_its_storage() -> None:
    ledger = Ledger()
    who = ADDRESSES[0]
    ledger.apply({who: Account(1, 5, EMPTY_CODE_HASH), (who, 7): 9})
    ledger.delete_account(who)
    assert ledger.get_storage(who, 7) == 0
    assert not ledger.account_exists(who)


def test_the_original_value_is_that_before_the_transaction() -> None:
    ledger = Ledger()
    who = ADDRESSES[0]
    ledger.set_storage(who, 1, 5)
    ledger.seal()
    mark = ledger.mark()
    ledger.set_storage(who, 1, 6)
    ledger.set_storage(who, 1, 7)
    assert ledger.get_storage(who, 1, from_journal=False) == 5
    ledger.rewind(mark)
    assert ledger.get_storage(who, 1, from_journal=False) == 5
    ledger.set_storage(who, 1, 8)
    ledger.lock_changes()
    assert ledger.get_storage(who, 1, from_journal=False) == 8


def test_what_a_reverted_call_warmed_is_cold_again() -> None:
    ledger = Ledger()
    who = ADDRESSES[0]
    ledger.mark_address_warm(who)
    mark = ledger.mark()
    ledger.mark_storage_warm(who, 1)
    ledger.set_transient(who, 1, 9)
    assert ledger.is_storage_warm(who, 1)
    ledger.rewind(mark)
    assert not ledger.is_storage_warm(who, 1)
    assert ledger.get_transient(who, 1) == 0
    assert ledger.is_address_warm(who)
    ledger.lock_changes()
    assert not ledger.is_address_warm(who)


def test_a_view_of_the_past_keeps_its_writes_to_itself() -> None:
    ledger = Ledger()
    who = ADDRESSES[0]
    ledger.set_balance(who, 5)
    ledger.set_storage(who, 1, 5)
    ledger.seal()
    ledger.set_balance(who, 6)
    before = ledger.seal()
    view = ledger.view(before)
    view.set_balance(who, 99)
    view.set_storage(who, 1, 99)
    view.delete_account(who)
    assert not view.account_exists(who)
    assert ledger.get_balance(who) == 6
    assert ledger.get_storage(who, 1) == 5
