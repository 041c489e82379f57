"""A process that submits a deposit and is killed at a chosen point (test_chain_transactions.py).

Usage: killed_sender.py URL OUTBOX ADJUDICATOR before|after: SIGKILL before or after the raw
transaction reaches the node.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import open_transactor
from tests.adapters.nodes import ALICE, FAST, deposit_request


class Killed(RpcClient):
    """Dies at the first eth_sendRawTransaction."""

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        if method != "eth_sendRawTransaction":
            return await super().call(method, *params, retried=retried)
        if sys.argv[4] == "after":
            await super().call(method, *params, retried=retried)
        os.kill(os.getpid(), signal.SIGKILL)
        return None


async def main() -> None:
    url, outbox, adjudicator, _ = sys.argv[1:]
    async with (
        Killed(RpcSettings(url, attempts=1)) as rpc,
        open_transactor(rpc, ALICE, Path(outbox), FAST) as transactor,
    ):
        await transactor.submit("deposit:1", deposit_request(bytes.fromhex(adjudicator), 1000))


asyncio.run(main())
