"""What the operator reads: a line for whatever happens to a channel; if asked for, one for each payment."""

import logging

from tests.daemon.cluster import USD, cluster, eventually

PATIENCE_S = 20.0


async def test_the_log_says_what_became_of_channels_and_payments(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "channeld.daemon")
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        together = await net.open("alice", "bob", "USD", 100 * USD, 0)
        (invoice,) = await net["bob"].create_invoice("USD", 5 * USD, "tea", None, 1)
        paid = await net["alice"].pay(invoice.text, None, None, PATIENCE_S)
        assert paid.status == "succeeded"
        await net["alice"].close_channel(together, False, PATIENCE_S)
        alone = await net.open("alice", "bob", "USD", 7 * USD, 0)
        await net["bob"].close_channel(alone, True, PATIENCE_S)

        def said(level: int, *words: str) -> int:
            return sum(
                record.levelno == level and all(word in record.getMessage() for word in words)
                for record in caplog.records
            )

        for channel_id, a, b in ((together, 100 * USD, 0), (alone, 7 * USD, 0)):
            amounts = {f"with deposits of {a} and {b}", f"with deposits of {b} and {a}"}
            assert sum(said(logging.INFO, channel_id.hex(), "is open", each) for each in amounts) == 2
        await eventually(lambda: said(logging.INFO, together.hex(), "is closed") == 2)
        await eventually(lambda: said(logging.INFO, alone.hex(), "is in dispute: version 0") == 2)
        digits = invoice.hashlock.hex()
        assert said(logging.DEBUG, f"payment {digits}: succeeded") == 1
        assert said(logging.DEBUG, f"invoice {digits}: paid") == 1
