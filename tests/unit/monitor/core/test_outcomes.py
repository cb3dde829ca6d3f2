"""The as-of rule against its definition: any order, repeats and cuts give the same labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.outcomes import JoinedLabels, counting_labels


class Label(NamedTuple):
    outcome: int
    time_us: int
    source: int
    partition: int
    offset: int
    row: int
    record_time_us: int
    prediction_record_time_us: int


class Place(NamedTuple):
    source: int
    partition: int
    offset: int
    row: int


SMALL = st.integers(0, 3)
PLACES = st.builds(Place, SMALL, SMALL, SMALL, SMALL)
REST = st.tuples(SMALL, SMALL, SMALL, SMALL)
LABELS = st.dictionaries(PLACES, REST, max_size=30).map(
    lambda found: [
        Label(outcome, time_us, *place, record_us, predicted_us)
        for place, (outcome, time_us, record_us, predicted_us) in found.items()
    ]
)


def columns(labels: list[Label]) -> JoinedLabels:
    table = np.array(labels, np.int64).reshape(len(labels), len(Label._fields))
    return JoinedLabels(*table.T)


def counting(labels: list[Label], known_by_us: int) -> list[Label]:
    return [labels[i] for i in counting_labels(columns(labels), known_by_us).tolist()]


def deciding(label: Label) -> tuple[int, ...]:
    return label.time_us, label.record_time_us, *label[2:6]


def as_defined(labels: list[Label], known_by_us: int) -> list[Label]:
    found: dict[int, Label] = {}
    for label in labels:
        if max(label.record_time_us, label.prediction_record_time_us) > known_by_us:
            continue
        if label.outcome not in found or deciding(label) > deciding(found[label.outcome]):
            found[label.outcome] = label
    return [found[outcome] for outcome in sorted(found)]


@given(LABELS, st.integers(-1, 4))
def test_the_labels_that_count_are_those_of_the_definition(labels, known_by_us):
    assert counting(labels, known_by_us) == as_defined(labels, known_by_us)


@given(LABELS, st.integers(0, 4), st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_change_what_counts(labels, known_by_us, random):
    again = labels + random.choices(labels, k=5) if labels else []
    random.shuffle(again)
    assert counting(again, known_by_us) == counting(labels, known_by_us)


@given(LABELS, st.integers(0, 4), st.integers(0, 30))
def test_parts_may_be_reduced_before_they_are_put_together(labels, known_by_us, cut):
    parts = [labels[:cut], labels[cut:]]
    reduced = [label for part in parts for label in counting(part, known_by_us)]
    assert counting(reduced, known_by_us) == counting(labels, known_by_us)


@given(LABELS, LABELS, st.integers(0, 3))
def test_what_is_recorded_later_does_not_change_an_earlier_state(labels, later, known_by_us):
    places = {label[2:6] for label in labels}
    more = [
        label._replace(record_time_us=known_by_us + 1 + label.record_time_us)
        for label in later
        if label[2:6] not in places
    ]
    assert counting(labels + more, known_by_us) == counting(labels, known_by_us)


def test_a_correction_counts_from_when_it_is_recorded_and_a_lower_time_never():
    first = Label(1, 50, 0, 0, 0, 0, 100, 10)
    corrected = first._replace(time_us=60, offset=1, record_time_us=200)
    stale = first._replace(time_us=40, offset=2, record_time_us=300)
    equal = first._replace(time_us=60, offset=3, record_time_us=400)
    labels = [stale, equal, corrected, first]
    found = [counting(labels, t) for t in (99, 100, 200, 300, 400)]
    assert found == [[], [first], [corrected], [corrected], [equal]]


def test_of_equal_times_the_one_recorded_later_counts_whatever_its_topic():
    first = Label(1, 50, 3, 3, 9, 0, 100, 10)
    corrected = first._replace(source=0, partition=0, offset=1, record_time_us=200)
    assert counting([corrected, first], 300) == [corrected]


def test_a_label_counts_once_its_prediction_is_recorded_too():
    early = Label(1, 50, 0, 0, 0, 0, 100, 150)
    assert counting([early], 149) == []
    assert counting([early], 150) == [early]
