"""Writes the archive's dead letters to Kafka, acknowledged before their range is inserted.

A range that is repeated after a crash writes the same letters again, and the table keeps one
of each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.archive.letters import LabelRefusal
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit, ModelKey
from monitor.core.unreadable import letter_write
from monitor.metrics import DEAD_LETTERS as N_DEAD_LETTERS
from monitor.metrics import DEAD_LETTERS_CAPPED, REJECTED
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer

STAGE = "archive"
ACK_S = 30.0
"""How long acknowledgements are waited for; then the process starts again from its commits."""


class LetterWriter:
    """Writes dead letters to their topic, as many of a model and minute as ingest does.

    Parameters
    ----------
    models : iterable of (tenant, model)
        Those that are configured; all others share one allowance.
    """

    def __init__(self, cluster: Cluster, models: Iterable[ModelKey]) -> None:
        self._cluster, self._models = cluster, list(models)
        self._producer: LogProducer | None = None
        self._caps: dict[tuple[str, int], DeadLetterLimit] = {}

    def write(self, topic: str, partition: int, refusals: Sequence[LabelRefusal]) -> None:
        """Write the letters of one range.

        Raises
        ------
        TransportError
            If they are not acknowledged in time.
        """
        if not refusals:
            return
        if self._producer is None:
            self._producer = LogProducer(self._cluster.client())
        cap = self._cap(topic, partition)
        for refusal in refusals:
            letter = refusal.letter
            REJECTED.labels(STAGE, topic, letter.reason).inc(refusal.n_events)
            if cap.admits(letter.tenant, letter.model, letter.record_time_us):
                self._producer.append(self._cluster, letter_write(letter))
                N_DEAD_LETTERS.labels(STAGE).inc()
            else:
                DEAD_LETTERS_CAPPED.labels(*cap.bucket(letter.tenant, letter.model)).inc()
        self._producer.flush_acks(ACK_S)

    def _cap(self, topic: str, partition: int) -> DeadLetterLimit:
        """Return the allowance of a partition."""
        if (topic, partition) not in self._caps:
            self._caps[topic, partition] = DeadLetterLimit(topic, partition, self._models)
        return self._caps[topic, partition]

    def close(self) -> None:
        """Close the producer; what was written is acknowledged already."""
        if self._producer is not None:
            self._producer.close()
