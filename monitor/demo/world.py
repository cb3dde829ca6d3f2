"""The demo's world: a model in service, its replicas, and their faults."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitor.demo.extract import CATEGORICAL, NUMERIC
from monitor.demo.faults import Gpu, Planted, break_inputs, break_scores, plan_faults
from monitor.demo.model import EmploymentModel, area_under_curve, fit_model
from monitor.demo.streams import MODEL, Stream, write_labels, write_predictions
from monitor.demo.survey import Survey, load_survey, shuffle_households
from monitor.demo.telemetry import INTERVAL_US, write_telemetry
from monitor.notify.config_types import model_type, monitor_type
from schemas.batch import Float64Array, Int64Array
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.names import SCORE
from schemas.time_units import HOUR_US

START_US = 1_451_606_400_000_000
"""2016-01-01T00:00:00Z."""
REFERENCE_START_US = 1_420_070_400_000_000
"""2015-01-01T00:00:00Z."""
ROWS_PER_WINDOW = 1_000
HOSTS = ("node-11", "node-12", "node-13", "node-14")
"""Four: with two hosts, neither could be told apart from its only reference."""
GPUS_PER_HOST = 2
RETRAINING_URL_ENV = "DRIFTLINE_DEMO_RETRAINING_URL"
RETRAINING_SECRET_ENV = "DRIFTLINE_DEMO_RETRAINING_SECRET"


@dataclass(frozen=True, slots=True)
class Served:
    """The served rows as columns, the same as in the prediction events."""

    columns: dict[str, Float64Array]
    """The 16 attributes as the service received them, shape (n,)."""
    scores: Float64Array
    time_us: Int64Array
    replica: NDArray[np.int64]
    """Index into ``World.gpus``."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a run of the demo reads, and what it should find."""

    seed: int
    config: ModelConfig
    reference: pa.Table
    """2015 with the model's own scores, in the columns of ``batch_from_arrow``."""
    auc: float
    """Of the model on 2016, before anything was broken."""
    predictions: Stream
    labels: Stream
    gpu: Stream
    planted: tuple[Planted, ...]
    gpus: tuple[Gpu, ...]
    served: Served
    start_us: int
    end_us: int
    """End of the last window."""

    @property
    def n_windows(self) -> int:
        """Number of windows of one hour."""
        return (self.end_us - self.start_us) // HOUR_US

    @property
    def n_events(self) -> int:
        """Number of predictions, labels and GPU samples."""
        return len(self.predictions) + len(self.labels) + len(self.gpu)

    def served_table(self, start_us: int, end_us: int) -> pa.Table:
        """Return the rows served in ``[start_us, end_us)`` in the columns of ``reference``.

        Returns
        -------
        pa.Table
        """
        times = self.served.time_us
        rows = slice(int(np.searchsorted(times, start_us)), int(np.searchsorted(times, end_us)))
        columns = {name: values[rows] for name, values in self.served.columns.items()}
        return _table(columns, self.served.scores[rows], times[rows])


