"""The chain as a process of its own: it says when it is ready, ends when told, and survives being killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.devchain.cast import client_of

PROGRAM = """
import asyncio, sys
from pathlib import Path
from channeld.services.devchain.server import run_forever
from channeld.services.devchain.settings import DevChainSettings
asyncio.run(run_forever(DevChainSettings(port=0, accounts=2, state_path=Path(sys.argv[1]))))
"""
# Only a test that fails waits so long.
PATIENCE_S = 60
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def chain_process(state: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """A running process and the lines that it printed before it was ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(state),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not lines or " ready on " not in lines[-1]:
                line = await process.stdout.readline()
                assert line, "the process ended before it was ready"
                lines.append(line.decode().rstrip())
        yield process, lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    async with chain_process(tmp_path / "state") as (process, lines):
        # A heading, two accounts with their keys, and the line that a script waits for.
        assert len(lines) == 4
        assert lines[-1].startswith("chain 1337931 at block 0 ready on http://127.0.0.1:")
        async with client_of(lines[-1].split()[-1]) as client:
            address = (await client.get("eth_accounts"))[0]
            assert address in lines[1]
            await client.get("evm_mine")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0


async def test_it_comes_back_after_being_killed(tmp_path: Path) -> None:
    async with chain_process(tmp_path / "state") as (process, lines):
        async with client_of(lines[-1].split()[-1]) as client:
            await client.get("anvil_mine", 7)
            head = await client.get("eth_getBlockByNumber", "latest", True)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    async with chain_process(tmp_path / "state") as (process, lines):
        assert " at block 7 " in lines[-1]
        async with client_of(lines[-1].split()[-1]) as client:
            assert await client.get("eth_getBlockByNumber", "latest", True) == head
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
