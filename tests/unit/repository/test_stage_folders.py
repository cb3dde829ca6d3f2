"""Every stage has one shared part and two fronts, under the same names."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

STAGES = ("ingest", "detect", "notify", "archive")
PARTS = ("stage", "in_memory", "on_kafka")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_shared_part_and_both_fronts(stage, part):
    assert find_spec(f"monitor.{stage}.{part}") is not None


def test_a_pipeline_in_memory_loads_no_kafka_client():
    clients = ("confluent_kafka", "faust", "aiokafka", "kafka")
    code = f"import sys, monitor.app.in_process; print(*[m for m in {clients} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.strip() == ""
