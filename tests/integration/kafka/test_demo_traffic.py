"""What ``docker compose --profile demo`` sends is what the stages can read."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from monitor.app.installation import load_model
from monitor.cli.main import main
from monitor.core.topics import GPU, LABELS, PREDICTIONS
from monitor.decode.decoder import Decoder
from monitor.decode.records import decode_gpu
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.memory import MemoryLog
from tests.support.kafka.messages import create_topic
from tests.support.log_chunks import fetch_chunk
from tests.support.repository import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.integration]

FOLDER = ROOT / "deploy/docker"
TRAFFIC = (sys.executable, str(FOLDER / "traffic.py"))


def run_traffic(*arguments: str) -> str:
    done = subprocess.run(
        [*TRAFFIC, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_baseline_can_be_built_from_its_reference(tmp_path):
    reference = tmp_path / "reference.parquet"
    run_traffic("reference", str(reference))
    assert pq.read_metadata(reference).num_rows == 20_000
    model = FOLDER / "models/loans.yaml"
    with pytest.raises(SystemExit) as ended:
        main(["baseline", "build", str(model), "-r", str(reference), "-o", str(tmp_path / "b")])
    assert not ended.value.code
    assert len(list((tmp_path / "b").glob("*.profile"))) == 1


@pytest.fixture
def source_topics(new_broker):
    """Its topics cannot be named: a broker of its own."""
    with new_broker() as broker:
        for topic in (PREDICTIONS, LABELS, GPU):
            create_topic(broker.bootstrap, topic, 2)
        yield broker.bootstrap


@pytest.mark.slow
def test_everything_it_sends_is_accepted(source_topics):
    command = ("run", "--bootstrap", source_topics, "--rate", "300", "--break-after", "1")
    said = run_traffic(*command, "--for", "3")
    schema = load_model(FOLDER / "models/loans.yaml").schema_
    cluster, log = Cluster(source_topics), MemoryLog()
    for topic in (PREDICTIONS, GPU):
        for partition in range(2):
            for message in scan(cluster, topic, partition, 0, None):
                log.produce(topic, message.value, timestamp_us=message.timestamp_us)
    chunk = fetch_chunk(log, PREDICTIONS, 0, 0, 1_000_000)
    decoded = Decoder([schema]).decode(chunk)
    assert list(decoded.rejects) == []
    n_events = sum(len(batch) for batch in decoded.batches)
    assert said.split() == ["reported", str(n_events), "predictions"]
    assert n_events > 500
    events, rejects = decode_gpu(fetch_chunk(log, GPU, 0, 0, 1_000))
    assert list(rejects) == []
    assert sorted(event.gpu_uuid for _, _, event in events) == [f"GPU-{i}" for i in range(4)]
