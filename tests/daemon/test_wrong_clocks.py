"""A clock that is wrong ages nothing: what is cleared away does not come back."""

import time

import pytest

from channeld.adapters.journal.records import Put
from channeld.core.errors import Rejected
from channeld.core.events import InvoiceLapsed
from channeld.core.records import Payment, PaymentStatus
from channeld.daemon.history import PaymentsMade
from channeld.daemon.housekeeping import Housekeeping
from channeld.daemon.pruning import HISTORIES
from channeld.wire.records import encode_record
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE

DAY_S = 86_400


def past_payment(created_s: int) -> Put:
    payment = Payment(bytes(32), b"\x02" * 33, bytes(20), 5, 0, created_s, status=PaymentStatus.FAILED)
    kind, key, value = encode_record(payment)
    return Put(f"{kind}_done", key, value)


async def test_one_lying_block_of_the_far_future_clears_nothing_away(tmp_path):
    """Else alice would pay a second time, and bob's invoice could never be paid."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", STAKE, 0)
        paid, open_ = await net["bob"].create_invoice("USD", USD, "", DAY_S, 2)
        assert (await net["alice"].pay(paid.text, None, None, 10.0)).status == "succeeded"
        for daemon in net.daemons.values():
            daemon.engine.clock.head_seen(2**33)
            await daemon.engine.caught_up()
            assert daemon.engine.tables.now_s >= 2**33
            house = Housekeeping(daemon.engine, 30)
            for _ in range(2 * len(HISTORIES) + 2):
                house.round()
            # As if the clocks had begun to disagree just after a look at it.
            daemon.engine.post(InvoiceLapsed(open_.hashlock))
            await daemon.engine.caught_up()
        assert paid.hashlock in PaymentsMade(net["alice"].engine.journal)
        assert [payment.hashlock for payment in (await net["alice"].payments(None, 10))[0]] == [paid.hashlock]
        assert net["bob"].engine.journal.count("invoice") == 1, "and it is not lapsed for good"
        for name in ("alice", "bob"):
            await net.stop(name)
        for name in ("alice", "bob"):
            await net.start(name)
        await net.connect("alice", "bob")
        await eventually(lambda: net["alice"].engine.tables.online)
        with pytest.raises(Rejected, match="is paid already"):
            await net["alice"].pay(paid.text, None, None, 10.0)
        assert (await net["alice"].pay(open_.text, None, None, 10.0)).status == "succeeded"


async def test_history_is_old_by_the_slower_of_the_two_clocks(tmp_path):
    async with cluster(tmp_path, "carol") as net:
        carol = net["carol"]
        await eventually(lambda: carol.engine.tables.now_s)
        at_s = carol.engine.tables.now_s - 90 * DAY_S
        journal, clock = carol.engine.journal, carol.engine.clock
        journal.commit([past_payment(at_s + 600)])
        clock.head_seen(net.now_s + 1_200)  # well within what the clocks may differ by
        for ahead_s, left in ((0, 1), (1_200, 0)):
            clock.wall = lambda ahead_s=ahead_s: time.time() + ahead_s
            house = Housekeeping(carol.engine, 90)
            for _ in HISTORIES:
                house.round()
            assert journal.count("payment_done") == left


async def test_only_clocks_that_disagreed_agree_again(tmp_path, caplog):
    async with cluster(tmp_path, "carol") as net:
        carol = net["carol"]
        await eventually(lambda: carol.engine.tables.clock_trusted and carol.engine.tables.now_s)
        # As in a turn before the first block is seen: nothing is trusted then, and nothing disagrees.
        clock = carol.engine.clock
        head_s, clock.head_s = clock.head_s, 0
        carol.engine._judge_clock()
        assert not carol.engine.tables.clock_trusted
        clock.head_s = head_s
        carol.engine._judge_clock()
        assert carol.engine.tables.clock_trusted and "this computer's" not in caplog.text
        clock.skew_limit_s = -1
        await eventually(lambda: not carol.engine.tables.clock_trusted)
        clock.skew_limit_s = 3_600
        await eventually(lambda: carol.engine.tables.clock_trusted)
        said = [each.getMessage() for each in caplog.records if "this computer's" in each.getMessage()]
        assert ["no new claims" in each for each in said] == [True, False] and "agree again" in said[1]
