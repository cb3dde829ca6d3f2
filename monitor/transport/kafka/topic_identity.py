"""Topic IDs, which change when a topic is recreated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.errors import TransportError


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic's ID and its number of partitions."""

    topic_id: str
    n_partitions: int


class TopicWatch:
    """Requests the identity of a topic, over a separate connection.

    Parameters
    ----------
    client : mapping of str to str
        Configuration of the cluster's clients.
    timeout_s : float
        Time-out of each request.
    """

    def __init__(self, client: Mapping[str, str], topic: str, timeout_s: float) -> None:
        self._topic, self._timeout_s = topic, timeout_s
        # Errors are raised as exceptions; logging them would be redundant.
        self._admin: AdminClient | None = AdminClient(
            {"client.id": "driftline", **client, "log_level": "0"}
        )

    def admin(self) -> AdminClient:
        """Return the connection; raise if it is closed."""
        if self._admin is None:
            raise TransportError("the reader is closed", where=self._topic, fix="open another one")
        return self._admin

    def close(self) -> None:
        """Close the connection."""
        self._admin = None

    def look(self) -> TopicIdentity:
        """Request the topic's current identity.

        Returns
        -------
        TopicIdentity

        Raises
        ------
        TransportError
            If there is no such topic, or the broker does not answer in time.
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