def build_world(seed: int) -> World:
    """Fit the model on 2015 and serve 2016 by eight replicas, with three planted faults.

    Parameters
    ----------
    seed : int
        Changes everything random: who comes when, which replica answers, what breaks.

    Returns
    -------
    World

    Notes
    -----
    69 one-hour windows of 1,000 rows and 200,000 messages in 1.1 s on two cores, half of
    it the fit.
    """
    rngs = [np.random.default_rng([seed, part]) for part in range(8)]
    training = shuffle_households(load_survey(2015), rngs[0])
    people = shuffle_households(load_survey(2016), rngs[1])
    people = people.take(np.arange(len(people) // ROWS_PER_WINDOW * ROWS_PER_WINDOW))
    model = fit_model(training)
    auc = area_under_curve(model.score(people.columns), people.employed)
    gpus = _gpus(seed)
    planted = plan_faults(rngs[2], START_US, gpus)
    served = _serve(model, people, planted, gpus, rngs[3], rngs[4])
    end_us = START_US + len(people) // ROWS_PER_WINDOW * HOUR_US
    latency_us = _latency_us(rngs[5], len(people))
    delay_us = HOUR_US + (rngs[6].exponential(6.0, len(people)) * HOUR_US).astype(np.int64)
    return World(
        seed=seed,
        config=model_config(),
        reference=_reference(model, training),
        auc=auc,
        predictions=write_predictions(
            served.columns, served.scores, served.time_us, served.replica, gpus, latency_us
        ),
        labels=write_labels(people.employed, served.time_us, delay_us, end_us),
        gpu=write_telemetry(rngs[7], gpus, planted, START_US, end_us),
        planted=planted,
        gpus=gpus,
        served=served,
        start_us=START_US,
        end_us=end_us,
    )


def model_config() -> ModelConfig:
    """Return the config of the demo's model, as a model owner would write it.

    Returns
    -------
    ModelConfig

    Notes
    -----
    Retraining is asked for when a category drifts, where new data teaches the model
    something; never for AGEP, whose unit is the sender's matter. The model is judged by
    rule 1: rule 2 compares a replica with its own first week, and the demo has three days.
    """
    age = {"kind": "numeric", "importance": "high", "range": [0, 120]}
    features: dict[str, object] = dict.fromkeys(NUMERIC, age)
    features |= {name: {"kind": "categorical"} for name in CATEGORICAL}
    return model_type().model_validate(
        {
            "model": MODEL,
            "features": features,
            "positive": "1",
            "segments": ["SEX"],
            "protected": ["SEX"],
            "slices": {"host": True, "gpu_uuid": True, "expected": 8},
            "window": {"pane": "1m", "length": "1h"},
            # In the three days of the demo no replica has the week from which rule 2 learns its
            # level: rule 1 names the GPU that corrupts scores.
            "decision": {"rule": 1},
            "retraining": {
                "url_env": RETRAINING_URL_ENV,
                "secret_env": RETRAINING_SECRET_ENV,
                "on": ["page", "ticket"],
                "features": list(CATEGORICAL),
            },
        }
    )


def monitor_config(store: str, baselines: str) -> MonitorConfig:
    """Return the demo's installation: console, embedded store, a GPU sample every 30 s.

    Parameters
    ----------
    store : str
        Folder of the embedded store.
    baselines : str
        Folder of built baselines.

    Returns
    -------
    MonitorConfig
    """
    return monitor_type().model_validate(
        {
            "store": store,
            "baselines": baselines,
            "receivers": {"console": {"kind": "console"}},
            "gpu": {"interval": INTERVAL_US},
        }
    )


def _gpus(seed: int) -> tuple[Gpu, ...]:
    """Return eight GPUs on four hosts; their UUIDs are drawn from the seed, too."""
    return tuple(
        Gpu(f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{seed}.{host}.{index}')}", host, index)
        for host in HOSTS
        for index in range(GPUS_PER_HOST)
    )


def _serve(
    model: EmploymentModel,
    people: Survey,
    planted: tuple[Planted, ...],
    gpus: tuple[Gpu, ...],
    rng: np.random.Generator,
    rng_rows: np.random.Generator,
) -> Served:
    """Assign times and replicas to the rows, evenly, and score what each replica received."""
    time_us = START_US + np.arange(len(people), dtype=np.int64) * (HOUR_US // ROWS_PER_WINDOW)
    replica = rng.integers(0, len(gpus), len(people))
    received = break_inputs(dict(people.columns), time_us, planted, rng_rows)
    scores = break_scores(model.score(received), time_us, replica, planted, gpus)
    return Served(received, scores, time_us, replica)


def _latency_us(rng: np.random.Generator, n: int) -> Int64Array:
    """Return latencies from event to log: about 50 ms, 1 in 50 over 3 s, so order changes.

    Never as long as the bound on disorder, 5 s: nothing is late.
    """
    is_slow = rng.random(n) < 0.02
    quick = rng.exponential(50_000, n).clip(5_000, 1_000_000)
    return np.where(is_slow, rng.uniform(3e6, 4.5e6, n), quick).astype(np.int64)


def _reference(model: EmploymentModel, training: Survey) -> pa.Table:
    """Assign times to the training rows as to the served ones: households stay together."""
    time_us = REFERENCE_START_US + np.arange(len(training)) * (HOUR_US // ROWS_PER_WINDOW)
    return _table(dict(training.columns), model.score(training.columns), time_us)


def _table(columns: dict[str, Float64Array], scores: Float64Array, time_us: Int64Array) -> pa.Table:
    """Return columns as ``batch_from_arrow`` names them; categories are codes as text."""
    arrays = {"time_us": pa.array(time_us, pa.int64()), SCORE: pa.array(scores)}
    arrays["prediction"] = _as_text((scores >= 0.5).astype(np.float64))
    arrays |= {f"features.{name}": pa.array(columns[name]) for name in NUMERIC}
    arrays |= {f"features.{name}": _as_text(columns[name]) for name in CATEGORICAL}
    return pa.table(arrays)


def _as_text(codes: Float64Array) -> pa.DictionaryArray:
    """Return whole numbers as dictionary-encoded text."""
    values, indices = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32()), pa.array([str(int(v)) for v in values])
    )
