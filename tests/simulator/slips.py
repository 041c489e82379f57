"""Faults of one line, put into the real core: a function's source with one piece of it exchanged.

Each would lose somebody's money or freeze a channel, and reads like something that could have been meant.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from channeld.core import channel, closing, draft, node, offers, operations, paying, reactions, trading, world
from channeld.core.operations import StateDraft
from channeld.daemon.engine import Engine
from channeld.daemon.registries import RegisteredSecrets
from channeld.daemon.watching import ChainWatch

Mutant = Callable[[pytest.MonkeyPatch], None]


def slip(name: str, owner: Any, function: str, right: str, wrong: str) -> Mutant:
    """`owner` is a module or a class; who has imported the function by its name gets the wrong one too."""

    def mutant(patch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, function)
        made = _rewritten(real.fget if isinstance(real, property) else real, right, wrong)
        if inspect.isclass(owner):
            patch.setattr(owner, function, property(made) if isinstance(real, property) else made)
            return
        for module in [each for known, each in sys.modules.items() if known.startswith("channeld.")]:
            if getattr(module, function, None) is real:
                patch.setattr(module, function, made)

    mutant.__name__ = name
    return mutant


def _rewritten(real: FunctionType, right: str, wrong: str) -> Any:
    source = textwrap.dedent(inspect.getsource(real)).removeprefix("@property\n")
    assert source.count(right) == 1, f"expected {right!r} once in {real.__qualname__}"
    made: dict[str, Any] = {}
    exec(compile(source.replace(right, wrong), inspect.getfile(real), "exec"), real.__globals__, made)
    return made[real.__name__]


SLIPS: tuple[Mutant, ...] = (
    slip(
        "b4_a_late_fulfilment_counts",
        StateDraft,
        "_fulfil",
        "if not registered_in_time(world, claim.hashlock, claim.deadline_s):",
        "if self._ours and not registered_in_time(world, claim.hashlock, claim.deadline_s):",
    ),
    slip("a_close_is_signed_while_states_move", closing, "is_quiet", "return agreed and not", "return not"),
    slip(
        "a_close_does_not_wait_for_the_peer",
        closing,
        "offer_close",
        "draft.is_online(channel.channel_id) and draft.is_shutting(channel.channel_id)",
        "draft.is_online(channel.channel_id)",
    ),
    slip(
        "states_are_signed_after_a_close",
        channel.Phase,
        "signs_states",
        "self is _OPEN or self is _SHUTTING",
        "self in (_OPEN, _SHUTTING, Phase.CLOSING)",
    ),
    slip(
        "a_close_is_over_by_the_clock",
        closing,
        "closing_due",
        "draft.world.confirmed_s <= channel.close_until_s",
        "draft.world.now_s <= channel.close_until_s",
    ),
    slip(
        "a_close_may_have_another_net",
        closing,
        "close_offer_received",
        "if (offer.counter, offer.net) != (channel.deposits.counter, channel.theirs.net):",
        "if offer.counter != channel.deposits.counter:",
    ),
    slip(
        "a_claim_is_over_by_the_clock",
        world,
        "expired_unregistered",
        "world.confirmed_s > deadline_s + margin_s",
        "world.now_s > deadline_s + margin_s",
    ),
    slip(
        "registrations_are_forgotten_in_a_crash",
        ChainWatch,
        "_secret",
        "rows.append(row)",
        "pass",
    ),
    slip(
        "the_last_registration_counts",
        RegisteredSecrets,
        "add",
        "if hashlock in self:",
        "if self._cache.get(hashlock) == seen_s:",
    ),
    slip(
        "a_secret_is_registered_when_it_is_too_late",
        offers,
        "fulfil",
        "wake_s = claim.deadline_s - draft.world.margins.register_s",
        "wake_s = claim.deadline_s",
    ),
    slip(
        "a_proposal_above_an_unanswered_one",
        channel,
        "propose",
        "not channel.waiting or not channel.answered or",
        "not channel.waiting or",
    ),
    slip(
        "what_lost_is_forgotten",
        channel,
        "receive_update",
        "waiting=unanswered + channel.waiting,",
        "waiting=channel.waiting,",
    ),
    slip(
        "an_ack_that_nobody_signed_counts",
        channel,
        "receive_ack",
        "if not verify(channel.channel_id, channel.mine, ack.signature):",
        "if not ack.signature:",
    ),
    slip(
        "versions_may_leap",
        channel,
        "receive_update",
        "if update.version not in (expected, refusal):",
        "if update.version < expected:",
    ),
    slip(
        "deposits_are_believed_before_they_are_confirmed",
        channel,
        "receive_update",
        "require_solvent(state, channel.deposits.a, channel.deposits.b, state.exposure)",
        "require_solvent(state, max(channel.announced.a, channel.deposits.a),"
        " max(channel.announced.b, channel.deposits.b), state.exposure)",
    ),
    slip(
        "what_the_peer_has_not_seen_is_spent",
        channel.Channel,
        "usable_deposits",
        "return min(self.deposits.a, self.announced.a), min(self.deposits.b, self.announced.b)",
        "return self.deposits.a, self.deposits.b",
    ),
    slip(
        "announced_deposits_are_not_heeded",
        node,
        "_message",
        "announced = replace(channel.announced, a=deposit_a, b=deposit_b)",
        "announced = channel.announced",
    ),
    slip(
        "own_claims_need_no_cover",
        channel,
        "propose",
        "if any(isinstance(op, Add | Fulfil | Settle | Push) for op in proposed):",
        "if any(isinstance(op, Settle | Push) for op in proposed):",
    ),
    slip(
        "the_first_claim_takes_the_secret_with_it",
        draft.Draft,
        "unindex",
        "if not refs and self.get(Secret, hashlock) is not None:",
        "if self.get(Secret, hashlock) is not None:",
    ),
    slip(
        "options_settle_at_any_price",
        StateDraft,
        "_settle",
        "price = settlement_price(world, feed, expiry_s, feed[31] * 3600, self._slack_s(world))",
        "price = operation.price if world.now_s > expiry_s else None",
    ),
    slip(
        "an_invoice_is_paid_at_any_time",
        paying,
        "deliver",
        "elif not leaves_room(draft, claim):",
        "elif draft.world.now_s < 0:",
    ),
    slip(
        "what_is_paid_is_paid_again",
        paying,
        "request_payment",
        "if event.hashlock in draft.tables.just_paid or event.hashlock in draft.tables.paid:",
        "if event.hashlock in draft.tables.just_paid:",
    ),
    slip(
        "an_option_is_written_below_its_price",
        trading,
        "premium_arrived",
        "claim.amount < quote.premium",
        "claim.amount < 1",
    ),
    slip(
        "no_price_is_published_for_an_option",
        reactions,
        "_option_due",
        "draft.emit(PublishPrice(record))",
        "pass",
    ),
    slip("a_claim_is_not_looked_at_again", Engine, "_commit", "if ref not in refs:", "if ref is not None:"),
    slip("nothing_is_looked_at_after_a_start", node, "wake_all", "return due", "return due[:0]"),
    slip(
        "any_secret_fulfils",
        operations.StateDraft,
        "_fulfil",
        "sha256(operation.preimage).digest() != claim.hashlock",
        "not any(claim.hashlock)",
    ),
)
