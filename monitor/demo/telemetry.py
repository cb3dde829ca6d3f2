"""GPU telemetry of the demo: normal noise, and one GPU whose memory fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monitor.demo.faults import BAD_REPLICA, Gpu, Planted
from monitor.demo.streams import Stream
from schemas.batch import Int64Array

INTERVAL_US = 30_000_000
"""The exporter's default scrape."""
GPU_MODEL = "NVIDIA H100 80GB HBM3"
DRIVER_VERSION = "570.86.15"

_SAMPLE = (
    '{"host":"%s","gpu_uuid":"%s","gpu":%d,'
    f'"gpu_model":"{GPU_MODEL}","driver_version":"{DRIVER_VERSION}",'
    '"time_us":%d,"fields":{"gpu_temp":%d,"memory_temp":%d,"power_usage":%.1f,"sm_clock":%d,'
    '"gpu_util":%d,"prof_pipe_tensor_active":%.3f,"fb_used":%d,"clocks_event_reasons":0,'
    '"ecc_sbe_vol_total":%d,"ecc_dbe_vol_total":%d,'
    '"row_remap_pending":0,"row_remap_failure":0}}'
)
_XID = (
    '{"host":"%s","gpu_uuid":"%s","gpu":%d,'
    f'"gpu_model":"{GPU_MODEL}","driver_version":"{DRIVER_VERSION}",'
    '"time_us":%d,"xid":%d,"xid_sequence":%d}'
)


def write_telemetry(
    rng: np.random.Generator,
    gpus: tuple[Gpu, ...],
    faults: tuple[Planted, ...],
    start_us: int,
    end_us: int,
) -> Stream:
    """Render a sample of every GPU per interval, and the XID of the failing one.

    Parameters
    ----------
    faults : tuple of Planted
        The bad replica's GPU counts double-bit errors while the fault lasts; it is
        reset when the fault is mended, which zeroes its counters.

    Returns
    -------
    Stream

    Notes
    -----
    Healthy H100 under load: 600 W sd 40, 62 C sd 4, HBM 75 C sd 5, 1755 MHz sd 40,
    tensor activity .45. 8 GPUs, 69 hours, 30 s: 66,240 samples in .2 s.
    """
    events: list[tuple[int, bytes]] = []
    for gpu in gpus:
        broken = [f for f in faults if f.name == BAD_REPLICA and f.gpu_uuid == gpu.gpu_uuid]
        fault = broken[0] if broken else None
        events.extend(_samples(rng, gpu, fault, start_us, end_us))
        if fault:
            time_us = fault.start_us + int(rng.integers(0, 300)) * 1_000_000
            message = _XID % (gpu.host, gpu.gpu_uuid, gpu.index, time_us, fault.xid, 1)
            events.append((time_us, message.encode()))
    events.sort(key=lambda event: event[0])
    times = np.fromiter((t for t, _ in events), np.int64, len(events))
    return Stream([message for _, message in events], times)


def _samples(
    rng: np.random.Generator, gpu: Gpu, fault: Planted | None, start_us: int, end_us: int
) -> Iterator[tuple[int, bytes]]:
    """Yield time and message of each sample of one GPU."""
    n = (end_us - start_us) // INTERVAL_US
    phase_us = int(rng.integers(0, INTERVAL_US // 2))
    jitter_us = rng.integers(0, 200_000, n)
    time_us = start_us + phase_us + np.arange(n, dtype=np.int64) * INTERVAL_US + jitter_us
    columns = (
        np.clip(rng.normal(62, 4, n), 48, 76).astype(int).tolist(),
        np.clip(rng.normal(75, 5, n), 55, 90).astype(int).tolist(),
        np.clip(rng.normal(600, 40, n), 430, 695).tolist(),
        np.clip(rng.normal(1755, 40, n), 1600, 1980).astype(int).tolist(),
        np.clip(rng.normal(88, 6, n), 0, 100).astype(int).tolist(),
        np.clip(rng.normal(0.45, 0.04, n), 0, 1).tolist(),
        rng.integers(61_000, 61_400, n).tolist(),
        _corrected_errors(rng, time_us, fault).tolist(),
        _double_bit_errors(rng, time_us, fault).tolist(),
    )
    where = (gpu.host, gpu.gpu_uuid, gpu.index)
    for time, *values in zip(time_us.tolist(), *columns, strict=True):
        yield time, (_SAMPLE % (*where, time, *values)).encode()


def _corrected_errors(
    rng: np.random.Generator, time_us: Int64Array, fault: Planted | None
) -> Int64Array:
    """Return the single-bit errors since the last reset: about one a day, which is normal."""
    return _since_reset(np.cumsum(rng.random(len(time_us)) < 1 / 2880), time_us, fault)


def _double_bit_errors(
    rng: np.random.Generator, time_us: Int64Array, fault: Planted | None
) -> Int64Array:
    """Return the double-bit errors: none before the fault, one at its start, then one an hour."""
    if fault is None:
        return np.zeros(len(time_us), np.int64)
    during = (time_us >= fault.start_us) & (time_us < fault.end_us)
    hits = during & (rng.random(len(time_us)) < 1 / 120)
    hits[np.flatnonzero(during)[:1]] = True
    return _since_reset(np.cumsum(hits), time_us, fault)


def _since_reset(total: Int64Array, time_us: Int64Array, fault: Planted | None) -> Int64Array:
    """Subtract what was counted before the GPU was reset, at the end of the fault."""
    if fault is None:
        return total
    before = int(np.searchsorted(time_us, fault.end_us))
    base = total[before - 1] if before else 0
    return np.where(np.arange(len(total)) < before, total, total - base)
