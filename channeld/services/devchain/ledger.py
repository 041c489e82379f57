"""The world state: accounts and storage in plain dictionaries, with an undo log.

py-evm asks for its state through an account database. Its own keeps a Merkle trie behind five layers of
caches, which costs most of the time of a small transaction and buys proofs that nobody here asks for. This
one is a dictionary; every write notes the old value, so that reverting a call, a block or a hundred blocks is
reading the notes backwards. `diff_commitment` stands in for the trie's root in block headers.
"""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import NamedTuple

from eth.abc import AccountDatabaseAPI

from channeld.services.devchain.hashing import keccak256

EMPTY_CODE_HASH = keccak256(b"")


class Account(NamedTuple):
    nonce: int
    balance_wei: int
    code_hash: bytes


NO_ACCOUNT = Account(0, 0, EMPTY_CODE_HASH)

# An address (20 bytes) names an account, an address and a slot a storage word. A missing cell and a cell of
# None are the same: no account, or zero.
Key = bytes | tuple[bytes, int]
Value = Account | int | None
Cells = MutableMapping[Key, Value]
Diff = dict[Key, Value]


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the undo log, to rewind to."""

    position: int


class Ledger(AccountDatabaseAPI):  # type: ignore[misc]  # the base class has no types
    """Accounts, code and storage; also the per-transaction notes that gas rules need (warm, original)."""

    def __init__(self, cells: Cells | None = None, codes: dict[bytes, bytes] | None = None) -> None:
        self.cells: Cells = {} if cells is None else cells
        # By hash and never removed: an unused entry harms nobody.
        self.codes: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""} if codes is None else codes
        self._undo: list[tuple[MutableMapping[Key, Value], Key, Value]] = []
        self._warm: dict[Key, Value] = {}
        self._original: dict[Key, int] = {}
        self._transient: dict[Key, Value] = {}
        # Slots ever written by an address; more than it has now, never fewer.
        self._slots: dict[bytes, set[int]] = {}

    # -- undoing --

    def mark(self) -> Mark:
        return Mark(len(self._undo))

    def rewind(self, mark: Mark) -> None:
        """Take back every write since `mark`."""
        undo = self._undo
        while len(undo) > mark.position:
            cells, key, old = undo.pop()
            if old is None:
                cells.pop(key, None)
            else:
                cells[key] = old

    def seal(self) -> Diff:
        """Forget how to rewind; return the value that each cell written since the last seal had before."""
        before: Diff = {}
        for cells, key, old in self._undo:
            if cells is self.cells:
                before.setdefault(key, old)
        self._undo.clear()
        self.lock_changes()
        return before

    def current(self, keys: Mapping[Key, Value]) -> Diff:
        """The present values of these cells."""
        return {key: self.cells.get(key) for key in keys}

    def apply(self, diff: Diff) -> Diff:
        """Set cells outright, past the undo log; return what they were, to be applied to go back."""
        assert not self._undo, "a diff is applied between blocks only"
        before = self.current(diff)
        for key, value in diff.items():
            if value is None:
                self.cells.pop(key, None)
            else:
                self.cells[key] = value
            if isinstance(key, tuple):
                self._slots.setdefault(key[0], set()).add(key[1])
        return before

    def view(self, overlay: Diff) -> "Ledger":
        """This ledger with some cells replaced; writes to the view stay in it."""
        view = Ledger(ChainMap({}, overlay, self.cells), self.codes)
        view._slots = self._slots
        return view

    def _write(self, cells: MutableMapping[Key, Value], key: Key, value: Value) -> None:
        self._undo.append((cells, key, cells.get(key)))
        cells[key] = value

    # -- what the engine calls: checkpoints --

    @property
    def state_root(self) -> bytes:
        return b""

    @state_root.setter
    def state_root(self, value: bytes) -> None:
        """There is no trie; `discard` takes everything back."""

    def has_root(self, state_root: bytes) -> bool:
        return state_root == b""

    def record(self) -> Mark:
        return self.mark()

    def discard(self, checkpoint: Mark) -> None:
        self.rewind(checkpoint)

    def commit(self, checkpoint: Mark) -> None:
        """The notes stay: an outer checkpoint may still be discarded."""

    def lock_changes(self) -> None:
        """A new transaction begins: nothing is warm, and the present values are the original ones."""
        self._warm = {}
        self._original = {}
        self._transient = {}

    def make_state_root(self) -> bytes:
        return b""

    def persist(self) -> None:
        raise AssertionError("the chain seals the ledger; the engine has no business persisting it")

    # -- accounts --

    def _account(self, address: bytes) -> Account:
        account = self.cells.get(address)
        return account if isinstance(account, Account) else NO_ACCOUNT

    def get_balance(self, address: bytes) -> int:
        return self._account(address).balance_wei

    def set_balance(self, address: bytes, balance: int) -> None:
        assert 0 <= balance < 2**256, f"balance out of range: {balance}"
        self._write(self.cells, address, self._account(address)._replace(balance_wei=balance))

    def get_nonce(self, address: bytes) -> int:
        return self._account(address).nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:
        self._write(self.cells, address, self._account(address)._replace(nonce=nonce))

    def increment_nonce(self, address: bytes) -> None:
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code(self, address: bytes) -> bytes:
        return self.codes[self._account(address).code_hash]

    def get_code_hash(self, address: bytes) -> bytes:
        return self._account(address).code_hash

    def set_code(self, address: bytes, code: bytes) -> None:
        code_hash = keccak256(code)
        self.codes[code_hash] = code
        self._write(self.cells, address, self._account(address)._replace(code_hash=code_hash))

    def delete_code(self, address: bytes) -> None:
        self._write(self.cells, address, self._account(address)._replace(code_hash=EMPTY_CODE_HASH))

    def account_has_code_or_nonce(self, address: bytes) -> bool:
        account = self._account(address)
        return account.nonce != 0 or account.code_hash != EMPTY_CODE_HASH

    def account_exists(self, address: bytes) -> bool:
        return self.cells.get(address) is not None

    def account_is_empty(self, address: bytes) -> bool:
        return self._account(address) == NO_ACCOUNT

    def touch_account(self, address: bytes) -> None:
        if self.cells.get(address) is None:
            self._write(self.cells, address, NO_ACCOUNT)

    def delete_account(self, address: bytes) -> None:
        self.delete_storage(address)
        self._write(self.cells, address, None)

    # -- storage --

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """`from_journal=False` asks for the value before this transaction [EIP-2200]."""
        key = (address, slot)
        if not from_journal:
            original = self._original.get(key)
            if original is not None:
                return original
        value = self.cells.get(key)
        return value if isinstance(value, int) else 0

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        key = (address, slot)
        self._original.setdefault(key, self.get_storage(address, slot))
        self._slots.setdefault(address, set()).add(slot)
        self._write(self.cells, key, value or None)

    def delete_storage(self, address: bytes) -> None:
        for slot in self._slots.get(address, ()):
            if self.get_storage(address, slot):
                self.set_storage(address, slot, 0)

    # -- transient storage [EIP-1153] --

    def get_transient(self, address: bytes, slot: int) -> int:
        value = self._transient.get((address, slot))
        return value if isinstance(value, int) else 0

    def set_transient(self, address: bytes, slot: int, value: int) -> None:
        self._write(self._transient, (address, slot), value)

    # -- warm and cold [EIP-2929] --

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        return self._warm.get((address, slot)) is not None

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        if not self.is_storage_warm(address, slot):
            self._write(self._warm, (address, slot), 1)

    def is_address_warm(self, address: bytes) -> bool:
        return self._warm.get(address) is not None

    def mark_address_warm(self, address: bytes) -> None:
        if not self.is_address_warm(address):
            self._write(self._warm, address, 1)


def encode_diff(diff: Diff) -> list[list[bytes | int]]:
    """A diff as msgpack-able rows, sorted: [address, nonce, balance, code hash] and [address, slot, value].

    An account that is gone is [address]; numbers of 256 bits are big-endian bytes.
    """
    rows: list[list[bytes | int]] = []
    for key, value in diff.items():
        if isinstance(key, tuple):
            assert not isinstance(value, Account)
            rows.append([key[0], key[1].to_bytes(32, "big"), (value or 0).to_bytes(32, "big")])
        elif value is None:
            rows.append([key])
        else:
            assert isinstance(value, Account)
            rows.append([key, value.nonce, value.balance_wei.to_bytes(32, "big"), value.code_hash])
    rows.sort(key=lambda row: (row[0], len(row), row[1] if len(row) == 3 else b""))
    return rows


def decode_diff(rows: list[list[bytes | int]]) -> Diff:
    """The inverse of `encode_diff`."""
    diff: Diff = {}
    for row in rows:
        match row:
            case [bytes() as address]:
                diff[address] = None
            case [bytes() as address, bytes() as slot, bytes() as value]:
                diff[(address, int.from_bytes(slot, "big"))] = int.from_bytes(value, "big") or None
            case [bytes() as address, int() as nonce, bytes() as balance, bytes() as code_hash]:
                diff[address] = Account(nonce, int.from_bytes(balance, "big"), code_hash)
            case _:
                raise ValueError(f"a row of a state diff has 1, 3 or 4 fields, not {len(row)}")
    return diff
