"""Bytes on topics and in commits are those that were recorded, and mean what they meant.

After an intended change of a format record them again with ``python -m tests.golden``: a reader
of the new version then has to read the old files as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.messages import STRUCT_TOPICS
from monitor.archive.position import position_of
from monitor.core.drift.state import read_model_state
from monitor.core.drift.state_checks import check_model_state
from monitor.core.gpu.rules import GpuRules
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.pipeline_health.silence_state import read_silence_state
from monitor.core.pipeline_health.source_silence import SourceSilence
from monitor.core.state.result_messages import read_results
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.topics import ALERTS, DEAD_LETTERS, LATE, RESULTS
from monitor.core.windowing import baseline_codec as baseline_codec
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.details.block import NOT_COUNTED
from monitor.core.windowing.intake_message import read_intake
from monitor.core.windowing.watermark import Commit
from monitor.core.windowing.watermark_message import parse
from monitor.decode import Decoder, chunk_of
from monitor.decode.records import decode_gpu
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.gpu_topic_state import read_gpu_state
from monitor.notify.delivery.log import decode_entry
from monitor.notify.stage import read_alert
from monitor.transport.types import Committed, Message
from schemas.config.monitor import GpuConfig
from schemas.config.parse import parse_model
from schemas.events import GpuEvent, LabelEvent, PredictionEvent
from tests.golden import objects
from tests.golden.recording import (
    COMPRESSED,
    STEPS,
    Recorded,
    base_name,
    opened,
    recorded,
    recorded_with,
    written,
)
from tests.support.scenario.kill_sequence import (
    ELSEWHERE,
    MOVING,
    RARE,
    names_of,
    steps_in_the_code,
)
from tests.support.scenario.kill_sequence import STEPS as REAPED

FILES, WRITTEN = recorded(), written()
IS_SAME_ZSTD = recorded_with() == pa.__version__
EXACT = [name for name in FILES if IS_SAME_ZSTD or not name.startswith(COMPRESSED)]
"""Another version of the library may compress otherwise: then what was compressed counts."""


def values(prefix: str) -> list[bytes]:
    """The recorded values whose name is ``prefix`` and a number, in their order."""
    n = sum(name.removeprefix(f"{prefix}-").isdigit() for name in FILES)
    return [FILES[f"{prefix}-{i}"].value for i in range(n)]


def plain(value: Any) -> Any:
    """Make objects comparable that hold arrays."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def test_messages_of_the_same_names_are_written_as_were_recorded():
    assert {base_name(name) for name in WRITTEN} == {base_name(name) for name in FILES}


@pytest.mark.parametrize("name", EXACT)
def test_an_object_is_written_as_it_was_recorded_byte_by_byte(name):
    assert WRITTEN[name] == FILES[name]


def test_what_was_compressed_is_the_same_whatever_compresses_it():
    assert opened(WRITTEN) == opened(FILES)


def read_pane(chunks: Sequence[bytes]) -> Any:
    assembler = PaneAssembler()
    (found,) = [w for offset, value in enumerate(chunks) for w in assembler.add(value, offset)]
    return found.pane


def test_panes_that_share_a_message_read_back():
    packed = objects.shared_panes()
    found = PaneAssembler().add(FILES["shared-panes"].value, 0)
    assert [whole.packed for whole in found] == packed
    (alone,) = PaneAssembler().add(FILES["shared-panes-one"].value, 0)
    assert alone.packed == packed[0]


@pytest.mark.parametrize(
    ("chunks", "made", "details"),
    [
        ([FILES["pane"].value], objects.pane, NOT_COUNTED),
        ([FILES["pane-rows"].value], objects.row_pane, NOT_COUNTED),
        (values("pane-wide"), objects.wide_pane, NOT_COUNTED),
        ([FILES["packed-pane"].value], objects.pane, b""),
        ([FILES["packed-pane-rows"].value], objects.row_pane, b""),
        (values("packed-pane-wide"), objects.wide_pane, b""),
    ],
    ids=["one message", "rows only", "several messages", "packed", "packed rows", "packed wide"],
)
def test_a_recorded_pane_is_read_as_it_was_made(chunks, made, details):
    assert plain(read_pane(chunks)) == plain(replace(made(), details=details))


