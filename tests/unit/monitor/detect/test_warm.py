"""A warm detect compiles and loads nothing at its first panes, ticks and alerts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from monitor.core.windowing.catalog import Catalog
from monitor.detect import warm
from schemas.panes import SeriesStats
from tests.support.kafka.detect import small_world
from tests.support.repository import ROOT

_PROGRAM = """
import sys
from detectors.kernels.jit import ready_count
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.windowing.catalog import Catalog
from monitor.detect.stage import PanesRules
from monitor.detect.warm import warm_decision
from monitor.transport.types import Message
from tests.support.kafka.detect import small_world

rule = int(sys.argv[1])
catalog = small_world().catalog
configs = [
    config.model_copy(update={"decision": config.decision.model_copy(update={"rule": rule})})
    for config in catalog.configs.values()
]
baselines = [each for own in catalog.baselines.values() for each in own]
catalog = Catalog.of(configs, baselines)
assert warm_decision(catalog)
n_ready = ready_count()
assert n_ready > 10, n_ready
from tests.support.kafka.detect import published  # ingest's kernels are loaded here

panes = published()
before = ready_count()
rules = PanesRules(catalog, 0, "o", "", lambda: 0.0)
rules.restore(SnapshotStore())
for i, message in enumerate(panes):
    for _ in rules.hear(Message(i, message.key, message.value, -1)):
        pass
assert rules.counters["alerts"] > 0, rules.counters
assert rule == 1 or rules.counters["ticks"] > 0, rules.counters
print(ready_count() - before)
"""


@pytest.mark.parametrize("rule", [1, 2])
def test_a_warm_detect_compiles_and_loads_nothing_at_its_first_alert(rule):
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(rule)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "0"


def test_a_reference_longer_than_a_message_warms_up_in_several(monkeypatch):
    catalog = small_world().catalog
    (config,), ((baseline,),) = catalog.configs.values(), catalog.baselines.values()
    n_segments = 40
    wide = SeriesStats.empty(("*", *(f"region=r{i}" for i in range(1, n_segments))), 3)
    wide.counts[:] = np.random.default_rng(0).integers(300, 6_000, wide.counts.shape)
    wide.n_rows[:] = wide.counts.sum(axis=2).max(axis=1)
    shape = (n_segments, 3)
    baseline = replace(baseline, reference=wide, phi=np.ones(shape), eps_learned=np.zeros(shape))
    limited = partial(warm.encode_one, max_bytes=8_192)
    assert len(limited(warm._pane(config, baseline, 0, is_changed=False))) > 1
    monkeypatch.setattr(warm, "encode_one", limited)
    assert warm.warm_decision(Catalog.of([config], [baseline]))
