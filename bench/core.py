"""What a payment costs the pure code of each node: `python -m bench core [--hops H] [--in-flight N ...]`.

Payer, hub and payee in one process, their messages handed over as bytes: the core's steps, the codec of
messages, the rows for the journal, digests and signatures, and nothing of the outside (no loop, disk,
socket or cipher). A turn is the daemon's: everything that has come, one flush of each channel, one row
for each record that changed. Processor time in microseconds a payment, by role and by what it went into.
"""

import argparse
import gc
import platform
import secrets
from collections import deque
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from time import process_time

from channeld.adapters.signer import Signer, verify
from channeld.core.channel import Channel, Deposits
from channeld.core.claims import Side, State
from channeld.core.draft import Draft, HubPolicy, Record, Tables, Toolbox
from channeld.core.effects import Notify, Send, SendSigned
from channeld.core.events import (
    ChannelOpened,
    DepositsConfirmed,
    Event,
    InvoiceCreated,
    MessageReceived,
    PaymentRequested,
    PeerConnected,
)
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import Deliver, Message
from channeld.core.node import flush, harvest, step
from channeld.core.records import Invoice
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import channel_id, claims_hash, domain_separator, state_digest
from channeld.wire.messages import decode, encode
from channeld.wire.packet import Hop, build_packet, read_instruction
from channeld.wire.records import encode_record

NOW_S = 1_900_000_000
DEADLINE_S = NOW_S + 600
DEPOSIT = 10**18
AMOUNT = 1_000
DOMAIN = domain_separator(1, bytes(20))
WORK = ("decode", "core", "records", "sign", "encode", "verify")
"""In their order in a turn; signatures are verified when the core asks for it, and counted apart."""


class Node:
    """A daemon without its outside: bytes in, bytes out, and where the time went."""

    def __init__(self, name: str) -> None:
        self.signer = Signer(development_account(name).key)
        self.tables = Tables(now_s=NOW_S, confirmed_s=NOW_S)
        self.events: list[Event] = []
        self.heard: list[tuple[bytes, bytes]] = []
        self.said: deque[tuple[bytes, bytes]] = deque()
        self.paid = 0
        self.signatures = 0
        self.bytes_said = 0
        self.bytes_stored = 0
        self._verified_s = 0.0
        self.took_s = dict.fromkeys(WORK, 0.0)
        self._tools = Toolbox(
            self._verify,
            lambda *_: False,
            lambda *_: False,
            claims_hash,
            read_instruction,
            lambda _: HubPolicy(),
        )

    def _verify(self, channel: bytes, state: State, signature: bytes) -> bool:
        record = self.tables.records[Channel][channel]
        assert isinstance(record, Channel)
        start = process_time()
        right = verify(state_digest(DOMAIN, channel, state), signature, record.counterparty)
        self._verified_s += process_time() - start
        return right

    def turn(self) -> None:
        """Everything that waits; the messages that follow from it are in `said`."""
        heard, self.heard = self.heard, []
        events, self.events = self.events, []
        self._verified_s = 0.0
        marks = [process_time()]
        events += [MessageReceived(peer, decode(data)) for peer, data in heard]
        marks.append(process_time())
        drafts = self._step(events)
        marks.append(process_time())
        self._store(drafts)
        marks.append(process_time())
        self.tables.just_paid.clear()
        messages = self._signed(drafts)
        marks.append(process_time())
        self.said.extend((peer, encode(message)) for peer, message in messages)
        marks.append(process_time())
        for work, (start, end) in zip(WORK, pairwise(marks), strict=False):
            self.took_s[work] += end - start
        self.took_s["core"] -= self._verified_s
        self.took_s["verify"] += self._verified_s

    def _step(self, events: list[Event]) -> list[Draft]:
        drafts: list[Draft] = []
        for event in events:
            if isinstance(event, MessageReceived):
                self._commit(harvest(self.tables, event.message), drafts)
            self._commit(step(self.tables, event, self._tools), drafts)
        while self.tables.dirty:
            self._commit(flush(self.tables, self.tables.dirty.pop(), self._tools), drafts)
        return drafts

    def _signed(self, drafts: list[Draft]) -> list[tuple[bytes, Message]]:
        messages: list[tuple[bytes, Message]] = []
        for draft in drafts:
            for effect in draft.effects:
                if isinstance(effect, SendSigned):
                    digest = state_digest(DOMAIN, effect.message.channel_id, effect.state)
                    signature = self.signer.sign_digest(digest)
                    messages.append((effect.peer, replace(effect.message, signature=signature)))
                    self.signatures += 1
                elif isinstance(effect, Send):
                    messages.append((effect.peer, effect.message))
                elif isinstance(effect, Notify) and effect.topic == "payment":
                    self.paid += 1
        return messages

    def _commit(self, draft: Draft, drafts: list[Draft]) -> None:
        self.tables.commit(draft)
        drafts.append(draft)

    def _store(self, drafts: list[Draft]) -> None:
        """The rows of one commit: the last word on each record."""
        changes: dict[tuple[type[Record], bytes], Record | None] = {}
        for draft in drafts:
            changes.update(draft.changes)
        for record in changes.values():
            if record is not None:
                self.bytes_stored += len(encode_record(record)[2])


