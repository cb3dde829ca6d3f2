"""Prediction events for the benchmarks: 386 bytes of JSON, ten features, two segments."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.baselines import Kind
from schemas.config.model import FeatureConfig, ModelConfig

FEATURES = (
    "age", "income", "tenure", "balance", "usage",
    "late", "speed", "distance", "amount", "hour",
)  # fmt: skip
REGIONS = ("eu-west", "us-east", "us-west", "ap-south")
TIERS = ("free", "gold", "team")
FIRST_US = 1_767_225_600_000_000
STEP_US = 200


def model_config() -> ModelConfig:
    features = {name: FeatureConfig(kind=Kind.NUMERIC) for name in FEATURES}
    return ModelConfig(model="fraud", features=features, segments=("region", "tier"))


def make_event(rng: random.Random, i: int) -> dict[str, Any]:
    return {
        "id": f"{rng.getrandbits(64):016x}",
        "model": "fraud",
        "model_version": "v12",
        "time_us": FIRST_US + STEP_US * i,
        "host": f"host-{i % 8}",
        "features": {name: round(rng.gauss(0, 1), 4 + k % 3) for k, name in enumerate(FEATURES)},
        "segments": {"region": rng.choice(REGIONS), "tier": rng.choice(TIERS)},
        "score": round(rng.random(), 6),
    }


def deviating(rng: random.Random, event: dict[str, Any]) -> dict[str, Any]:
    """The same event in another shape: keys shuffled, or an escape in a string."""
    if rng.random() < 0.5:
        return {**event, "host": event["host"] + "\n"}
    keys, features = list(event), list(event["features"])
    rng.shuffle(keys)
    rng.shuffle(features)
    shuffled = {name: event["features"][name] for name in features}
    return {key: event[key] if key != "features" else shuffled for key in keys}


def make_messages(n: int, deviating_share: float = 0.01, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    events = (make_event(rng, i) for i in range(n))
    return [
        json.dumps(deviating(rng, e) if rng.random() < deviating_share else e).encode()
        for e in events
    ]


def reference_table(messages: list[bytes]) -> pa.Table:
    """The events as the reference a baseline is built from."""
    events = [json.loads(m) for m in messages]
    columns: dict[str, Any] = {
        f"features.{name}": np.array([e["features"][name] for e in events]) for name in FEATURES
    }
    columns |= {f"segments.{n}": [e["segments"][n] for e in events] for n in ("region", "tier")}
    columns["score"] = np.array([e["score"] for e in events])
    columns["time_us"] = np.array([e["time_us"] for e in events], dtype=np.int64)
    return pa.table(columns)