def test_recorded_intake_and_watermarks_are_read_as_they_were_made():
    assert read_intake(FILES["intake"].value) == objects.intake()
    assert [parse(value) for value in values("watermark")] == objects.watermarks()


def snapshots_of(*prefixes: str) -> SnapshotStore:
    snapshots = SnapshotStore()
    for name, one in FILES.items():
        if name.rpartition("-")[0] in prefixes:
            snapshots.add(one.key, one.value)
    return snapshots


@pytest.mark.parametrize("prefix", ["state-model", "state-model-parts"])
def test_a_recorded_model_state_is_read_as_it_was_made(prefix):
    (stored,) = snapshots_of(prefix).stored("model", objects.MODEL)
    state = read_model_state(stored.body)
    check_model_state(state, objects.MODEL)
    assert (stored.owner, state) == (objects.OWNER, objects.model_state())
    assert stored.sequence == {"state-model": 41, "state-model-parts": 42}[prefix]


def test_a_recorded_state_of_before_the_pipeline_rules_is_still_read():
    (stored,) = snapshots_of("state-model-old").stored("model", objects.MODEL)
    state, made = read_model_state(stored.body), objects.model_state()
    made.log_id, made.pipeline = "", None
    assert state == made


def test_the_state_with_the_highest_sequence_is_taken():
    snapshots = snapshots_of("state-model", "state-model-old", "state-model-parts")
    found = [stored.sequence for stored in snapshots.stored("model", objects.MODEL)]
    assert found[0] == snapshots.last_sequence("model", objects.MODEL) == 42


def test_a_recorded_gpu_state_is_restored_with_everything_in_it():
    (stored,) = snapshots_of("state-gpu").stored("gpu", ("0",))
    state = read_gpu_state(stored.body)
    assert state == objects.gpu_state()
    rules = GpuRules(GpuConfig())
    rules.restore(state.rules)
    assert rules.export() == state.rules
    partition = GpuPartition(GpuConfig(), 0, "next", log_id="gpu-id")
    (phase,) = partition.restore(snapshots_of("state-gpu"))
    assert (phase.step, len(phase.writes)) == ("gpu:alert", 1)
    assert (partition.position, partition.watermark_us) == (5_000, objects.NOON_US)


def test_a_recorded_silence_state_is_restored_with_its_alert():
    (stored,) = snapshots_of("state-silence").stored("silence", ("sources",))
    state = read_silence_state(stored.body)
    assert state == objects.silence_state()
    (phase,) = SourceSilence("next", 0.0).restore(snapshots_of("state-silence"))
    assert [write.key for write in phase.writes] == [FILES["alert-pipeline"].key]


@pytest.mark.parametrize(
    ("messages", "made"),
    [
        ([FILES["profile"]], objects.baseline),
        ([FILES["profile-seasonal"]], objects.seasonal_baseline),
        ([one for name, one in FILES.items() if "profile-part" in name], objects.baseline),
    ],
    ids=["one message", "seasons", "several messages"],
)
def test_a_recorded_baseline_is_read_as_it_was_made(messages, made):
    parts, found = baseline_codec.BaselineParts(), None
    for message in messages:
        found = parts.add(message.key, message.value)
    assert found is not None
    assert plain(found) == plain(made())
    assert baseline_codec.with_id(found).profile_id == found.profile_id


@pytest.mark.parametrize("name", objects.commits())
def test_a_recorded_commit_of_ingest_is_read_as_it_was_made(name):
    one = FILES[f"commit-{name}"]
    assert Commit.parse(int(one.key), one.value.decode()) == objects.commits()[name]


