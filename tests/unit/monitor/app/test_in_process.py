"""The whole pipeline in one process: the same notifications, however much is read at once."""

import pytest

from monitor.app.in_process import build_pipeline
from monitor.core.topics import GPU, PREDICTIONS
from monitor.replay.timeline import Timed, replay
from schemas.alerts import Notification
from schemas.config.monitor import MonitorConfig
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.small import SmallWorld, build_small_world


class ListReceiver:
    """A receiver that records what it is sent."""

    name = "recorder"

    def __init__(self) -> None:
        self.received: list[Notification] = []

    async def send(self, notification: Notification) -> str:
        self.received.append(notification)
        return "ok"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def world() -> SmallWorld:
    return build_small_world()


@pytest.mark.parametrize("chunk_messages", [50, 1_000, 10_000])
def test_the_same_incidents_are_sent_however_reads_were_cut(world, chunk_messages):
    log, receiver = world.log(), ListReceiver()
    pipeline = build_pipeline(
        MonitorConfig(), world.catalog, source="s", store=None, receivers={"recorder": receiver}
    )

    def chunks(topic: str, n: int):
        for offset in range(0, log.end_offset(topic, 0), n):
            yield fetch_chunk(log, topic, 0, offset, n)

    gpu = [Timed(int(chunk.record_time_us[0]), chunk) for chunk in chunks(GPU, 20)]
    replay(pipeline, chunks(PREDICTIONS, chunk_messages), (), gpu)
    pipeline.close()
    # With everything read at once, nothing at all was sent: the group wait was never over.
    assert [(n.incident.cause.value, n.incident.severity.value) for n in receiver.received] == [
        ("hardware", "page"),
        ("data", "page"),
        ("hardware", "page"),
        ("data", "ticket"),
    ]
