"""What a message costs between two processes: round trips, throughput, handshakes, and the coding alone.

`python -m bench transport [--seconds=S] [--loop=asyncio|uvloop|both]`: seconds of each load. Two processes
over loopback (one, where it says so), each with one event loop. Noise, framing, websocket, mask and TCP
are included, the work of a daemon is not.
"""

import asyncio
import multiprocessing
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection as Pipe

import uvloop

from channeld.adapters.signer import Signer
from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.peers import PeerTransport
from channeld.wire.framing import FrameReader, seal_frames
from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.msgpack_strict import decode, encode
from channeld.wire.noise import Transport, initiate, respond

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
# The first byte of a message says what the other process does with it.
ECHO, SWALLOW = b"e", b"s"
SMALL_BYTES = 300  # a batch of one payment
IN_FLIGHT = 64
# A window of a throughput load: enough to keep both processes busy, below the transport's queue.
WINDOW_BYTES = 1 << 20


class Echo:
    """The other process's owner."""

    transport: PeerTransport

    def on_connected(self, peer_id: bytes, connection: Connection) -> None: ...

    def on_message(self, peer_id: bytes, data: bytes) -> None:
        if data[:1] != SWALLOW:
            self.transport.send(peer_id, data)

    def on_disconnected(self, peer_id: bytes, reason: str) -> None: ...


class Caller:
    """This process's owner: hands each answer to the load that runs."""

    def __init__(self) -> None:
        self.on_answer: Callable[[], None] = lambda: None

    def on_connected(self, peer_id: bytes, connection: Connection) -> None: ...

    def on_message(self, peer_id: bytes, data: bytes) -> None:
        self.on_answer()

    def on_disconnected(self, peer_id: bytes, reason: str) -> None: ...


def run(options: list[str]) -> dict[str, object]:
    """Round trips/s and MB/s; aiohttp alone, without Noise: 13k a second, with uvloop 51k."""
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
    seconds = float(given.get("seconds", 1))
    loops = list(LOOPS) if given.get("loop", "both") == "both" else [given["loop"]]
    figures: dict[str, object] = {}
    for loop in loops:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            figures[f"{loop}_one_process_round_trips_alone"] = runner.run(_alone_in_one_process(seconds))
        with _other_process(loop) as (peer_id, url), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            for name, value in runner.run(_loads(peer_id, url, seconds)).items():
                figures[f"{loop}_{name}"] = value
    figures |= _coding(seconds / 4)
    figures |= {
        "small_bytes": SMALL_BYTES,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "cryptography": version("cryptography"),
        "uvloop": version("uvloop"),
    }
    for name, value in figures.items():
        print(f"{name:32} {value}")
    return figures


