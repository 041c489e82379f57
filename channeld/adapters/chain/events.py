"""What the adjudicator says happened: its logs as frozen data.

Every log of the adjudicator is one of these; another one means that the address is not the contract
that this version of channeld knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from channeld.adapters.chain.calls import MAX_SECRETS
from channeld.adapters.chain.fields import MalformedAnswer, data, mapping, member, quantity, sequence
from channeld.adapters.chain.slots import ChannelSlot, channel_slot
from channeld.core.identity import ChannelParams
from channeld.wire.eip712 import keccak

MAX_LOG_BYTES = 32 * (MAX_SECRETS + 2)
"""The longest event is a full batch of secrets."""


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """The first deposit. `amount` is in the asset's smallest unit, and whose it is in `to_b`."""

    channel: bytes
    params: ChannelParams
    to_b: bool
    amount: int


@dataclass(frozen=True, slots=True)
class Deposited:
    """A later deposit, with the slot as it is after it."""

    channel: bytes
    slot: ChannelSlot


@dataclass(frozen=True, slots=True)
class DepositsWithdrawn:
    """Both took a part out while the channel stays open; the slot is the one after it."""

    channel: bytes
    to_a: int
    to_b: int
    slot: ChannelSlot


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is over; what each side was paid (or credited), in the asset's smallest unit."""

    channel: bytes
    to_a: int
    to_b: int


@dataclass(frozen=True, slots=True)
class Challenged:
    """A state stands on chain until a higher version replaces it or the window ends.

    Given by a challenge and by each response. `claims` is the hash of its claims, `salt` what
    settling needs.
    """

    channel: bytes
    version: int
    net: int
    claims: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class PartiallySettled:
    """Some claims were valued and paid; `net` and `claims` describe what remains."""

    channel: bytes
    to_a: int
    to_b: int
    net: int
    claims: bytes


@dataclass(frozen=True, slots=True)
class SecretsRegistered:
    """Secrets seen on chain; some of a batch may have been registered before."""

    preimages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PricePublished:
    """A price in the registry, under keccak256(feed id, instant). Published at the block's time."""

    key: bytes
    price: int


@dataclass(frozen=True, slots=True)
class Credited:
    """A payout that could not be pushed."""

    asset: bytes
    to: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A credit that its owner fetched."""

    asset: bytes
    owner: bytes
    to: bytes
    amount: int


AdjudicatorEvent = (
    ChannelOpened
    | Deposited
    | DepositsWithdrawn
    | ChannelClosed
    | Challenged
    | PartiallySettled
    | SecretsRegistered
    | PricePublished
    | Credited
    | Withdrawn
)


@dataclass(frozen=True, slots=True)
class Log:
    """One log with its place in the chain."""

    block_number: int
    block_hash: bytes
    log_index: int
    transaction_hash: bytes
    event: AdjudicatorEvent


class _Words:
    """The 32-byte words of a log: the indexed ones, then those of its data."""

    def __init__(self, name: str, topics: list[bytes], body: bytes) -> None:
        self._name = name
        self._words = topics + [body[at : at + 32] for at in range(0, len(body), 32)]

    def bytes32(self, at: int) -> bytes:
        return self._words[at]

    def address(self, at: int) -> bytes:
        if any(self._words[at][:12]):
            raise MalformedAnswer(self._name, "an address in a word", self._words[at].hex())
        return self._words[at][12:]

    def unsigned(self, at: int, bits: int = 256) -> int:
        value = int.from_bytes(self._words[at], "big")
        if value >> bits:
            raise MalformedAnswer(self._name, f"a number of {bits} bits", self._words[at].hex())
        return value

    def signed(self, at: int, bits: int = 256) -> int:
        value = int.from_bytes(self._words[at], "big", signed=True)
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise MalformedAnswer(self._name, f"a signed number of {bits} bits", self._words[at].hex())
        return value

    def array(self, at: int) -> tuple[bytes, ...]:
        """A dynamic bytes32[] that is the only argument: offset, length, items."""
        length = self.unsigned(at + 1, 16)
        items = tuple(self._words[at + 2 :])
        if self.unsigned(at) != 32 or length != len(items):
            raise MalformedAnswer(self._name, f"{length} words at offset 32", f"{len(items)} words")
        return items


def _opened(words: _Words) -> ChannelOpened:
    config, amount = words.unsigned(4), words.signed(5, 97)
    params = ChannelParams(
        a=words.address(1),
        b=words.address(2),
        asset=words.address(3),
        challenge_period_s=config >> 216,
        salt=config & ((1 << 216) - 1),
    )
    return ChannelOpened(words.bytes32(0), params, amount < 0, abs(amount))


def _deposited(words: _Words) -> Deposited:
    return Deposited(words.bytes32(0), channel_slot(words.unsigned(1)))


def _deposits_withdrawn(words: _Words) -> DepositsWithdrawn:
    to_a, to_b = words.unsigned(1, 96), words.unsigned(2, 96)
    return DepositsWithdrawn(words.bytes32(0), to_a, to_b, channel_slot(words.unsigned(3)))


def _closed(words: _Words) -> ChannelClosed:
    return ChannelClosed(words.bytes32(0), words.unsigned(1, 96), words.unsigned(2, 96))


def _challenged(words: _Words) -> Challenged:
    return Challenged(
        words.bytes32(0), words.unsigned(1, 64), words.signed(2, 128), words.bytes32(3), words.bytes32(4)
    )


def _partially_settled(words: _Words) -> PartiallySettled:
    return PartiallySettled(
        words.bytes32(0), words.unsigned(1, 96), words.unsigned(2, 96), words.signed(3), words.bytes32(4)
    )


def _secret(words: _Words) -> SecretsRegistered:
    return SecretsRegistered((words.bytes32(1),))


def _secrets(words: _Words) -> SecretsRegistered:
    return SecretsRegistered(words.array(0))


def _price(words: _Words) -> PricePublished:
    return PricePublished(words.bytes32(0), words.unsigned(1, 128))


def _credited(words: _Words) -> Credited:
    return Credited(words.address(0), words.address(1), words.unsigned(2))


def _withdrawn(words: _Words) -> Withdrawn:
    return Withdrawn(words.address(0), words.address(1), words.address(2), words.unsigned(3))


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of log is read. `data_words` is None for the one event with an array."""

    signature: str
    indexed: int
    data_words: int | None
    read: Callable[[_Words], AdjudicatorEvent]


