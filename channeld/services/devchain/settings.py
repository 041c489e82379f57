"""What a development chain is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

from channeld.core.errors import Rejected

ETHER_WEI = 10**18


@dataclass(frozen=True, slots=True)
class DevChainSettings:
    """Every setting of `channeld chain dev`; the defaults suit one machine and one developer.

    Rejected if one is out of range.
    """

    host: str = "127.0.0.1"
    # 0 asks the system for a free port; the server says which it got.
    port: int = 8545
    # Not the 1337 or 31337 of other development nodes: a key used on theirs must not sign for ours.
    chain_id: int = 1337931
    accounts: int = 10
    balance_wei: int = 10_000 * ETHER_WEI
    # None keeps everything in memory.
    state_path: Path | None = None
    # Mine a block for each transaction as it comes.
    automine: bool = True
    # 0: no block without a cause. Above 0: a block each so many seconds, empty or not.
    block_interval_s: float = 0.0
    block_gas_limit: int = 30_000_000
    # As hardhat and anvil start; EIP-1559 moves it from there.
    initial_base_fee_wei: int = 10**9

    def __post_init__(self) -> None:
        checks = (
            (0 <= self.port <= 65535, f"port must be 0 to 65535, not {self.port}"),
            # EIP-2294 bounds a chain id; JavaScript tools read it as a double.
            (0 < self.chain_id < 2**53, f"chain id must be 1 to 2^53-1, not {self.chain_id}"),
            # Each account is printed at start and paid in the genesis block.
            (0 <= self.accounts <= 1000, f"accounts must be 0 to 1000, not {self.accounts}"),
            # A thousand such balances, and the faucet's, stay far below 2^128.
            (0 <= self.balance_wei <= 2**96, f"balance must be 0 to 2^96 wei, not {self.balance_wei}"),
            # An hour without a block is no interval; below 10 ms the loop does nothing else.
            (
                self.block_interval_s == 0 or 0.01 <= self.block_interval_s <= 3600,
                f"block interval must be 0 or 0.01 to 3600 s, not {self.block_interval_s}",
            ),
            # A plain transfer must fit; above 100M gas a single block takes minutes in Python.
            (
                21_000 <= self.block_gas_limit <= 100_000_000,
                f"block gas limit must be 21000 to 100000000, not {self.block_gas_limit}",
            ),
            (
                0 < self.initial_base_fee_wei < 2**64,
                f"initial base fee must be 1 to 2^64-1 wei, not {self.initial_base_fee_wei}",
            ),
        )
        for holds, complaint in checks:
            if not holds:
                raise Rejected(complaint)
