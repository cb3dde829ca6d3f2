"""A warm detect compiles and loads nothing at its first panes, ticks and alerts."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
