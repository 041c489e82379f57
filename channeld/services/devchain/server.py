"""The chain behind HTTP: one JSON-RPC endpoint that several processes share."""

import asyncio
import logging
import signal
import sys

from aiohttp import web

from channeld.core.errors import OperationalError
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.dispatch import answer
from channeld.services.devchain.miner import IntervalMiner
from channeld.services.devchain.rpc_dev import Node
from channeld.services.devchain.settings import ETHER_WEI, DevChainSettings

# go-ethereum's limit. The largest sensible body is a batch of deployments.
BODY_LIMIT_BYTES = 5 * 1024 * 1024
# Requests are short; what is still running by then is a client that went away.
SHUTDOWN_S = 1.0

log = logging.getLogger(__name__)


class DevChainServer:
    """A running server; `chain` may be used directly from the same event loop."""

    def __init__(self, chain: DevChain, miner: IntervalMiner, runner: web.AppRunner, port: int) -> None:
        self.chain = chain
        self.port = port
        self.url = f"http://{_host_in_url(chain.settings.host)}:{port}"
        self._miner = miner
        self._runner = runner

    async def close(self) -> None:
        """Stop listening, then let go of the state file."""
        await self._miner.close()
        await self._runner.cleanup()
        self.chain.close()


async def serve(settings: DevChainSettings) -> DevChainServer:
    """Start the chain and listen. OperationalError if the port is taken, StateFileRefused for a bad file."""
    chain = DevChain(settings)
    miner = IntervalMiner(chain)
    node = Node(chain, miner)

    async def handle(request: web.Request) -> web.Response:
        response = answer(node, await request.read())
        if response is None:
            return web.Response(status=204)
        return web.Response(body=response, content_type="application/json")

    app = web.Application(client_max_size=BODY_LIMIT_BYTES)
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as wrong:
            raise OperationalError(f"cannot listen on {settings.host}:{settings.port}: {wrong}") from wrong
        miner.set_interval(settings.block_interval_s)
    except BaseException:
        await runner.cleanup()
        chain.close()
        raise
    return DevChainServer(chain, miner, runner, runner.addresses[0][1])


async def run_forever(settings: DevChainSettings) -> None:
    """Serve until SIGTERM or SIGINT. Prints the accounts, and last one line with the URL."""
    server = await serve(settings)
    try:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        for line in banner(server):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await server.close()


def banner(server: DevChainServer) -> list[str]:
    """The development accounts with their keys (which are no secret), and the ready line."""
    chain = server.chain
    ether = chain.settings.balance_wei / ETHER_WEI
    lines = [f"development accounts, {ether:g} ETH each at genesis; play money only:"]
    lines += [f"  0x{account.address.hex()}  key 0x{account.key.hex()}" for account in chain.accounts]
    lines.append(f"chain {chain.chain_id} at block {chain.head.number} ready on {server.url}")
    return lines


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
