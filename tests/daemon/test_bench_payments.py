"""The payment benchmark runs, and what it counts is what a payment must cost."""

import json

from bench import __main__ as bench


def test_a_payment_through_a_hub_is_measured(capfd):
    options = ["--seconds", "0.2", "--in-flight", "1", "--hops", "2", "--json"]
    assert bench.main(["payments", *options]) == 0
    said = capfd.readouterr()
    figures = json.loads(said.out)  # nothing else, also by the daemons' processes
    assert "conditions: " in said.err
    assert figures["payments"] > 0 < figures["api_payments_per_s"]
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p95_ms"] <= figures["latency_p99_ms"]
    assert figures["fsync_p50_us"] > 0
    assert figures["payments_per_s"] > 0
    spent = figures["per_payment_by_process"]
    assert list(spent) == ["payer", "hub1", "payee"]
    # One in flight: each node signs its offer or its answers, and stores what it has taken and offered.
    for name, signatures, fsyncs in (("payer", 1, 2), ("hub1", 2, 2), ("payee", 1, 1)):
        assert spent[name]["signatures"] >= signatures - 0.1, name
        assert spent[name]["fsyncs"] >= fsyncs - 0.1, name
        assert spent[name]["cpu_us"] > 0, name
        assert spent[name]["wire_bytes"] > 100, name
