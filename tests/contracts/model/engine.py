"""The EVM under the contract: revm where it can be imported, else the one in pure Python."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from eth.exceptions import InsufficientFunds
from eth_utils.exceptions import ValidationError
from vyper.cli.vyper_compile import compile_files
from vyper.compiler.settings import OptimizationLevel, Settings

from bench.evm import Arena, Reverted
from channeld.wire.eip712 import keccak
from contracts.artifacts import Artifact
from contracts.compile import HERE
from tests.contracts.model.books import Refused
from tests.contracts.model.money import CHAIN_ID
from tests.contracts.model.signing import word

HAS_REVM = find_spec("pyrevm") is not None
if HAS_REVM:
    import pyrevm

GAS = 5_000_000
"""Of one call: more than any needs here, and little enough that burning it is quick."""

DEPLOYER = b"\xde" * 20
ERROR_STRING = bytes.fromhex("08c379a0")


class Engine(Protocol):
    """One chain. `now_s` and `number` are those of the block of the next transaction."""

    now_s: int
    number: int

    def fund(self, address: bytes, wei: int) -> None: ...

    def deploy(self, artifact: Artifact) -> bytes: ...

    def send(self, sender: bytes, to: bytes, data: bytes, value_wei: int = 0, gas: int = GAS) -> None:
        """Raises Refused with the words of the revert ("" if it has none)."""

    def storage(self, address: bytes, slot: int) -> int: ...

    def poke(self, address: bytes, slot: int, value: int) -> None: ...

    def balance_wei(self, address: bytes) -> int: ...

    def salt(self) -> bytes:
        """The hash of the block before that of the next transaction."""

    def mark(self) -> None:
        """`rewind` comes back to here, again and again."""

    def rewind(self) -> None: ...


class Revm:
    """revm in Rust: about 100 microseconds a call."""

    def __init__(self) -> None:
        config = pyrevm.CfgEnv(chain_id=CHAIN_ID)
        self._evm = pyrevm.EVM(spec_id="PRAGUE", env=pyrevm.Env(cfg=config))
        self.now_s = self.number = 1
        self._mark: Any = None

    def fund(self, address: bytes, wei: int) -> None:
        self._evm.set_balance(_hex(address), wei)

    def deploy(self, artifact: Artifact) -> bytes:
        return bytes.fromhex(self._evm.deploy(_hex(DEPLOYER), artifact.bytecode)[2:])

    def send(self, sender: bytes, to: bytes, data: bytes, value_wei: int = 0, gas: int = GAS) -> None:
        self._evm.set_block_env(pyrevm.BlockEnv(number=self.number, timestamp=self.now_s))
        self._evm.reset_transient_storage()
        try:
            self._evm.message_call(_hex(sender), _hex(to), data, value=value_wei, gas=gas)
        except RuntimeError as error:
            raise Refused(_words(str(error))) from None

    def storage(self, address: bytes, slot: int) -> int:
        value: int = self._evm.storage(_hex(address), slot)
        return value

    def poke(self, address: bytes, slot: int, value: int) -> None:
        self._evm.insert_account_storage(_hex(address), slot, value)

    def balance_wei(self, address: bytes) -> int:
        balance: int = self._evm.get_balance(_hex(address))
        return balance

    def salt(self) -> bytes:
        return keccak(str(self.number - 1).encode())

    def mark(self) -> None:
        self._mark = self._evm.snapshot()

    def rewind(self) -> None:
        self._evm.revert(self._mark)
        self._mark = self._evm.snapshot()


class Pure:
    """The engine of the development chain."""

    def __init__(self) -> None:
        self._arena = Arena()
        self.now_s = self.number = 1
        self._mark: Any = None

    def fund(self, address: bytes, wei: int) -> None:
        self._arena.fund(address, wei)

    def deploy(self, artifact: Artifact) -> bytes:
        address = self._arena.deploy(artifact)
        self._arena.known = ()  # nobody reads events here
        return address

    def send(self, sender: bytes, to: bytes, data: bytes, value_wei: int = 0, gas: int = GAS) -> None:
        self._arena.now_s, self._arena.block_number = self.now_s, self.number - 1
        try:
            self._arena.send(sender, to, data, value_wei, gas)
        except Reverted as reverted:
            words = str(reverted)
            raise Refused("" if words in ENGINE_WORDS else words) from None
        except (InsufficientFunds, ValidationError):  # no block could hold it
            raise Refused("") from None

    def storage(self, address: bytes, slot: int) -> int:
        value: int = self._arena.ledger.get_storage(address, slot)
        return value

    def poke(self, address: bytes, slot: int, value: int) -> None:
        self._arena.ledger.set_storage(address, slot, value)

    def balance_wei(self, address: bytes) -> int:
        return self._arena.balance_wei(address)

    def salt(self) -> bytes:
        return keccak(b"block" + self.number.to_bytes(8, "big"))

    def mark(self) -> None:
        self._mark = self._arena.ledger.mark()

    def rewind(self) -> None:
        self._arena.ledger.rewind(self._mark)


ENGINE_WORDS = ("execution reverted", "out of gas", "failed", "insufficient funds")


def best_engine() -> Engine:
    return Revm() if HAS_REVM else Pure()


@cache
def _hex(address: bytes) -> str:
    return "0x" + address.hex()


def _words(error: str) -> str:
    """From revm's text: Revert { gas_used: .., output: 0x.. }, or how it halted."""
    _, found, output = error.partition("output: 0x")
    raw = bytes.fromhex(output.split(" ")[0]) if found else b""
    if raw[:4] != ERROR_STRING:
        return ""
    size = int.from_bytes(raw[36:68], "big")
    return raw[68 : 68 + size].decode()


# -- where Vyper keeps what --


@cache
def slots_of(path: Path) -> dict[str, int]:
    """Name of a storage variable => its slot, of all modules of a source."""
    (output,) = compile_files(
        [str(path)],
        ["layout"],
        paths=[str(path.parent), str(HERE)],
        include_sys_path=False,
        settings=Settings(optimize=OptimizationLevel.GAS, evm_version="prague"),
    ).values()
    found: dict[str, int] = {}
    stack = [output["layout"]["storage_layout"]]
    while stack:
        for name, entry in stack.pop().items():
            if "slot" in entry:
                found[name] = entry["slot"]
            else:
                stack.append(entry)
    return found


@cache
def slot_in(slot: int, *keys: bytes) -> int:
    """[Vyper]: a HashMap keeps the value of a key at keccak256(slot, key)."""
    for key in keys:
        slot = int.from_bytes(keccak(word(slot) + word(key)), "big")
    return slot
