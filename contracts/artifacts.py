"""The compiled contracts, as committed: no compiler is needed to run a node."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# A contract's ABI is JSON whose shape [the contract ABI specification] fixes.
AbiEntry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `bytecode` creates it, `bytecode_runtime` is what the chain then stores.

    `source_sha256` covers all Vyper sources of the package.
    """

    name: str
    compiler: str
    source_sha256: str
    bytecode: bytes
    bytecode_runtime: bytes
    abi: tuple[AbiEntry, ...]

    def entry(self, kind: str, name: str) -> AbiEntry:
        """The only ABI entry of that kind ("function", "event") and name; KeyError if there is none."""
        found = [item for item in self.abi if item["type"] == kind and item["name"] == name]
        if len(found) != 1:
            raise KeyError(f"{self.name}: expected one {kind} {name}, found {len(found)}")
        return found[0]


@cache
def _load(name: str) -> Artifact:
    raw = json.loads(files("contracts").joinpath(f"{name}.json").read_text())
    return Artifact(
        name=raw["name"],
        compiler=raw["compiler"],
        source_sha256=raw["source_sha256"],
        bytecode=bytes.fromhex(raw["bytecode"][2:]),
        bytecode_runtime=bytes.fromhex(raw["bytecode_runtime"][2:]),
        abi=tuple(raw["abi"]),
    )


def adjudicator() -> Artifact:
    return _load("adjudicator")


def erc20_test_token() -> Artifact:
    """An ERC-20 that anyone may mint, for development chains."""
    return _load("test_token")
