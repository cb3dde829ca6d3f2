"""The committed JSON Schemas are those of the types, and say what the types say."""

from __future__ import annotations

import contextlib
import json

import jsonschema
import msgspec
import pytest
import yaml

from monitor.app.json_schema import generate_all
from monitor.notify.config_types import monitor_type
from schemas.config.parse import parse_model, parse_monitor
from schemas.errors import ConfigError
from schemas.events import GpuEvent, LabelEvent, PredictionEvent
from schemas.json_schema import FOLDER, render
from tests.support.repository import ROOT

EXAMPLES = ROOT / "deploy" / "examples"
EVENTS = {
    "prediction_event": PredictionEvent,
    "label_event": LabelEvent,
    "gpu_event": GpuEvent,
}
GOOD = [
    ("prediction_event", {"model": "m", "time_us": 1}),
    (
        "prediction_event",
        {
            "model": "m",
            "time_us": 1_700_000_000_000_000,
            "id": "a",
            "features": {"x": 1.5, "n": None, "s": "text", "b": True, "i": 3},
            "segments": {"SEX": "1", "land": None},
            "score": 0.5,
            "prediction": "1",
            "host": None,
            "not_known": 3,
        },
    ),
    ("label_event", {"id": "a", "model": "m", "time_us": 1, "label": 1}),
    ("label_event", {"id": "a", "model": "m", "time_us": 1, "label": "yes"}),
    (
        "gpu_event",
        {"host": "h", "gpu_uuid": "GPU-1", "time_us": 1, "fields": {"gpu_temp": 65, "x": None}},
    ),
    ("gpu_event", {"host": "h", "gpu_uuid": "g", "time_us": 1, "xid": 79, "xid_sequence": 4}),
]
BAD = [
    ("prediction_event", {"time_us": 1}),
    ("prediction_event", {"model": "m"}),
    ("prediction_event", {"model": 1, "time_us": 1}),
    ("prediction_event", {"model": "m", "time_us": "1"}),
    ("prediction_event", {"model": "m", "time_us": 1.5}),
    ("prediction_event", {"model": "m", "time_us": 1, "score": "high"}),
    ("prediction_event", {"model": "m", "time_us": 1, "features": {"x": [1]}}),
    ("prediction_event", {"model": "m", "time_us": 1, "features": []}),
    ("label_event", {"id": "a", "model": "m", "time_us": 1}),
    ("label_event", {"id": "a", "model": "m", "time_us": 1, "label": None}),
    ("gpu_event", {"host": "h", "time_us": 1}),
    ("gpu_event", {"host": "h", "gpu_uuid": "g", "time_us": 1, "xid": "79"}),
]


def committed(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def test_the_committed_files_are_the_generated_ones():
    generated = {f"{name}.schema.json": render(schema) for name, schema in generate_all().items()}
    files = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert files == generated, "run: python -m monitor.app.json_schema"


@pytest.mark.parametrize("name", sorted(generate_all()))
def test_each_schema_is_a_valid_schema(name: str):
    jsonschema.Draft202012Validator.check_schema(committed(name))


@pytest.mark.parametrize(("name", "event"), GOOD)
def test_a_good_event_passes_the_schema_and_the_type(name: str, event: dict):
    jsonschema.validate(event, committed(name))
    msgspec.json.decode(json.dumps(event).encode(), type=EVENTS[name])


@pytest.mark.parametrize(("name", "event"), BAD)
def test_a_bad_event_fails_the_schema_and_the_type(name: str, event: dict):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event, committed(name))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(event).encode(), type=EVENTS[name])


@pytest.mark.parametrize("file", ["models/employment.yaml", "models/car_loan.yaml"])
def test_the_example_models_pass_the_model_schema(file: str):
    value = yaml.safe_load((EXAMPLES / file).read_text())
    jsonschema.validate(value, committed("model"))


def test_the_example_installation_passes_its_schema():
    value = yaml.safe_load((EXAMPLES / "driftline.yaml").read_text())
    jsonschema.validate(value, committed("driftline"))


@pytest.mark.parametrize(
    ("settings", "is_valid"),
    [
        ("{kind: console}", True),
        ("{kind: webhook, url_env: U}", True),
        ("{kind: webhook, url_env: U, secret_env: }", True),
        ("{kind: slack, token_env: T, channel: C}", True),
        ("{}", False),
        ("{kind: console, channel: C}", False),
        ("{kind: webhook}", False),
        ("{kind: webhook, url_env: U, token_env: T}", False),
        ("{kind: slack, token_env: T}", False),
        ("{kind: pager}", False),
    ],
)
def test_the_schema_of_an_installation_accepts_the_receivers_that_the_loader_does(
    settings: str, is_valid: bool
):
    text = f"receivers:\n  r: {settings}\n"
    schema = jsonschema.Draft202012Validator(committed("driftline"))
    assert schema.is_valid(yaml.safe_load(text)) == is_valid
    with contextlib.nullcontext() if is_valid else pytest.raises(ConfigError):
        parse_monitor(text, "driftline.yaml", monitor_type())


@pytest.mark.parametrize(
    "line", ["window: {pane: 10}", "unknown: 1", "segments: a", "decision: {eps: 0.7}"]
)
def test_what_the_model_schema_refuses_the_loader_refuses_too(line: str):
    text = f"model: m\nfeatures: {{a: {{kind: numeric}}}}\n{line}\n"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), committed("model"))
    with pytest.raises(ConfigError):
        parse_model(text, "m.yaml")


def test_defaults_of_durations_are_shown_as_they_are_written():
    window = committed("model")["$defs"]["WindowConfig"]["properties"]
    assert (window["length"]["default"], window["lateness"]["default"]) == ("1h", "1m")
