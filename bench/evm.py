"""The adjudicator on an EVM in this process, without blocks, signatures or a network around it.

For the gas figures and the contract's tests: transactions are executed one by one, with whatever
sender, time and gas one likes, in microseconds of overhead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from coincurve import PrivateKey
from eth_abi.abi import decode, encode

from channeld.core.claims import State
from channeld.core.identity import ETH, ChannelParams
from channeld.services.devchain.evm import BlockContext, Evm, Outcome
from channeld.services.devchain.ledger import Ledger
from channeld.services.devchain.transactions import Transaction
from channeld.wire.eip712 import (
    channel_id,
    claims_calldata,
    claims_hash,
    close_digest,
    domain_separator,
    keccak,
    start_digest,
    state_digest,
    withdraw_digest,
)
from contracts.artifacts import AbiEntry, Artifact, adjudicator, erc20_test_token

CHAIN_ID = 31_337
START_S = 1_800_000_000
GAS_LIMIT = 30_000_000
ERROR_STRING = bytes.fromhex("08c379a0")
NO_SIGNATURE = (bytes(32), bytes(32))

CompactSignature = tuple[bytes, bytes]


class Reverted(Exception):
    """A call failed; the words are those of the contract, or of the engine."""


@dataclass(frozen=True, slots=True)
class Party:
    """Someone with a key. Addresses are 20 bytes."""

    name: str
    key: bytes
    address: bytes

    def sign(self, digest: bytes) -> CompactSignature:
        """[EIP-2098]: r, and s with the parity of y in its top bit."""
        raw = PrivateKey(self.key).sign_recoverable(digest, hasher=None)
        return raw[:32], bytes([raw[32] | raw[64] << 7]) + raw[33:64]


def party(name: str) -> Party:
    key = keccak(b"channeld test party " + name.encode())
    public = PrivateKey(key).public_key.format(compressed=False)
    return Party(name, key, keccak(public[1:])[12:])


def ordered(one: Party, other: Party) -> tuple[Party, Party]:
    """The two as (a, b): a has the lower address."""
    return (one, other) if one.address < other.address else (other, one)


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log of a known contract."""

    address: bytes
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that succeeded. `gas` is that of the whole transaction."""

    gas: int
    output: bytes
    events: tuple[Event, ...]

    def event(self, name: str) -> dict[str, Any]:
        """The arguments of the only event of that name."""
        (found,) = [event.args for event in self.events if event.name == name]
        return found


def _abi_type(item: dict[str, Any]) -> str:
    kind: str = item["type"]
    if kind.startswith("tuple"):
        return "(" + ",".join(_abi_type(part) for part in item["components"]) + ")" + kind[5:]
    return kind


def _types(entry: AbiEntry, side: str) -> list[str]:
    return [_abi_type(item) for item in entry[side]]


def _signature(entry: AbiEntry) -> bytes:
    return keccak(f"{entry['name']}({','.join(_types(entry, 'inputs'))})".encode())


def call_data(artifact: Artifact, function: str, *args: object) -> bytes:
    entry = artifact.entry("function", function)
    return _signature(entry)[:4] + encode(_types(entry, "inputs"), args)


def _decode_log(
    artifacts: tuple[Artifact, ...], topics: tuple[bytes, ...], data: bytes
) -> tuple[str, dict[str, Any]]:
    for artifact in artifacts:
        for entry in artifact.abi:
            if entry["type"] == "event" and topics and _signature(entry) == topics[0]:
                indexed = [item for item in entry["inputs"] if item["indexed"]]
                plain = [item for item in entry["inputs"] if not item["indexed"]]
                values = decode([_abi_type(item) for item in plain], data)
                args = dict(zip((item["name"] for item in plain), values, strict=True))
                for item, topic in zip(indexed, topics[1:], strict=True):
                    (args[item["name"]],) = decode([_abi_type(item)], topic)
                return entry["name"], args
    return "?", {"topics": topics, "data": data}


class Arena:
    """A ledger with a clock. Time stands still unless `now_s` is set; a block is a transaction."""

    def __init__(self, chain_id: int = CHAIN_ID) -> None:
        self.chain_id = chain_id
        self._in_block = False
        self.ledger = Ledger()
        self.now_s = START_S
        self.block_number = 1_000
        self.known: tuple[Artifact, ...] = (adjudicator(), erc20_test_token())
        self._deployer = party("deployer").address

    # -- accounts --

    def fund(self, address: bytes, wei: int) -> None:
        self.ledger.set_balance(address, wei)

    def balance_wei(self, address: bytes) -> int:
        return self.ledger.get_balance(address)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Whatever happens inside is taken back."""
        mark, now_s, number = self.ledger.mark(), self.now_s, self.block_number
        chain_id = self.chain_id
        try:
            yield
        finally:
            self.ledger.rewind(mark)
            self.now_s, self.block_number, self.chain_id = now_s, number, chain_id

    @contextmanager
    def one_block(self) -> Iterator[None]:
        """The transactions inside are in one block: one number, one time, one parent."""
        self.block_number += 1
        self._in_block = True
        try:
            yield
        finally:
            self._in_block = False

    # -- executing --

    def _execute(self, sender: bytes, to: bytes, data: bytes, value_wei: int, gas: int) -> Outcome:
        if not self._in_block:
            self.block_number += 1
        parent = keccak(b"block" + self.block_number.to_bytes(8, "big"))
        block = BlockContext(
            chain_id=self.chain_id,
            number=self.block_number,
            timestamp_s=self.now_s,
            coinbase=bytes(19) + b"\x63",
            gas_limit=GAS_LIMIT,
            base_fee_wei=0,
            prev_randao=bytes(32),
            prev_hashes=[parent],
        )
        transaction = Transaction(
            raw=b"",
            hash=bytes(32),
            type_id=2,
            sender=sender,
            nonce=self.ledger.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=to,
            value=value_wei,
            data=data,
            access_list=(),
            chain_id=self.chain_id,
            y_parity=0,
            r=0,
            s=0,
        )
        return Evm(self.ledger, block).execute(transaction)

    def send(self, sender: bytes, to: bytes, data: bytes, value_wei: int = 0, gas: int = GAS_LIMIT) -> Mined:
        """Execute; Reverted with the reason if it fails."""
        outcome = self._execute(sender, to, data, value_wei, gas)
        if outcome.failure is not None:
            raise Reverted(_reason(outcome))
        events = []
        for entry in outcome.logs:
            name, args = _decode_log(self.known, entry.topics, entry.data)
            events.append(Event(entry.address, name, args))
        return Mined(outcome.gas_used, outcome.output, tuple(events))

    def deploy(self, artifact: Artifact, *args: object, value_wei: int = 0) -> bytes:
        """The address of a new contract; it is known from now on, so that its events are decoded."""
        types = [_types(entry, "inputs") for entry in artifact.abi if entry["type"] == "constructor"]
        data = artifact.bytecode + (encode(types[0], args) if types else b"")
        outcome = self._execute(self._deployer, b"", data, value_wei, GAS_LIMIT)
        if outcome.failure is not None or outcome.contract_address is None:
            raise Reverted(_reason(outcome))
        if artifact not in self.known:
            self.known = (*self.known, artifact)
        return outcome.contract_address