class Line:
    """Nodes in a row from payer to payee, a channel between neighbours."""

    def __init__(self, hops: int) -> None:
        names = ("payer", *(f"hub{number}" for number in range(1, hops)), "payee")
        self.nodes = {name: Node(name) for name in names}
        self._by_id = {node.signer.public_key: node for node in self.nodes.values()}
        self.payer, self.payee = self.nodes["payer"], self.nodes["payee"]
        row = list(self.nodes.values())
        self.channels = [self._open(one, other) for one, other in pairwise(row)]
        self.hand_over()

    def _open(self, one: Node, other: Node) -> bytes:
        low, high = sorted((one, other), key=lambda node: node.signer.address)
        params = ChannelParams(low.signer.address, high.signer.address, ETH, 3_600, 0)
        ident = channel_id(params, DOMAIN)
        for node, side, peer in ((low, Side.A, high), (high, Side.B, low)):
            node.events += [
                ChannelOpened(ident, params, side, peer.signer.public_key),
                DepositsConfirmed(ident, Deposits(DEPOSIT, DEPOSIT)),
                PeerConnected(peer.signer.public_key, peer.signer.address),
            ]
        return ident

    def hand_over(self) -> None:
        """Turn after turn until nobody has anything to say."""
        while sum(self.round_robin(node) for node in self.nodes.values()):
            pass

    def round_robin(self, node: Node) -> bool:
        """One turn of one node, if anything waits for it; its messages reach the others."""
        if not node.events and not node.heard:
            return False
        node.turn()
        ident = node.signer.public_key
        for peer, data in node.said:
            self._by_id[peer].heard.append((ident, data))
            node.bytes_said += len(data)
        node.said.clear()
        return True

    def invoices(self, count: int) -> list[Invoice]:
        """Invoices of the payee, which knows them when this returns."""
        made = []
        for _ in range(count):
            preimage, payment_secret = secrets.token_bytes(32), secrets.token_bytes(32)
            hashlock = sha256(preimage).digest()
            made.append(Invoice(hashlock, preimage, payment_secret, ETH, AMOUNT, "", NOW_S, NOW_S + 86_400))
        self.payee.events += [InvoiceCreated(invoice) for invoice in made]
        self.payee.turn()
        return made

    def request(self, invoice: Invoice) -> PaymentRequested:
        hops = [Hop(ident, AMOUNT, DEADLINE_S) for ident in self.channels[1:]]
        packet = build_packet(hops, Deliver(invoice.payment_secret, AMOUNT))
        payee = self.payee.signer.public_key
        return PaymentRequested(
            invoice.hashlock, payee, ETH, AMOUNT, 0, self.channels[0], DEADLINE_S, packet, "", NOW_S
        )

    def pay(self, invoices: list[Invoice], in_flight: int) -> None:
        """Pay all of them, so many at once: whatever is done makes room for another in the next turn."""
        waiting = deque(self.request(invoice) for invoice in invoices)
        gc.collect()  # or each run would pay for the one before it
        for node in self.nodes.values():
            node.paid = node.signatures = node.bytes_said = node.bytes_stored = 0
            node.took_s = dict.fromkeys(WORK, 0.0)
        begun = 0
        while self.payer.paid < len(invoices):
            room = in_flight - (begun - self.payer.paid)
            fresh = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            begun += len(fresh)
            self.payer.events += fresh
            for node in self.nodes.values():
                self.round_robin(node)
        self.hand_over()


def measure(hops: int, in_flight: int, payments: int) -> dict[str, dict[str, float]]:
    line = Line(hops)
    line.pay(line.invoices(payments // 10 + 1), in_flight)  # caches and the interpreter are warm
    line.pay(line.invoices(payments), in_flight)
    figures = {}
    for name, node in line.nodes.items():
        by_work = {f"{work}_us": node.took_s[work] / payments * 1e6 for work in WORK}
        figures[name] = {
            "total_us": sum(by_work.values()),
            **by_work,
            "signatures": node.signatures / payments,
            "wire_bytes": node.bytes_said / payments,
            "row_bytes": node.bytes_stored / payments,
        }
    return figures


def run(options: list[str]) -> dict[str, object]:
    """Print and return the figures, each the best of several runs (by the sum over the nodes)."""
    parser = argparse.ArgumentParser("bench core")
    parser.add_argument("--hops", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--payments", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(options)
    print(
        f"core: Python {platform.python_version()}, {platform.machine()}, one core, "
        f"{chosen.payments} payments, best of {chosen.rounds}; µs of processor time a payment"
    )
    print(f"{'':26}{'total':>8}" + "".join(f"{work:>9}" for work in WORK) + f"{'signatures':>12}{'row B':>9}")
    result: dict[str, object] = {"python": platform.python_version(), "payments": chosen.payments}
    for hops in chosen.hops:
        for in_flight in chosen.in_flight:
            runs = [measure(hops, in_flight, chosen.payments) for _ in range(chosen.rounds)]
            best = min(runs, key=lambda figures: sum(each["total_us"] for each in figures.values()))
            result[f"{hops} hops, {in_flight} in flight"] = best
            for name, each in best.items():
                cells = "".join(f"{each[f'{work}_us']:9.1f}" for work in WORK)
                print(
                    f"{hops} hop {in_flight:4} in flight {name:>6}{each['total_us']:9.1f}{cells}"
                    f"{each['signatures']:12.3f}{each['row_bytes']:9.0f}"
                )
    return result
