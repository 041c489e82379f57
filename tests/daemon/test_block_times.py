"""A margin that fits one chain may be too short for another: the daemon looks, and says so."""

from dataclasses import replace

from channeld.config.settings import ChainSettings, Config
from channeld.daemon.block_times import block_time_s, short_margin
from tests.daemon.cluster import cluster


def test_the_defaults_fit_a_chain_of_twelve_seconds_and_no_much_slower_one():
    config = Config()
    assert short_margin(config, 12) == ""
    assert short_margin(config, 15) == (
        "[payment] secret_margin_s: expected more than 120, got 120: with a block every 15 s it takes so "
        "long to be mined and to have 6 confirmations"
    )
    patient = replace(config, chain=ChainSettings(confirmations=12))
    assert "expected more than 168, got 120" in short_margin(patient, 12)


async def test_alice_is_told_that_her_chain_is_too_slow_for_her_margin(tmp_path, caplog):
    async with cluster(tmp_path, "alice", running=()) as net:
        net.chain.chain.mine(8, interval_s=2)
        net.reach(net.now_s + 86_400)  # nobody was there: one gap is no block time
        net.chain.chain.mine(2, interval_s=2)
        assert await block_time_s(net.rpc) == 2
        await net.start("alice")
        assert "secret_margin_s" not in caplog.text
        await net.stop("alice")
        net.chain.chain.mine(10, interval_s=60)
        assert await block_time_s(net.rpc) == 60
        await net.start("alice")
        assert "secret_margin_s: expected more than 180, got 120: with a block every 60 s" in caplog.text
