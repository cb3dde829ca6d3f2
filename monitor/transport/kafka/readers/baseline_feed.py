"""Reads baselines from their topic: to its end at start, then as they are published."""

from __future__ import annotations

from collections import Counter
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.clock import elapsed_s
from monitor.core.topics import BASELINES
from monitor.core.unreadable import unreadable_letter
from monitor.core.windowing.baseline_codec import BaselineParts, parse_key
from monitor.core.windowing.catalog import Catalog
from monitor.metrics import BASELINES as BASELINES_READ
from monitor.transport.kafka.client_log import CLIENT_LOG, LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.topic_scan import LASTING, log_ends
from schemas.baselines import Baseline
from schemas.errors import BaselineError, TransportError
from schemas.refused import DeadLetter

_BATCH = 200
_TICK_S = 0.5
MAX_LETTERS = 100
"""Dead letters kept for ``take_letters``; further unreadable messages are only counted."""


class BaselineFeed:
    """Keeps a catalog up to date with the baselines topic.

    Parameters
    ----------
    catalog : Catalog
        Receives the baselines of its models.

    Attributes
    ----------
    counters : Counter of str
        ``added``, ``known`` (there already), ``other_model`` (not in the config),
        ``unreadable``, ``misfit`` (not in the layout of its model's config), ``retired``.
        ``unreadable`` and ``misfit`` are logged with their reason and do not stop the stage;
        :meth:`take_letters` returns the dead letters of the unreadable ones.

    Notes
    -----
    Must be used in the catalog's thread. A consumer without a group: every worker reads the whole
    topic. A tombstone retires a baseline, see ``Catalog.retire``.

    All workers must have read a baseline before its first pane, so ``driftline baseline publish``
    sets its start in the future; a stage polls every few seconds.
    """

    def __init__(self, cluster: Cluster, catalog: Catalog) -> None:
        self._catalog, self._parts = catalog, BaselineParts()
        self._where = TopicPartition(cluster.topic(BASELINES), 0)
        self.counters: Counter[str] = Counter()
        self._letters: list[DeadLetter] = []
        self._consumer = Consumer(
            {
                **cluster.client(),
                # Required by the client, unused: the consumer joins no group and commits nothing.
                "group.id": cluster.group("driftline-profiles"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 500,
                "queued.max.messages.kbytes": 16_384,
                "reconnect.backoff.max.ms": 1_000,
            },
            logger=CLIENT_LOG,
        )

    def catch_up(self, timeout_s: float = 60.0) -> list[Baseline]:
        """Read the topic from its beginning to its current end.

        Parameters
        ----------
        timeout_s : float, optional
            Time-out for the next message before the end is reached.

        Returns
        -------
        list of Baseline
            Baselines that are new to the catalog.

        Raises
        ------
        TransportError
            If there is no such topic, or the broker does not answer in time.
        """
        try:
            low, high = log_ends(self._consumer, self._where, timeout_s)
            self._where.offset = low
            self._consumer.assign([self._where])
            return self._read_to(high, timeout_s)
        except KafkaException as error:
            raise self._failure(error.args[0].str()) from None

    def poll(self) -> list[Baseline]:
        """Read newly published baselines without waiting; call it every few seconds.

        Returns
        -------
        list of Baseline
            Baselines that were added to the catalog, oldest first.

        Notes
        -----
        Returns an empty list while the broker or the topic is unavailable.
        """
        found: list[Baseline] = []
        while got := self._consumer.consume(_BATCH, 0):
            found += self._take_all(got)
        return found

    def take_letters(self) -> list[DeadLetter]:
        """Return the dead letters of unreadable messages since the last call.

        Every worker reads the whole topic; one of them writes the dead letters, the others drop
        them. The keys are the same in every process and after a restart.
        """
        letters, self._letters = self._letters, []
        return letters

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_to(self, end: int, timeout_s: float) -> list[Baseline]:
        """Read until the position reaches an offset, whose message compaction may have removed."""
        found: list[Baseline] = []
        deadline = elapsed_s() + timeout_s
        position = self._where.offset
        while position < end:
            for got in self._consumer.consume(_BATCH, _TICK_S):
                error = got.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    if error.fatal() or error.code() in LASTING:
                        raise self._failure(error.str())
                    continue
                deadline = elapsed_s() + timeout_s
                position = (got.offset() or 0) + (error is None)
                found += self._take_all([got])
                if error is not None:
                    return found
            if elapsed_s() > deadline:
                raise self._failure(f"nothing came for {timeout_s:.0f} s")
        return found

    def _take_all(self, messages: list[Message]) -> list[Baseline]:
        """Add messages to the catalog; return the baselines that are new."""
        found: list[Baseline] = []
        for got in messages:
            error = got.error()
            if error is None:
                baseline = self._take(got)
                found += [baseline] if baseline is not None else []
            elif error.code() != KafkaError._PARTITION_EOF:
                # Known baselines stay in use: a delay of new ones does not stop the stage.
                CLIENT_LOG.warning("baselines: %s", error.str())
        return found

    def _take(self, message: Message) -> Baseline | None:
        """Process one message; unusable ones are counted and logged, and do not stop the stage."""
        outcome, baseline = "unreadable", None
        key, value = message.key() or b"", message.value() or b""
        try:
            if not value:
                self._retire(key)
                return None
            baseline = self._parts.add(key, value)
            if baseline is None:
                return None
            outcome = "misfit"
            if self._catalog.add(baseline):
                self._count("added")
                return baseline
            key_of = (baseline.tenant, baseline.model)
            self._count("known" if key_of in self._catalog.configs else "other_model")
        except BaselineError as error:
            self._count(outcome)
            place = f"{self._where.topic}:0 at {message.offset()}"
            LOG.warning("a baseline is not used: %s: %s", place, error)
            if outcome == "unreadable":
                self._refuse(message, str(error))
        return None

    def _refuse(self, message: Message, detail: str) -> None:
        """Keep the dead letter of a message, up to a hundred."""
        if len(self._letters) < MAX_LETTERS:
            kind, time_ms = message.timestamp()
            letter = unreadable_letter(
                message.value() or b"",
                detail,
                source=BASELINES,
                partition=0,
                offset=message.offset() or 0,
                record_time_us=time_ms * 1_000 if kind and time_ms >= 0 else -1,
            )
            self._letters.append(letter)

    def _retire(self, key: bytes) -> None:
        """Retire a baseline."""
        profile_id, _, _ = parse_key(key)
        self._parts.forget(profile_id)
        if self._catalog.retire(profile_id):
            self._count("retired")
            LOG.info("baseline %s was retired: no new pane is counted in it", profile_id)

    def _count(self, outcome: str) -> None:
        """Count the outcome of one baseline."""
        self.counters[outcome] += 1
        BASELINES_READ.labels(outcome).inc()

    def _failure(self, what: str) -> TransportError:
        """Return the error that prevented reading the topic."""
        return TransportError(
            f"cannot be read: {what}",
            where=f"{self._where.topic}:0",
            fix="check that the broker is running; `driftline topics check` lists missing topics",
        )
