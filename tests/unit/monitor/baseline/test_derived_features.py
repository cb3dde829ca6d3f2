"""Numbers made of texts and times are features like any other."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from detectors.quality.text_statistics import text_statistics
from monitor.baseline.build import build_baseline
from monitor.baseline.draft import explain_columns
from monitor.cli.main import app
from monitor.core.drift.decide import SeriesDecider
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode import dictionaries
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from monitor.transport.canonical import canonical
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError
from schemas.panes import SeriesId, Window
from schemas.time_units import HOUR_US

FEATURES = {
    "amount": {"kind": "numeric"},
    "land": {"kind": "categorical"},
    "note.length": {"kind": "numeric", "of": "note", "derive": "length"},
    "note.digits": {"kind": "numeric", "of": "note", "derive": "digit_share"},
    "ordered.hour": {"kind": "numeric", "of": "ordered", "derive": "hour"},
    "ordered.age": {"kind": "numeric", "of": "ordered", "derive": "age_days"},
}
CONFIG = ModelConfig.model_validate({"model": "m", "features": FEATURES})
DAY_US = 24 * HOUR_US
NOON_US = 20 * DAY_US + 4_000_000_000
WORDS = ["order", "late", "box", "torn", "please", "again", "the", "of"]


def event(time_us: int = 10 * DAY_US, **features) -> bytes:
    return json.dumps({"model": "m", "time_us": time_us, "features": features}).encode()


def decoded(events: list[bytes], decoder: Decoder | None = None) -> dict[str, list[float]]:
    """Numeric columns by name; NaN as None, so that they compare."""
    (batch,) = (decoder or Decoder([CONFIG.schema_])).decode(chunk_of(events, "t")).batches
    assert batch.schema == CONFIG.schema_
    return {
        name: [None if np.isnan(x) else x for x in column.tolist()]
        for name, column in zip(batch.schema.numeric, batch.numeric, strict=True)
    }


def test_a_text_and_a_time_become_numbers_and_are_gone():
    (batch,) = (
        Decoder([CONFIG.schema_])
        .decode(
            chunk_of(
                [
                    event(amount=1.5, land="de", note="Box 12", ordered="1970-01-08T06:30:00Z"),
                    event(amount=2.5, land="fr"),
                    event(note="", ordered="soon"),
                ],
                "t",
            )
        )
        .batches
    )
    columns = dict(zip(batch.schema.numeric, (c.tolist() for c in batch.numeric), strict=True))
    assert columns["note.length"][0] == 6
    assert columns["note.length"][2] == 0
    assert columns["note.digits"][0] == pytest.approx(2 / 6)
    assert columns["ordered.hour"][0] == 6
    assert columns["ordered.age"][0] == pytest.approx(10 - 7 - 6.5 / 24)
    assert np.isnan([columns["note.length"][1], columns["ordered.age"][1]]).all()
    assert np.isnan([columns["ordered.hour"][2], columns["note.digits"][2]]).all()
    assert batch.schema.categorical == ("land",)
    assert len(batch.categorical) == 1


def test_a_number_that_the_producer_made_itself_is_kept():
    columns = decoded([event(**{"note.length": 40, "note": "four"}), event(**{"note.length": 7})])
    assert columns["note.length"] == [40.0, 7.0]
    assert columns["note.digits"] == [0.0, None]


texts = st.one_of(st.none(), st.text(max_size=12), st.sampled_from(WORDS))


@given(st.lists(texts, min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=40, deadline=None)
def test_they_do_not_depend_on_how_events_are_cut(notes, cuts):
    events = [event(note=note, amount=1.0) for note in notes]
    decoder, parts = Decoder([CONFIG.schema_]), []
    for piece in np.split(np.arange(len(events)), sorted(min(c, len(events)) for c in cuts)):
        if len(piece):
            parts.append(decoded([events[i] for i in piece], decoder))
    whole = decoded(events)
    expected = text_statistics(notes).length.tolist()
    assert whole["note.length"] == [None if np.isnan(x) else x for x in expected]
    for name, column in whole.items():
        assert [x for part in parts for x in part[name]] == column


def test_a_dictionary_that_is_reset_changes_nothing(monkeypatch):
    monkeypatch.setattr(dictionaries, "MAX_ARENA_BYTES", 2_000)
    decoder = Decoder([CONFIG.schema_])
    for first in range(0, 600, 60):
        notes = [f"{'x' * (i % 90)} {i}" for i in range(first, first + 60)]
        columns = decoded([event(note=note) for note in notes], decoder)
        assert columns["note.length"] == [float(len(note)) for note in notes]
    if dictionaries.HAS_KERNELS:
        assert len(decoder._dictionaries) < 200


def rows(n: int, seed: int, n_words: int = 8) -> pa.Table:
    rng = np.random.default_rng(seed)
    notes = [" ".join(rng.choice(WORDS, rng.integers(1, n_words))) for _ in range(n)]
    ordered = [datetime.fromtimestamp(int(t), UTC).isoformat() for t in rng.integers(0, 800_000, n)]
    return pa.table(
        {
            "time_us": np.arange(n) * 1_000_000 + 20 * DAY_US,
            "amount": rng.normal(size=n),
            "land": rng.choice(["de", "fr"], n),
            "note": notes,
            "ordered": ordered,
            "score": rng.random(n),
        }
    )


def test_baselines_and_events_agree_and_a_changed_text_is_reported():
    baseline = build_baseline(rows(8_000, 1), CONFIG)
    assert [v.name for v in baseline.variables] == [*CONFIG.schema_.variables]
    decider = SeriesDecider(SeriesId("default", "m", "1", baseline.profile_id), CONFIG, baseline)
    decoder, layout, opened = Decoder([CONFIG.schema_]), Layout(CONFIG.schema_, baseline), []
    for at in range(8):
        table = rows(1_000, 10 + at, n_words=8 if at < 4 else 14)
        features = table.drop_columns(["time_us", "score"]).to_pylist()
        scores = table["score"].to_pylist()
        values = [
            json.dumps({"model": "m", "time_us": NOON_US, "features": f, "score": s}).encode()
            for f, s in zip(features, scores, strict=True)
        ]
        (batch,) = decoder.decode(chunk_of(values, "t")).batches
        counted = summarize(batch, layout)
        start_us = 21 * DAY_US + at * HOUR_US
        window = Window(decider.series, start_us, start_us + HOUR_US, *counted, 1, "watermark")
        opened += [(at, a.feature) for a in decider.judge(window)[1]]
    assert {feature for _, feature in opened} == {"note.length"}
    assert min(at for at, _ in opened) >= 4


def test_a_table_brings_the_text_or_the_number_or_is_refused():
    table = rows(300, 1)
    assert {"features.note", "features.ordered"} <= set(canonical(table, CONFIG).column_names)
    made = table.drop_columns(["note"]).append_column("note.length", pa.array([1.0] * 300))
    with pytest.raises(ConfigError, match="'note.digits' or 'note'"):
        canonical(made, CONFIG)
    whole = made.append_column("note.digits", pa.array([0.5] * 300))
    assert "features.note.length" in canonical(whole, CONFIG).column_names
    assert build_baseline(whole, CONFIG).variables[1].name == "note.length"


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ({"kind": "numeric", "of": "note"}, "name both"),
        ({"kind": "numeric", "derive": "length"}, "name both"),
        ({"kind": "categorical", "of": "note", "derive": "length"}, "derived, a number"),
        ({"kind": "numeric", "of": "amount", "derive": "length"}, "is a number itself"),
        ({"kind": "numeric", "of": "note", "derive": "mood"}, "length"),
    ],
)
def test_a_derivation_that_cannot_be_is_refused_with_its_reason(feature, said):
    features = {"amount": {"kind": "numeric"}, "x": feature}
    with pytest.raises((ConfigError, ValueError), match=said):
        ModelConfig.model_validate({"model": "m", "features": features})


def test_a_comparison_under_a_model_makes_them_too(tmp_path):
    model = tmp_path / "m.yaml"
    features = {n: f for n, f in FEATURES.items() if n != "land"}
    model.write_text(json.dumps({"model": "m", "features": features}))
    for name, seed, n_words in (("a", 1, 8), ("b", 2, 8), ("c", 3, 14)):
        table = rows(2_000, seed, n_words).drop_columns(["land"])
        pq.write_table(table, tmp_path / f"{name}.parquet")

    def drifted(current: str) -> list[str]:
        words = ["compare", str(tmp_path / "a.parquet"), str(tmp_path / f"{current}.parquet")]
        done = CliRunner().invoke(app, [*words, "--model", str(model), "--json"])
        assert done.exit_code in (0, 10), done.output
        return json.loads(done.stdout)["drifted"]

    assert drifted("b") == []
    assert drifted("c") == ["note.length"]


def test_a_baseline_says_what_a_column_is_made_into():
    reasons = {d.name: d.reason for d in explain_columns(rows(300, 1), CONFIG)}
    assert reasons["note"] == "made into note.length, note.digits"
    assert reasons["ordered"] == "made into ordered.hour, ordered.age"