_SHAPES = (
    _Shape("Opened(bytes32,address,address,address,uint256,int256)", 3, 3, _opened),
    _Shape("Deposited(bytes32,uint256)", 1, 1, _deposited),
    _Shape("DepositsWithdrawn(bytes32,uint256,uint256,uint256)", 1, 3, _deposits_withdrawn),
    _Shape("Closed(bytes32,uint256,uint256)", 1, 2, _closed),
    _Shape("Challenged(bytes32,uint64,int128,bytes32,bytes32)", 1, 4, _challenged),
    _Shape("PartiallySettled(bytes32,uint256,uint256,int256,bytes32)", 1, 4, _partially_settled),
    _Shape("SecretRegistered(bytes32,bytes32)", 1, 1, _secret),
    _Shape("SecretsRegistered(bytes32[])", 0, None, _secrets),
    _Shape("PricePublished(bytes32,uint256)", 1, 1, _price),
    _Shape("Credited(address,address,uint256)", 2, 1, _credited),
    _Shape("Withdrawn(address,address,address,uint256)", 2, 2, _withdrawn),
)
EVENT_SIGNATURES = tuple(shape.signature for shape in _SHAPES)
_SHAPE_OF_TOPIC = {keccak(shape.signature.encode()): shape for shape in _SHAPES}


def decode_event(topics: list[bytes], body: bytes) -> AdjudicatorEvent:
    """An event from its topics (32 bytes each, the first is the signature's hash) and data.

    Raises MalformedAnswer for anything that the adjudicator does not log.
    """
    shape = _SHAPE_OF_TOPIC.get(topics[0]) if topics else None
    if shape is None:
        seen = topics[0].hex() if topics else "no topic"
        raise MalformedAnswer("a log of the adjudicator", "a known event (is the address right?)", seen)
    if len(topics) != shape.indexed + 1:
        raise MalformedAnswer(shape.signature, f"{shape.indexed} indexed words", len(topics) - 1)
    least = 2 if shape.data_words is None else shape.data_words
    if len(body) % 32 or len(body) < 32 * least or (shape.data_words is not None and len(body) > 32 * least):
        raise MalformedAnswer(shape.signature, f"{least} words of data", f"{len(body)} bytes")
    return shape.read(_Words(shape.signature, topics[1:], body))


def decode_log(answer: object) -> Log:
    """One log as eth_getLogs gives it. Raises MalformedAnswer also if the log was removed."""
    log: Mapping[str, Any] = mapping(answer, "a log")
    if log.get("removed") is True:
        raise MalformedAnswer("a log", "a log of the canonical chain", "a removed log")
    body = data(member(log, "data", "a log"), "a log's data")
    if len(body) > MAX_LOG_BYTES:
        raise MalformedAnswer("a log's data", f"at most {MAX_LOG_BYTES} bytes", f"{len(body)} bytes")
    topics = [
        data(topic, "a log's topic", length=32)
        for topic in sequence(member(log, "topics", "a log"), "a log's topics", limit=4)
    ]
    return Log(
        block_number=quantity(member(log, "blockNumber", "a log"), "a log's blockNumber", bits=64),
        block_hash=data(member(log, "blockHash", "a log"), "a log's blockHash", length=32),
        log_index=quantity(member(log, "logIndex", "a log"), "a log's logIndex", bits=32),
        transaction_hash=data(member(log, "transactionHash", "a log"), "a log's transactionHash", length=32),
        event=decode_event(topics, body),
    )
