"""Effects for the chain, as transactions: each intention once, tried again until the chain shows it.

The core repeats what is still needed (a dispute is looked at every half minute), so a transaction
that was refused or failed is simply forgotten here; what somebody else did first is no error.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import NodeRefusal
from channeld.adapters.chain.transactions import (
    TransactionDisplaced,
    TransactionReverted,
    Transactor,
)
from channeld.core.channel import Channel
from channeld.core.claims import Side, State
from channeld.core.draft import Tables
from channeld.core.effects import (
    PublishPrice,
    RegisterSecret,
    SubmitChallenge,
    SubmitClose,
    SubmitResponse,
    SubmitSettlement,
)
from channeld.core.errors import OperationalError, Rejected, StorageFailed
from channeld.core.identity import ChannelParams
from channeld.wire.eip712 import Feed, claims_calldata, claims_hash

log = logging.getLogger(__name__)

NO_SIGNATURE = bytes(64)
"""In place of our own: a caller who is a party need not sign."""

StateCall = Callable[[ChannelParams, int, int, bytes, bytes, bytes], bytes]

ChainEffect = (
    RegisterSecret | PublishPrice | SubmitClose | SubmitChallenge | SubmitResponse | SubmitSettlement
)


class Submitter:
    """Turns chain effects into transactions to the adjudicator (20 bytes)."""

    def __init__(
        self, transactor: Transactor, adjudicator: bytes, tables: Tables, feeds: dict[bytes, Feed]
    ) -> None:
        self._transactor = transactor
        self._adjudicator = adjudicator
        self._tables = tables
        self._feeds = feeds
        self._running: dict[str, asyncio.Task[None]] = {}

    def submit(self, effect: ChainEffect) -> None:
        """Begin a transaction unless the same intention is under way already."""
        intention, data = self._described(effect)
        if intention in self._running:
            return
        if isinstance(effect, SubmitSettlement):
            # The first one may have paid out free money alone: what settles the rest are the same bytes.
            with suppress(Rejected):  # not final yet
                self._transactor.forget(intention)
        task = asyncio.create_task(self._execute(intention, data), name=intention)
        self._running[intention] = task
        task.add_done_callback(lambda _: self._running.pop(intention, None))

    async def close(self) -> None:
        """Stop waiting for transactions; what was sent stays sent."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _execute(self, intention: str, data: bytes) -> None:
        try:
            await self._attempt(intention, data)
        except StorageFailed as failure:
            log.error("%s: %s", intention, failure)  # the storage's watch ends the daemon

    async def _attempt(self, intention: str, data: bytes) -> None:
        try:
            receipt = await self._transactor.execute(intention, Request(self._adjudicator, data))
            log.info("%s: mined in block %d, %d gas", intention, receipt.block_number, receipt.gas_used)
        except Rejected as rejection:
            # The same intention with other bytes (another salt after a reorganisation): the first one
            # is forgotten once it is final, and the next look submits what is right then.
            log.info("%s: %s", intention, rejection)
            with suppress(Rejected):
                self._transactor.forget(intention)
        except NodeRefusal as refusal:
            # Most often somebody was faster (a secret registered, a channel settled): the scan will tell.
            log.info("%s: not sent, the chain would refuse it: %s", intention, refusal)
        except (TransactionReverted, TransactionDisplaced) as failure:
            log.warning("%s; it is tried again if it is still needed", failure)
            with suppress(Rejected):  # not final yet, a reorganisation may undo it: forgotten the next time
                self._transactor.forget(intention)
        except StorageFailed:
            raise
        except OperationalError as failure:
            log.warning("%s: %s; it is tried again if it is still needed", intention, failure)

    def _described(self, effect: ChainEffect) -> tuple[str, bytes]:
        match effect:
            case RegisterSecret(preimage, _):
                return f"secret:{sha256(preimage).hexdigest()}", calls.register_secret(preimage)
            case PublishPrice(price):
                feed = self._feeds[price.feed]
                data = calls.publish_price(feed, price.expiry_s, price.price, price.signatures)
                return f"price:{price.feed.hex()}:{price.expiry_s}", data
            case SubmitClose(channel_id, net, until_s, signature):
                channel = self._channel(channel_id)
                data = calls.close(channel.params, net, until_s, *_ordered(channel, signature))
                return f"close:{channel_id.hex()}:{until_s}", data
            case SubmitChallenge(channel_id, state, signature):
                data = self._state_call(calls.challenge, channel_id, state, signature)
                return f"challenge:{channel_id.hex()}:{state.version}", data
            case SubmitResponse(channel_id, state, signature):
                data = self._state_call(calls.respond, channel_id, state, signature)
                return f"respond:{channel_id.hex()}:{state.version}", data
            case SubmitSettlement(channel_id, state, salt):
                return self._settlement(channel_id, state, salt)

    def _channel(self, channel_id: bytes) -> Channel:
        channel = self._tables.records[Channel][channel_id]
        assert isinstance(channel, Channel)
        return channel

    def _state_call(self, call: StateCall, channel_id: bytes, state: State, signature: bytes) -> bytes:
        channel = self._channel(channel_id)
        hashed = claims_hash(state.claims.values())
        signatures = _ordered(channel, signature or NO_SIGNATURE)
        return call(channel.params, state.version, state.net, hashed, *signatures)

    def _settlement(self, channel_id: bytes, state: State, salt: bytes) -> tuple[str, bytes]:
        params = self._channel(channel_id).params
        claims = state.claims.values()
        if claims:
            data = calls.settle_claims(params, state.net, salt, claims_calldata(claims))
        else:
            data = calls.settle(params, state.net, salt)
        # What is left after a partial settlement may be the same claims with another net.
        return f"settle:{channel_id.hex()}:{sha256(data).hexdigest()[:16]}", data


def _ordered(channel: Channel, theirs: bytes) -> tuple[bytes, bytes]:
    """(signature of A, signature of B) when the peer's is the only one that is needed."""
    return (theirs, NO_SIGNATURE) if channel.me is Side.B else (NO_SIGNATURE, theirs)
