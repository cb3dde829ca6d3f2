"""What a reference leaves to the first days of the stream is said when its baseline is built."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.baseline.reference_hints import reference_hints
from schemas.config.model import ModelConfig
from schemas.time_units import HOUR_US

CONFIG = ModelConfig.model_validate(
    {"model": "m", "features": {"x": {"kind": "numeric"}}, "decision": {"rule": 2}}
)


def hints(n: int, *, session: int = 1, hours: float = 0.0) -> list[str]:
    """Build a baseline of ``n`` rows, equal within sessions, evenly over some hours."""
    rng = np.random.default_rng(3)
    x = np.repeat(rng.normal(size=n // session), session)
    columns = {"x": x, "score": np.repeat(rng.random(n // session), session)}
    if hours:
        columns["time_us"] = (np.arange(n) * (hours * HOUR_US / n)).astype(np.int64) + HOUR_US
    return reference_hints(build_baseline(pa.table(columns), CONFIG))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n": 20_000, "hours": 100.0}, []),
        ({"n": 20_000, "session": 20}, ["no times"]),
        ({"n": 20_000}, ["no times", "shuffled"]),
        ({"n": 1_000, "hours": 100.0}, ["1,000 rows are few"]),
        ({"n": 1_000}, ["1,000 rows are few", "no times"]),
    ],
)
def test_each_lack_of_a_reference_is_one_warning(options, expected):
    found = hints(**options)
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert text.startswith("warning: ")
        assert part in text
