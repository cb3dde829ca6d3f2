"""Messages of panes, cut into messages of one pane each."""

from collections.abc import Iterable

from monitor.core.windowing.codec import decode_all, encode_one, pane_key
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.packed_pane import pack_pane


def apart(messages: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return keys and values such that no message holds several panes; small panes only."""
    found: list[tuple[bytes, bytes]] = []
    for key, value in messages:
        if key.startswith(NOT_PANES):
            found.append((key, value))
            continue
        for pane in decode_all([value]):
            (own,) = encode_one(pack_pane(pane))
            found.append((pane_key(pane, 0).encode(), own))
    return found
