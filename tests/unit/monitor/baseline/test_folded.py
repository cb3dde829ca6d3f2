"""Hints of texts that count as missing or as another number."""

from __future__ import annotations

import pyarrow as pa

from monitor.baseline.folded import folded_texts
from schemas.config.model import ModelConfig


def config(**more: object) -> ModelConfig:
    features = {"land": {"kind": "categorical"}, "app": {"kind": "categorical"}}
    return ModelConfig.model_validate({"model": "m", "features": features, **more})


def test_words_for_missing_and_versions_are_named_with_what_to_do():
    table = pa.table({"land": [b"DE", b"NA", b"NA", b""], "app": ["1.1", "1.10", "7", "7.0"]})
    assert folded_texts(table, config()) == [
        "land: 'NA' is missing in 2 rows; list land under `verbatim:` if it is a category",
        "app: '1.1' and '1.10' are one category, 1.1; list app under `verbatim:` if they are "
        "versions",
    ]
    assert folded_texts(table, config(verbatim=["land", "app"])) == []


def test_numbers_booleans_and_broken_text_need_no_hint():
    table = pa.table({"land": [1.5, None], "app": [b"True", b"\xff"]})
    assert folded_texts(table, config()) == []


def test_a_segment_of_its_own_is_looked_at_too():
    table = pa.table({"segments.region": ["None", "eu"]})
    (hint,) = folded_texts(table, config(segments=["region"]))
    assert hint.startswith("region: 'None' is missing in 1 rows")
