"""From what people type to ids: aliases, beginnings of ids, hashes."""

import re
from collections.abc import Sequence

from channeld.api.commands import ChannelInfo, Commands, PeerInfo
from channeld.core.errors import Rejected

MIN_PREFIX_DIGITS = 3
"""Fewer hex digits are more likely a mistake than a name."""
NODE_ID_DIGITS = 66
HASH_DIGITS = 64
MAX_ALIAS_BYTES = 32
"""Nobody is called anything longer."""
SHOWN_DIGITS = 10
"""Enough to name a channel or a peer again."""

_HEX = re.compile("[0-9a-f]+")


def hex_digits(text: str) -> str:
    """Lower-case digits without 0x; empty if it is no hex."""
    digits = text.lower().removeprefix("0x")
    return digits if _HEX.fullmatch(digits) else ""


def check_channel(text: str) -> str:
    """The hex digits of what may be a channel's id or its beginning. Raises Rejected."""
    digits = hex_digits(text)
    if not MIN_PREFIX_DIGITS <= len(digits) <= HASH_DIGITS:
        raise Rejected(
            f"expected a channel id or at least {MIN_PREFIX_DIGITS} of its hex digits, got {text[:80]!r}"
        )
    return digits


def check_peer(text: str) -> None:
    """What may be an alias, a node id or its beginning. Raises Rejected."""
    digits = hex_digits(text)
    if len(digits) >= NODE_ID_DIGITS:
        read_node_id(text)
    elif not text or (not digits and len(text.encode(errors="replace")) > MAX_ALIAS_BYTES):
        raise Rejected(
            f"expected a peer's alias of at most {MAX_ALIAS_BYTES} bytes, or its node id or the beginning of "
            f"that in hex digits, got {text[:80]!r}"
        )


def read_node_id(text: str) -> bytes:
    """A whole node id, 33 bytes. Raises Rejected."""
    digits = hex_digits(text)
    if len(digits) != NODE_ID_DIGITS or not digits.startswith(("02", "03")):
        raise Rejected(
            f"expected a node id of {NODE_ID_DIGITS} hex digits that begins with 02 or 03, got {text[:80]!r}"
        )
    return bytes.fromhex(digits)


async def channel_named(client: Commands, text: str) -> ChannelInfo:
    """The daemon's channel whose id begins so; closed ones count if no other does. Raises Rejected."""
    found, _ = await client.channels(True, check_channel(text))
    return find_channel([each for each in found if each.phase != "closed"] or found, text)


async def peer_named(client: Commands, text: str) -> bytes:
    """The node id of one of the daemon's peers, see `find_peer`. Raises Rejected."""
    found, _ = await client.peers(text.lower().removeprefix("0x") if hex_digits(text) else text)
    if hex_digits(text):
        found += (await client.peers(text))[0]  # it may be an alias all the same
    return find_peer(list(dict.fromkeys(found)), text)


def find_channel(channels: Sequence[ChannelInfo], text: str) -> ChannelInfo:
    """The channel whose id begins so. Raises Rejected."""
    digits = check_channel(text)
    found = [channel for channel in channels if channel.channel_id.hex().startswith(digits)]
    if not found:
        raise Rejected(f"no channel begins with {text}: see `channeld channels`")
    if len(found) > 1:
        raise Rejected(f"{len(found)} channels begin with {text}: write more of the id")
    return found[0]


def find_peer(peers: Sequence[PeerInfo], text: str) -> bytes:
    """The node id of a peer by alias or by the beginning of its id; a whole id may be anybody's.

    An alias is what a peer calls itself: it counts only for peers that we dial or share a channel with,
    and one that two of them claim names neither. Raises Rejected.
    """
    digits = hex_digits(text)
    if len(digits) == NODE_ID_DIGITS:
        return bytes.fromhex(digits)
    ours = [peer for peer in peers if peer.url or peer.channels]
    found = [peer for peer in ours if peer.alias and peer.alias == text]
    if not found and len(digits) >= MIN_PREFIX_DIGITS:
        found = [peer for peer in peers if peer.node_id.hex().startswith(digits)]
    if not found:
        strangers = [peer.node_id.hex() for peer in peers if peer.alias and peer.alias == text]
        if strangers:
            who, is_called = strangers[0], "is connected and calls itself"
            if len(strangers) > 1:
                who, is_called = f"{len(strangers)}", "connected peers call themselves"
            raise Rejected(
                f"{who} {is_called} {text!r}, but a name counts only for peers that you dialled or share "
                "a channel with: write an id (`channeld peers`) or its beginning"
            )
        raise Rejected(f"no peer is called {text!r} or has an id that begins so: see `channeld peers`")
    if len(found) > 1:
        raise Rejected(f"{len(found)} peers are called {text!r}: write the beginning of the id instead")
    return found[0].node_id


def read_hash(text: str) -> bytes:
    """A whole hash or id of 32 bytes. Raises Rejected."""
    digits = hex_digits(text)
    if len(digits) != HASH_DIGITS:
        raise Rejected(f"expected a hash of {HASH_DIGITS} hex digits, got {text[:80]!r}")
    return bytes.fromhex(digits)


def short(identifier: bytes) -> str:
    """The beginning of an id."""
    return f"0x{identifier.hex()[:SHOWN_DIGITS]}"


def short_node(node_id: bytes, alias: str) -> str:
    """An alias, or the beginning of a node id."""
    return clean(alias) or node_id.hex()[:SHOWN_DIGITS]


def clean(text: str) -> str:
    """Somebody else's text without what would steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
