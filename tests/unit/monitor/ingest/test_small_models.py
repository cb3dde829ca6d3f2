"""Models with few events a chunk are counted together; what ingest writes stays the same."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest

from monitor.core.gpu.host_activity import HostSign
from monitor.core.topics import LATE, PANES
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import decode_all
from monitor.core.windowing.intake_message import KEY_PREFIX as INTAKE
from monitor.core.windowing.intake_message import NOT_PANES, read_intake
from monitor.decode.chunk import chunk_of
from monitor.ingest.stage import Assignment, Ingest
from monitor.transport.memory import MemoryLog
from schemas.baselines import Kind
from schemas.config.model import FeatureConfig, ModelConfig, WindowConfig
from tests.support.batches import as_bits, baseline_of

N_MODELS, START_US, SECOND_US = 12, 1_767_225_600_000_000, 1_000_000
PARTITION = Assignment("s", 0, 1, "o")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    features = {
        "x": FeatureConfig(kind=Kind.NUMERIC),
        "c": FeatureConfig(kind=Kind.CATEGORICAL),
    }
    configs = [
        ModelConfig(model=f"m{i}", features=features, segments=("region",) if i % 2 else ())
        for i in range(N_MODELS)
    ]
    reference = np.random.default_rng(0).normal(size=500)
    segments = {0: ("*",), 1: ("*", "region=eu", "region=us")}
    baselines = [
        baseline_of(config.schema_, reference, segments[i % 2], profile_id=f"p{i}")
        for i, config in enumerate(configs[2:])  # two models have none
    ]
    return Catalog.of(configs, baselines)


def event(rng: random.Random, time_us: int) -> bytes:
    return json.dumps(
        {
            "id": f"{rng.randrange(400)}",
            "model": f"m{rng.randrange(N_MODELS)}",
            "model_version": rng.choice(["1", "1", "1", "2"]),
            "time_us": time_us - rng.choice([0, 0, 0, 0, 3, 40, 400]) * SECOND_US,
            "host": rng.choice(["h1", "h2", None]),
            "features": {"x": rng.gauss(0, 2), "c": rng.choice(["a", "b", 7, "7.0", None, "q"])},
            "segments": {"region": rng.choice(["eu", "us", "xx", None])},
            "prediction": rng.choice(["yes", "no", None]),
            "score": rng.random(),
        }
    ).encode()


class Written:
    """What ingest made of the events when it read so many messages at a time."""

    def __init__(self, catalog: Catalog, n_chunk: int, *, has_archive: bool) -> None:
        rng, log, self.signs = random.Random(3), MemoryLog(), set[HostSign]()
        options = {"on_batch": lambda *_: None} if has_archive else {}
        ingest = Ingest(
            log, catalog, WindowConfig(), PARTITION, on_signs=self.signs.update, **options
        )
        times_us = [START_US + i * SECOND_US // 4 for i in range(1_200)]
        events = [event(rng, time_us) for time_us in times_us]
        for i in range(0, len(events), n_chunk):
            part = np.array(times_us[i : i + n_chunk], np.int64)
            ingest.add(chunk_of(events[i : i + n_chunk], "s", 0, i, part))
            ingest.publish()
        ingest.publish(is_complete=True, is_end=True)
        self.counters = ingest.counters
        messages = log.fetch(PANES, 0, 0, 1 << 30)
        self.panes, self.intake = dict[tuple, tuple](), dict[bytes, tuple]()
        for message in messages:
            if message.key.startswith(INTAKE):
                pane = read_intake(message.value)
                self.intake[message.key] = (pane.n_late, pane.rejected)
            elif not message.key.startswith(NOT_PANES):
                for pane in decode_all([message.value]):
                    stats = (as_bits(pane.segments), as_bits(pane.slices))
                    self.panes[pane.series, pane.start_us] = stats
        self.late = Counter(m.value for m in log.fetch(LATE, 0, 0, 1 << 30))


@pytest.mark.parametrize("n_chunk", [1, 7, 60, 1_200])
def test_panes_late_events_and_signs_are_those_of_a_batch_a_model(catalog, n_chunk):
    expected = Written(catalog, 60, has_archive=True)
    found = Written(catalog, n_chunk, has_archive=False)
    assert found.panes == expected.panes
    assert found.intake == expected.intake
    assert found.late == expected.late
    assert found.signs == expected.signs
    for name in ("accepted", "late", "repeated", "messages"):
        assert found.counters[name] == expected.counters[name] > 0
