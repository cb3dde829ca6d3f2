"""Which topic bears a name now: its id, which a recreated topic does not keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.errors import TransportError


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic's id, and how many partitions it has."""

    topic_id: str
    n_partitions: int


class TopicWatch:
    """Asks the broker about one topic, over a connection of its own.

    Parameters
    ----------
    client : mapping of str to str
        Configuration of the cluster's clients.
    timeout_s : float
        Bound of each question.
    """

    def __init__(self, client: Mapping[str, str], topic: str, timeout_s: float) -> None:
        self._topic, self._timeout_s = topic, timeout_s
        # What goes wrong comes as an exception; its log would only say the same again.
        self._admin: AdminClient | None = AdminClient(
            {"client.id": "driftline", **client, "log_level": "0"}
        )

    def admin(self) -> AdminClient:
        """Return the connection while there is one."""
        if self._admin is None:
            raise TransportError("the reader is closed", where=self._topic, fix="open another one")
        return self._admin

    def close(self) -> None:
        """Close the connection."""
        self._admin = None

    def look(self) -> TopicIdentity:
        """Ask now.

        Returns
        -------
        TopicIdentity

        Raises
        ------
        TransportError
            If there is no such topic, or no answer in time.
        """
        try:
            asked = self.admin().describe_topics(
                TopicCollection([self._topic]), request_timeout=self._timeout_s
            )
            found = asked[self._topic].result(self._timeout_s + 1)
        except (KafkaException, TimeoutError) as error:
            detail = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
            raise TransportError(
                f"cannot read the topic's ID: {detail}",
                where=self._topic,
                fix="check the broker's address, and `driftline topics check`",
            ) from None
        return TopicIdentity(str(found.topic_id), len(found.partitions))
