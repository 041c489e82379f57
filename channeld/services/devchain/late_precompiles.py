"""The BLS12-381 precompiles of Prague [EIP-2537], loaded when a contract first calls one.

Their library computes tables while it is imported, which takes a third of the chain's start, for operations
that no contract of a channel uses. py-evm imports them by name, so importing this module puts a stand-in
under that name; its functions load the real ones and pass the call on. Where py-evm was imported before,
nothing changes.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

PACKAGE = "eth.precompiles.bls12_381"

Precompile = Callable[[Any], Any]


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Precompile:
        if not name.startswith("bls12_"):
            raise AttributeError(f"module {PACKAGE} has no attribute {name} until it is loaded")

        def precompile(computation: Any) -> Any:
            return getattr(_real(), name)(computation)

        return precompile


@cache
def _real() -> ModuleType:
    # The library also raises the interpreter's recursion limit beyond what the C stack holds.
    limit = sys.getrecursionlimit()
    del sys.modules[PACKAGE]
    loaded = import_module(PACKAGE)
    sys.setrecursionlimit(limit)
    return loaded


if "eth" not in sys.modules:
    sys.modules[PACKAGE] = _StandIn(PACKAGE)
