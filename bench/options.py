"""What the benchmarks' options may be."""

import argparse

LEAST_S = 0.1
"""Shorter loads end before there is a second latency to take a quantile of."""


def at_least_one(text: str) -> int:
    """Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def seconds_of_load(text: str) -> float:
    """Raises argparse.ArgumentTypeError; ValueError, which argparse tells likewise, for no number."""
    seconds = float(text)
    if not LEAST_S <= seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"expected {LEAST_S} to 3600 seconds, got {text!r}")
    return seconds