@contextmanager
def _other_process(loop: str) -> Iterator[tuple[bytes, str]]:
    """A process that echoes; its key and its address. It ends when its pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(loop, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(loop: str, pipe: Pipe) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_serve_until_closed(pipe))


async def _serve_until_closed(pipe: Pipe) -> None:
    transport, address = await _listening_echo()
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
    pipe.send(address)
    await closed.wait()
    await transport.close()


async def _listening_echo() -> tuple[PeerTransport, tuple[bytes, str]]:
    owner, key = Echo(), Signer.generate()
    owner.transport = PeerTransport(key, owner)
    port = await owner.transport.listen("127.0.0.1", 0)
    return owner.transport, (key.public_key, f"ws://127.0.0.1:{port}/")


async def _alone_in_one_process(seconds: float) -> int:
    """Round trips without the scheduler of the operating system between the ends."""
    transport, (peer_id, url) = await _listening_echo()
    caller = Caller()
    calling = PeerTransport(Signer.generate(), caller)
    rate = await _round_trips(caller, await calling.connect(peer_id, url), 1, seconds)
    await calling.close()
    await transport.close()
    return rate


async def _loads(peer_id: bytes, url: str, seconds: float) -> dict[str, object]:
    caller = Caller()
    transport = PeerTransport(Signer.generate(), caller)
    connection = await transport.connect(peer_id, url)
    figures: dict[str, object] = {
        "round_trips_alone": await _round_trips(caller, connection, 1, seconds),
        f"round_trips_{IN_FLIGHT}_in_flight": await _round_trips(caller, connection, IN_FLIGHT, seconds),
        "small_messages_one_way": await _one_way(caller, connection, SMALL_BYTES, seconds),
    }
    for size in (10_000, 65_000, MAX_MESSAGE_BYTES):
        messages_a_second = await _one_way(caller, connection, size, seconds)
        figures[f"mb_per_s_in_{size}_bytes"] = round(messages_a_second * size / 1e6, 1)
    await transport.close()
    figures["connections_per_s"] = await _connections(peer_id, url, seconds)
    return figures


async def _round_trips(caller: Caller, connection: Connection, in_flight: int, seconds: float) -> int:
    """Answers a second while `in_flight` messages are on the way."""
    message = ECHO + secrets.token_bytes(SMALL_BYTES - 1)
    done = asyncio.Event()
    sent, answers = in_flight, 0
    start_s = time.perf_counter()

    def answer() -> None:
        nonlocal sent, answers
        answers += 1
        if time.perf_counter() - start_s < seconds:
            connection.send(message)
            sent += 1
        elif answers == sent:
            done.set()

    caller.on_answer = answer
    for _ in range(in_flight):
        connection.send(message)
    await done.wait()
    return round(answers / (time.perf_counter() - start_s))


async def _one_way(caller: Caller, connection: Connection, size: int, seconds: float) -> float:
    """Messages a second that arrive, two windows on the way at a time."""
    message = SWALLOW + secrets.token_bytes(size - 1)
    count = max(1, WINDOW_BYTES // size)
    arrived, sent = asyncio.Semaphore(2), 0
    caller.on_answer = arrived.release
    start_s = time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        await arrived.acquire()
        for _ in range(count):
            connection.send(message)
        connection.send(ECHO)
        sent += count
    for _ in range(2):
        await arrived.acquire()
    return round(sent / (time.perf_counter() - start_s), 1)


async def _connections(peer_id: bytes, url: str, seconds: float) -> int:
    """Connections a second, one after the other: TCP, upgrade, handshake, clean close."""
    made = 0
    start_s = time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        transport = PeerTransport(Signer.generate(), Caller())
        await transport.connect(peer_id, url)
        await transport.close()
        made += 1
    return round(made / (time.perf_counter() - start_s))


def _coding(seconds: float) -> dict[str, object]:
    """Microseconds for what a message costs besides the sockets."""
    operation = (
        1,
        secrets.token_bytes(32),
        secrets.token_bytes(9),
        1_800_000_000,
        7,
        secrets.token_bytes(32),
    )
    batch = (7, secrets.token_bytes(32), 12_345, (operation,) * 100, secrets.token_bytes(64))
    encoded, small = encode(batch), secrets.token_bytes(SMALL_BYTES)
    alice, bob = Signer.generate(), Signer.generate()

    def shake() -> tuple[Transport, Transport]:
        act_one, initiator = initiate(alice, bob.public_key, secrets.token_bytes(32))
        act_two, responder = respond(bob, secrets.token_bytes(32)).read_act_one(act_one)
        act_three, ours = initiator.read_act_two(act_two)
        return ours, responder.read_act_three(act_three)[1]

    sender, receiver = shake()
    reader = FrameReader(receiver)
    return {
        "batch_of_100_operations_bytes": len(encoded),
        "encode_batch_us": _time_us(lambda: encode(batch), seconds),
        "decode_batch_us": _time_us(lambda: decode(encoded), seconds),
        "seal_and_open_small_us": _time_us(lambda: _cross(sender, reader, small), seconds),
        "seal_and_open_batch_us": _time_us(lambda: _cross(sender, reader, encoded), seconds),
        "handshake_both_sides_us": _time_us(shake, seconds),
    }


def _cross(sender: Transport, reader: FrameReader, message: bytes) -> None:
    for frame in seal_frames(sender, [message]):
        for _ in reader.open(frame):
            pass


def _time_us(work: Callable[[], object], seconds: float) -> float:
    """The mean of one call."""
    calls, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        for _ in range(20):
            work()
        calls += 20
    return round((time.perf_counter() - start_s) / calls * 1e6, 1)
