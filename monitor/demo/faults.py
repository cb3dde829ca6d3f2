"""The three planted faults of the demo, drawn by the seed, in the second half of the year."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.alerts import Cause
from schemas.batch import Float64Array, Int64Array
from schemas.names import SCORE
from schemas.time_units import HOUR_US

N_WINDOWS_BROKEN = 6
"""Each fault is repaired after this many windows, so that later findings are not about it."""
SLOT_HOURS = (36, 47, 58)
"""Windows at which a fault may begin: all in the second half of 69."""
UNKNOWN_CODES = {"SCHL": 99, "MAR": 7, "CIT": 8, "MIG": 5}
"""Features that may get a new code, and the code."""
XIDS = (48, 94, 95)
"""Memory errors a GPU survives, so that it goes on serving: double-bit, contained, uncontained."""

UPSTREAM_BUG = "age in months"
NEW_CATEGORY = "new category"
BAD_REPLICA = "bad replica"


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """One planted fault: its place, and what the monitor should report about it."""

    name: str
    what: str
    """Description in one line."""
    feature: str
    segment: str
    """``*`` or ``gpu_uuid=...``."""
    cause: Cause
    start_us: int
    end_us: int
    share: float
    """Of the rows that are broken; for a replica, of its own rows."""
    has_retraining: bool
    """Whether the policy of the demo's model requests a retraining."""
    host: str = ""
    gpu_uuid: str = ""
    xid: int = 0
    is_flipped: bool = False
    """``bad replica``: 1 - score instead of ``constant``."""
    constant: float = 0.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One replica of the model and the GPU it runs on."""

    gpu_uuid: str
    host: str
    index: int
    """On its host."""


def plan_faults(
    rng: np.random.Generator, start_us: int, gpus: tuple[Gpu, ...]
) -> tuple[Planted, ...]:
    """Draw what breaks, where, by how much and when.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides everything.
    start_us : int
        Time of the first event.
    gpus : tuple of Gpu
        One of them will fail.

    Returns
    -------
    tuple of Planted
        In order of time.
    """
    begins = rng.permutation(SLOT_HOURS) + rng.uniform(0.0, 1.5, 3)
    starts = [start_us + int(h * 3600) * 1_000_000 for h in begins]
    faults = (
        _upstream_bug(rng, starts[0]),
        _new_category(rng, starts[1]),
        _bad_replica(rng, starts[2], gpus),
    )
    return tuple(sorted(faults, key=lambda fault: fault.start_us))


def _upstream_bug(rng: np.random.Generator, start_us: int) -> Planted:
    """Draw the share of rows whose age is in months."""
    share = float(np.round(rng.uniform(0.10, 0.20), 3))
    return Planted(
        name=UPSTREAM_BUG,
        what=f"AGEP sent in months for {share:.1%} of the rows",
        feature="AGEP",
        segment="*",
        cause=Cause.DATA,
        start_us=start_us,
        end_us=start_us + N_WINDOWS_BROKEN * HOUR_US,
        share=share,
        has_retraining=False,
    )


def _new_category(rng: np.random.Generator, start_us: int) -> Planted:
    """Draw the feature and the share of rows with a code the training data never had."""
    feature = str(rng.choice(sorted(UNKNOWN_CODES)))
    share = float(np.round(rng.uniform(0.05, 0.10), 3))
    return Planted(
        name=NEW_CATEGORY,
        what=f"{feature}={UNKNOWN_CODES[feature]}, never seen, in {share:.1%} of the rows",
        feature=feature,
        segment="*",
        cause=Cause.DATA,
        start_us=start_us,
        end_us=start_us + N_WINDOWS_BROKEN * HOUR_US,
        share=share,
        has_retraining=True,
    )


def _bad_replica(rng: np.random.Generator, start_us: int, gpus: tuple[Gpu, ...]) -> Planted:
    """Draw the GPU that fails and how its scores go wrong."""
    gpu = gpus[rng.integers(len(gpus))]
    xid = int(rng.choice(XIDS))
    is_flipped = bool(rng.integers(2))
    constant = float(np.round(rng.uniform(0.2, 0.8), 3))
    how = "flipped" if is_flipped else f"stuck at {constant}"
    return Planted(
        name=BAD_REPLICA,
        what=f"scores of {gpu.host} GPU {gpu.index} {how}; double-bit ECC errors, XID {xid}",
        feature=SCORE,
        segment=f"gpu_uuid={gpu.gpu_uuid}",
        cause=Cause.HARDWARE,
        start_us=start_us,
        end_us=start_us + N_WINDOWS_BROKEN * HOUR_US,
        share=1.0,
        has_retraining=False,
        host=gpu.host,
        gpu_uuid=gpu.gpu_uuid,
        xid=xid,
        is_flipped=is_flipped,
        constant=constant,
    )


def break_inputs(
    columns: dict[str, Float64Array],
    time_us: Int64Array,
    faults: tuple[Planted, ...],
    rng: np.random.Generator,
) -> dict[str, Float64Array]:
    """Return the columns as the service receives them, the planted rows broken.

    Parameters
    ----------
    columns : dict of str to ndarray of float64, shape (n,)
        The true attributes.
    rng : numpy.random.Generator
        Decides which rows.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        New arrays where something was broken.
    """
    received = dict(columns)
    for fault in faults:
        rows = _rows_during(fault, time_us)
        rows = rows[rng.random(len(rows)) < fault.share]
        if fault.name == UPSTREAM_BUG:
            months = received["AGEP"].copy()
            months[rows] = months[rows] * 12 + rng.integers(0, 12, len(rows))
            received["AGEP"] = months
        elif fault.name == NEW_CATEGORY:
            codes = received[fault.feature].copy()
            codes[rows] = UNKNOWN_CODES[fault.feature]
            received[fault.feature] = codes
    return received


def break_scores(
    scores: Float64Array,
    time_us: Int64Array,
    replica: NDArray[np.int64],
    faults: tuple[Planted, ...],
    gpus: tuple[Gpu, ...],
) -> Float64Array:
    """Return the scores as the replicas answer them, those of the failing GPU wrong.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        What a sound GPU computes.
    replica : ndarray of int64, shape (n,)
        Index into ``gpus``.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    answered = scores.copy()
    for fault in faults:
        if fault.name != BAD_REPLICA:
            continue
        rows = _rows_during(fault, time_us)
        bad = next(i for i, gpu in enumerate(gpus) if gpu.gpu_uuid == fault.gpu_uuid)
        rows = rows[replica[rows] == bad]
        answered[rows] = 1.0 - answered[rows] if fault.is_flipped else fault.constant
    return answered


def _rows_during(fault: Planted, time_us: Int64Array) -> Int64Array:
    """Row numbers stamped while the fault lasts."""
    return np.flatnonzero((time_us >= fault.start_us) & (time_us < fault.end_us))
