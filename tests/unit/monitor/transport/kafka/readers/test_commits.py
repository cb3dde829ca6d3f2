"""Which errors of a commit mean "not now", and which end the reader."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from monitor.transport.kafka.group_reader import GroupReader
from schemas.errors import TransportError


def took(code: int) -> bool:
    """Return what the reader makes of the answer to a commit."""
    reader = SimpleNamespace(
        counters=Counter(), _settings=SimpleNamespace(group="archive", topic="panes")
    )
    return GroupReader._took(reader, KafkaError(code))


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
    ],
)
def test_a_commit_of_a_member_whose_session_ended_is_refused_and_no_error(code):
    assert not took(code)


@pytest.mark.parametrize(
    "code", [KafkaError.FENCED_INSTANCE_ID, KafkaError.OFFSET_METADATA_TOO_LARGE]
)
def test_a_commit_that_can_never_be_accepted_is_an_error(code):
    with pytest.raises(TransportError, match="refused a commit"):
        took(code)
