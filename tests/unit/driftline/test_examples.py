"""The SDK's examples, each where its framework is installed; collected only there."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import numpy as np
import pytest

from driftline import Reporter
from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "examples" / "sdk"
BOUND_S = 20


class RecordingSender:
    """Replaces Kafka, and records what it gets."""

    def __init__(self) -> None:
        self.events: list[dict] = []

    def send(self, message, done) -> None:
        self.events += json.loads(message.payload)
        done(None)

    def flush(self, timeout_s: float) -> None:
        pass

    close = flush

    def abandon(self) -> None:
        pass


@pytest.fixture
def kept() -> RecordingSender:
    return RecordingSender()


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"sdk_example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


def test_every_example_compiles_and_is_named_in_the_readme():
    readme = (FOLDER / "README.md").read_text()
    examples = sorted(FOLDER.glob("*.py"))
    assert len(examples) == 3
    for path in examples:
        compile(path.read_text(), str(path), "exec")
        assert f"`{path.name}`" in readme


def test_the_readmes_lines_run(kept, monkeypatch):
    code = (FOLDER / "README.md").read_text().split("```python\n")[1].split("```")[0]
    made = []

    def reporter(*arguments, **options) -> Reporter:
        made.append(Reporter(*arguments, **options, _sender=lambda: kept))
        return made[0]

    monkeypatch.setattr(sys.modules["driftline"], "Reporter", reporter)
    exec(code, {})
    assert made[0].close(BOUND_S)
    assert [event.get("label", event.get("score")) for event in kept.events] == [0.83, 1.0]


if is_installed("fastapi", "httpx"):

    def test_the_fastapi_service_reports(kept):
        from fastapi.testclient import TestClient

        reporter = Reporter("nowhere:9", model="loans", _sender=lambda: kept)
        with TestClient(load("fastapi_service").create_app(reporter)) as client:
            answer = client.post("/predict?region=north", json={"age": 40.0}).json()
            client.post(f"/outcome/{answer['id']}?label=1")
        predicted, labelled = kept.events
        assert predicted["features"] == {"age": 40.0}
        assert predicted["segments"] == {"region": "north"}
        assert predicted["score"] == answer["score"]
        assert (labelled["id"], labelled["label"]) == (answer["id"], 1.0)


if is_installed("torch"):

    def test_the_pytorch_module_reports_in_evaluation_only(kept):
        import torch

        reporter = Reporter("nowhere:9", model="m", feature_names=("a", "b"), _sender=lambda: kept)
        module = load("pytorch_module").ReportedModule(torch.nn.Linear(2, 1), reporter)
        rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        module.train()(rows)
        scores = module.eval()(rows, ids=["x", "y"])
        assert reporter.close(BOUND_S)
        assert [e["features"] for e in kept.events] == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
        assert [e["score"] for e in kept.events] == pytest.approx(scores.tolist())
        assert [e["id"] for e in kept.events] == ["x", "y"]


if is_installed("keras") and is_installed("tensorflow"):

    def test_the_keras_model_reports(kept):
        import keras

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
        reporter = Reporter("nowhere:9", model="m", _sender=lambda: kept)
        rows = {"a": np.array([1.0, 3.0]), "b": np.array([2.0, 4.0])}
        scores = load("keras_model").predict_reported(model, rows, reporter)
        assert reporter.close(BOUND_S)
        assert [e["features"] for e in kept.events] == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
        assert [e["score"] for e in kept.events] == pytest.approx(scores.tolist())
