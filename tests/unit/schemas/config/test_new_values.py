"""The setting that keeps new values of a feature out of panes and alerts."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.layout import Layout
from schemas.config.model import ModelConfig, WindowConfig
from schemas.config.parse import parse_model
from schemas.errors import ConfigError
from tests.support.batches import Row, RowMessage, baseline_of, chunk_of, schema_of

ROW = Row(5, (0.5, 0.5), ("4111-1111",))
TEXT = "model: m\nfeatures:\n  x0: {kind: numeric}\n  c0: {kind: categorical%s}\n"


def read(more: str = "") -> ModelConfig:
    return parse_model(TEXT % more, "m.yaml")


def details_of(config: ModelConfig) -> bytes:
    baseline = baseline_of(schema_of(ROW), np.linspace(0, 1, 100))
    layout = Layout(config.schema_, baseline)
    aggregator = PartitionAggregator("s", 0, "o", WindowConfig(), lambda *_: layout)
    chunk, batches = chunk_of([RowMessage(0, 5, (ROW,))])
    aggregator.add(chunk, batches)
    (pane,) = aggregator.flush_all()
    return pane.details


def test_values_of_a_feature_that_is_not_to_be_named_are_in_no_pane():
    assert b"4111-1111" in details_of(read())
    assert details_of(read(", name_new_values: false")) == b""


def test_the_setting_is_not_written_where_it_is_not_set():
    named, unnamed = read(), read(", name_new_values: false")
    assert "name_new_values" not in named.model_dump()["features"]["c0"]
    assert unnamed.model_dump()["features"]["c0"]["name_new_values"] is False
    assert ModelConfig.model_validate_json(unnamed.model_dump_json()) == unnamed
    assert unnamed.schema_.received.unnamed == ("c0",)


def test_only_a_categorical_feature_takes_it():
    text = "model: m\nfeatures: {x: {kind: numeric, name_new_values: false}}\n"
    with pytest.raises(ConfigError, match="only a categorical feature has new values"):
        parse_model(text, "m.yaml")
