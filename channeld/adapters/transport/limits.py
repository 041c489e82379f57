"""Every bound of the peer transport, with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Defaults suit a hub of some hundred peers; a test makes them small."""

    # TCP, the HTTP upgrade and three acts are five trips; Tor and satellites need about a second each.
    handshake_timeout_s: float = 10.0
    # A stranger costs one socket, some 100 kB of buffers at worst and 0.5 ms of curve arithmetic before
    # it has proven anything.
    max_handshakes: int = 64
    # One network may not take them all; not 1, because nodes behind one router or onion service share it.
    max_handshakes_per_network: int = 16
    # Keys are free, so proving one earns little: peers that the daemon does not want (no channel, not
    # configured) share these places and can never take those of the wanted ones.
    max_strangers: int = 64
    max_strangers_per_network: int = 16
    # Unsent data to one peer. The protocol has one unanswered proposal a channel, so a backlog beyond the
    # largest few of them (1 MiB each) means that the peer does not read; reconnecting re-sends what counts.
    max_unsent_bytes: int = 8 << 20
    # The same for a hub pair with thousands of channels that all answer in one turn of the loop.
    max_unsent_messages: int = 8192
    # Routers forget an idle flow after as little as 60 s.
    ping_interval_s: float = 20.0
    # Two pings unanswered. Until then a dead peer costs only the unsent data.
    silence_timeout_s: float = 60.0
    # A peer that does not answer our close frame is gone, or mallory.
    close_timeout_s: float = 2.0
    # Soon enough to survive a restart unnoticed; doubled after each failure, with jitter, so that the
    # peers of a restarted hub do not return in step.
    redial_min_s: float = 0.5
    redial_max_s: float = 60.0
    # A connection that lived this long was a success: the next failure starts from redial_min_s again.
    redial_reset_after_s: float = 10.0
    # Each dial holds a socket and a DNS query; a hub with 1,000 peers does not start them all at once.
    max_concurrent_dials: int = 16
    # Strangers choose how often they fail; they do not choose how many lines that costs the disk.
    stranger_log_interval_s: float = 1.0
