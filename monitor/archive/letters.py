"""Dead letters of what only the archive reads: labels, and messages that no row can be made of.

Ingest and detect write those of predictions and telemetry. Labels have no other reader, so
the archive writes theirs, to the same topic under the same key: where the event stood.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from monitor.core.unreadable import reject_letter
from schemas.batch import Chunk
from schemas.events import Reject
from schemas.refused import DeadLetter


class LabelRefusal(msgspec.Struct, frozen=True):
    """A dead letter, and how many events it represents."""

    letter: DeadLetter
    n_events: int = 1


def refusals_of(chunk: Chunk, rejects: Iterable[Reject]) -> list[LabelRefusal]:
    """Return the dead letters of a chunk's rejects."""
    return [LabelRefusal(reject_letter(reject, chunk), reject.n_events) for reject in rejects]