def test_a_recorded_note_opens_the_alerts_it_was_made_of():
    note = Commit.parse(0, FILES["commit-ingest-full"].value.decode()).note
    cap = DeadLetterLimit("driftline.predictions", 3, [objects.MODEL])
    cap.restore(note)
    assert note
    assert cap.note() == note


@pytest.mark.parametrize("name", objects.archive_positions())
def test_a_recorded_commit_of_the_archive_is_read_as_it_was_made(name):
    one = FILES[f"commit-{name}"]
    committed = Committed(int(one.key), one.value.decode())
    assert position_of(committed, objects.SOURCE) == objects.archive_positions()[name]


@pytest.mark.parametrize("name", objects.alerts())
def test_a_recorded_alert_is_read_by_notify_and_by_the_archive(name):
    one, made = FILES[f"alert-{name}"], objects.alerts()[name]
    assert read_alert(Message(0, one.key, one.value, one.timestamp_us)) == made
    assert STRUCT_TOPICS[ALERTS].decoder.decode(one.value) == made
    assert one.timestamp_us == made.time_us + 60_000_000


@pytest.mark.parametrize("name", objects.notifications())
def test_a_recorded_step_of_a_notification_is_read_as_it_was_made(name):
    assert decode_entry(FILES[f"notification-{name}"].value) == objects.notifications()[name]


@pytest.mark.parametrize(
    ("name", "topic", "made"),
    [
        ("results", RESULTS, objects.results),
        ("dead-letter", DEAD_LETTERS, objects.letter),
        ("late-event", LATE, objects.late_event),
    ],
)
def test_recorded_records_are_read_by_the_archive_as_they_were_made(name, topic, made):
    one: Recorded = FILES[name]
    assert one.topic == topic
    assert STRUCT_TOPICS[topic].decoder.decode(one.value) == made()


def test_a_recorded_table_of_statistics_is_read_as_it_was_made():
    value = FILES["result-table"].value
    assert read_results(value) == objects.result_table().results()
    found = STRUCT_TOPICS[RESULTS].decoder.decode(value)
    assert found.results() == objects.result_table().results()


def test_recorded_signs_of_life_are_read_as_events_without_a_gpu():
    chunk = chunk_of([FILES["host-signs"].value], "gpu")
    decoded, rejects = decode_gpu(chunk, 300_000_000, has_signs=True)
    found = [(e.tenant, e.host, e.time_us) for _, _, e in decoded if e.is_host_activity]
    assert (found, list(rejects)) == ([tuple(sign) for sign in objects.signs()], [])


KINDS: dict[str, Callable[[bytes], Any]] = {
    "prediction": msgspec.json.Decoder(PredictionEvent).decode,
    "label": msgspec.json.Decoder(LabelEvent).decode,
    "gpu": msgspec.json.Decoder(GpuEvent).decode,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_recorded_event_is_read_as_it_was_made(name):
    assert KINDS[name](FILES[f"event-{name}"].value) == objects.events()[name]


def test_a_recorded_prediction_is_accepted_by_the_decoder():
    config = parse_model(
        "model: fraud|eu\nfeatures: {age: {kind: numeric}, plan: {kind: categorical}}", "m.yaml"
    )
    assert Catalog.of([config], []).schemas
    decoded = Decoder([config.schema_]).decode(chunk_of([FILES["event-prediction"].value], "s"))
    assert (len(decoded.batches), list(decoded.rejects)) == (1, [])
    assert decoded.batches[0].time_us.tolist() == [objects.NOON_US]


@pytest.mark.parametrize("name", objects.configs())
def test_a_recorded_config_is_read_as_it_was_made(name):
    config = objects.configs()[name]
    assert type(config).model_validate_json(FILES[f"config-{name}"].value) == config


def test_the_crash_matrix_names_the_steps_that_were_recorded():
    steps = set(STEPS.read_text().split())
    assert steps_in_the_code() == steps
    assert names_of(REAPED, RARE, MOVING) | ELSEWHERE.keys() == steps