def _reason(outcome: Outcome) -> str:
    if outcome.output[:4] == ERROR_STRING:
        words: str = decode(["string"], outcome.output[4:])[0]
        return words
    return outcome.failure or "failed"


class Contract:
    """One deployed contract: calls by name."""

    def __init__(self, arena: Arena, artifact: Artifact, address: bytes) -> None:
        self.arena = arena
        self.artifact = artifact
        self.address = address

    def send(
        self, sender: Party | bytes, function: str, *args: object, value_wei: int = 0, gas: int = GAS_LIMIT
    ) -> Mined:
        who = sender.address if isinstance(sender, Party) else sender
        data = call_data(self.artifact, function, *args)
        return self.arena.send(who, self.address, data, value_wei, gas)

    def call(self, function: str, *args: object) -> bytes:
        """The calldata."""
        return call_data(self.artifact, function, *args)

    def view(self, function: str, *args: object) -> Any:
        """The single value that a view returns; nothing is left behind."""
        entry = self.artifact.entry("function", function)
        with self.arena.rehearsal():
            mined = self.arena.send(bytes(20), self.address, call_data(self.artifact, function, *args))
        (value,) = decode(_types(entry, "outputs"), mined.output)
        return value


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of two parties in one asset, on one adjudicator; signs what both would sign."""

    a: Party
    b: Party
    params: ChannelParams
    domain: bytes

    @property
    def id(self) -> bytes:
        return channel_id(self.params, self.domain)

    @property
    def words(self) -> tuple[bytes, bytes, bytes, int]:
        """The parameters as a call wants them."""
        return self.params.a, self.params.b, self.params.asset, self.params.config

    def signed_state(self, state: State) -> tuple[object, ...]:
        """The arguments of challenge and respond, signed by both."""
        digest = state_digest(self.domain, self.id, state)
        claims = claims_hash(state.claims.values())
        return self.words, state.version, state.net, claims, self.a.sign(digest), self.b.sign(digest)

    def signed_close(self, net: int, until_s: int, counter: int = 0) -> tuple[object, ...]:
        digest = close_digest(self.domain, self.id, counter, net, until_s)
        return self.words, net, until_s, self.a.sign(digest), self.b.sign(digest)

    def signed_withdrawal(self, to_a: int, to_b: int, until_s: int, counter: int = 0) -> tuple[object, ...]:
        digest = withdraw_digest(self.domain, self.id, counter, to_a, to_b, until_s)
        return self.words, to_a, to_b, until_s, self.a.sign(digest), self.b.sign(digest)

    def permit(self, granter: Party, holder: Party, minimum: int, until_s: int) -> tuple[object, ...]:
        """The last arguments of challenge_for."""
        digest = start_digest(self.domain, self.id, holder.address, minimum, until_s)
        return minimum, until_s, granter.sign(digest)


class Court(Contract):
    """The adjudicator in an arena."""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena, adjudicator(), arena.deploy(adjudicator()))
        self.domain = domain_separator(arena.chain_id, self.address)

    def channel(
        self, one: Party, other: Party, asset: bytes = ETH, period_s: int = 86_400, salt: int = 1
    ) -> Channel:
        a, b = ordered(one, other)
        return Channel(a, b, ChannelParams(a.address, b.address, asset, period_s, salt), self.domain)

    def deposit(self, sender: Party, channel: Channel, for_: Party, amount: int) -> Mined:
        value = amount if channel.params.asset == ETH else 0
        to_b = for_ == channel.b
        return self.send(sender, "deposit", channel.words, to_b, amount, value_wei=value)

    def settle(
        self, sender: Party, channel: Channel, net: int, salt: bytes, words: bytes | None = None
    ) -> Mined:
        """With `words` the claims are streamed behind the arguments."""
        name = "settle" if words is None else "settle_claims"
        data = call_data(self.artifact, name, channel.words, net, salt) + (words or b"")
        return self.arena.send(sender.address, self.address, data)

    def settle_state(self, sender: Party, channel: Channel, state: State, salt: bytes) -> Mined:
        words = claims_calldata(state.claims.values()) if state.claims else None
        return self.settle(sender, channel, state.net, salt, words)


def with_claims(state: State, *claims: Any) -> State:
    return replace(state, claims={claim.claim_id: claim for claim in claims})
