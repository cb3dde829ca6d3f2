"""Labels as rows: text and number of a label, its place in the log, what it carries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from monitor.decode import chunk_of
from monitor.decode.labels.objects import batch_of_events, merged
from monitor.storage.joined_tables import joined
from monitor.storage.label_columns import label_rows
from schemas.events import LabelEvent

FULL = LabelEvent(
    id="é7",
    model="m",
    time_us=9,
    label="fraud",
    tenant="t",
    prediction_time_us=3,
    model_version="2",
    score=0.25,
    scores={"a": 0.25, "b": 0.75},
    prediction="a",
    segments={"SEX": "1", "land": None},
    group="q1",
    host="h",
    gpu_uuid="g",
)


def bare(name: str, label: float | str) -> LabelEvent:
    return LabelEvent(id=name, model="m", time_us=5, label=label)


def test_a_row_has_all_that_a_label_carries_and_its_place():
    chunk = chunk_of([b"", b""], "topic", 3, 70, np.array([-1, 12]))
    placed = [(0, 0, bare("x", 1.0)), (1, 4, FULL)]
    first, second = label_rows(batch_of_events(placed), chunk).to_pylist()
    assert second == {
        "tenant": "t",
        "model": "m",
        "id": "é7",
        "time_us": 9,
        "label": "fraud",
        "label_value": None,
        "source": "topic",
        "partition": 3,
        "offset": 71,
        "row": 4,
        "record_time_us": 12,
        "prediction_time_us": 3,
        "model_version": "2",
        "score": 0.25,
        "scores": [("a", 0.25), ("b", 0.75)],
        "prediction": "a",
        "segments": [("SEX", "1"), ("land", None)],
        "group": "q1",
        "host": "h",
        "gpu_uuid": "g",
    }
    absent = ("prediction_time_us", "model_version", "score", "prediction", "group", "host")
    assert [first[name] for name in absent] == [None] * len(absent)
    assert (first["scores"], first["segments"], first["offset"], first["row"]) == ([], [], 70, 0)
    assert first["record_time_us"] == first["time_us"]


def test_numbers_are_written_as_before_and_may_equal_texts():
    labels = [1.0, "1", 0.1, -3.0, 1e22, "fraud", 1.0]
    batch = batch_of_events([(0, i, bare(f"{i}", label)) for i, label in enumerate(labels)])
    rows = label_rows(batch, chunk_of([b""], "f"))
    written = [label if isinstance(label, str) else f"{label:.17g}" for label in labels]
    assert rows["label"].to_pylist() == written
    values = [None if isinstance(label, str) else label for label in labels]
    assert rows["label_value"].to_pylist() == values
    dictionary = rows["label"].chunk(0).dictionary.to_pylist()
    assert len(dictionary) == len(set(dictionary))


def test_no_labels_and_some_make_rows_of_one_schema_that_can_be_joined():
    chunk = chunk_of([b""], "f")
    tables = [label_rows(batch_of_events(p), chunk) for p in ([], [(0, 0, FULL)])]
    assert joined(tables).to_pylist() == tables[1].to_pylist()
    assert pa.concat_tables(tables).num_rows == 1


def test_batches_of_several_origins_are_merged_in_source_order():
    events = [bare("a", 1.0), FULL, bare("b", "x"), msg := bare("c", 2.0)]
    msg.scores = {"z": 1.0}
    placed = [(m, r, e) for (m, r), e in zip([(0, 0), (0, 1), (2, 0), (3, 0)], events, strict=True)]
    apart = merged([batch_of_events(placed[1::2]), batch_of_events(placed[::2])])
    chunk = chunk_of([b""] * 4, "f")
    whole = label_rows(batch_of_events(placed), chunk)
    assert label_rows(apart, chunk).to_pylist() == whole.to_pylist()
    assert apart.is_complete.tolist() == [False, True, False, False]


def test_many_keys_of_maps_are_joined_under_one_dictionary():
    def table(first: int) -> pa.Table:
        keys = pa.array([f"k{i}" for i in range(first, first + 1_500)]).dictionary_encode()
        offsets = pa.array(range(1_501), pa.int32())
        return pa.table({"m": pa.MapArray.from_arrays(offsets, keys, pa.array([0.5] * 1_500))})

    tables = [table(0), table(1_000)]
    found = joined(tables)
    assert found.to_pylist() == [*tables[0].to_pylist(), *tables[1].to_pylist()]
    assert len(found["m"].chunk(0).keys.dictionary) == 2_500
