"""Logs of random events for aggregators: two models, two versions, a baseline that changes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from monitor.core.windowing.layout import Layout
from schemas.batch import ABSENT
from schemas.config.model import WindowConfig
from tests.support.batches import NOT_NAMED, Row, RowMessage, baseline_of, schema_of

PANE, BOUND, LATENESS, SKEW = 10, 7, 20, 15
WINDOW = WindowConfig(pane=PANE, length=40, bound=BOUND, lateness=LATENESS, idle=30, max_skew=SKEW)
VALUES = st.one_of(
    st.floats(-2, 2, width=32), st.sampled_from([float("nan"), 0.1, 0.3, 1e30, -0.0, 5.0, ABSENT])
)
NEW = st.one_of(st.sampled_from(["new", "n" * 70, "ü" * 40, "<b>"]), st.integers(0, 40).map(str))
NAMES = st.sampled_from([None, "a", "b", "zz", "other"])
PROTOTYPE = Row(0, (0.0, 0.0, 0.0), ("a",), ("a", "b"))
REFERENCE = np.random.default_rng(0).normal(size=500)
KNOWN = ("*", "s0=a", "s0=b", "s1=a", "s1=b")


@st.composite
def rows(draw: st.DrawFn, now: int) -> Row:
    """Events around a time."""
    return Row(
        time_us=now + draw(st.integers(-45, 25)),
        values=tuple(draw(VALUES) for _ in range(3)),
        categories=(draw(st.one_of(NAMES, NEW, st.just(NOT_NAMED))),),
        segments=(draw(NAMES), draw(NAMES)),
        model=draw(st.sampled_from(["m", "m", "m", "n"])),
        version=draw(st.sampled_from(["1", "1", "2", None])),
        rejected=draw(st.sampled_from([None] * 6 + ["timed", "untimed"])),
        prediction=draw(st.sampled_from([None, "yes", "no"])),
        host=draw(st.sampled_from([None, "h1", "h2", "h3", "other"])),
        gpu_uuid=draw(st.sampled_from([None, "g1", "g2"])),
    )


@st.composite
def logs(draw: st.DrawFn) -> list[RowMessage]:
    """Messages whose times jump, go back and lie ahead."""
    messages, now, offset = [], draw(st.sampled_from([0, 1000, -95])), 0
    has_record_time = draw(st.booleans())
    for _ in range(draw(st.integers(1, 30))):
        now += draw(st.sampled_from([0, 0, 1, 3, 11, 60]))
        offset += draw(st.sampled_from([1, 1, 1, 3]))
        content = tuple(draw(rows(now)) for _ in range(draw(st.sampled_from([0, 1, 1, 2]))))
        messages.append(RowMessage(offset, now if has_record_time and now >= 0 else -1, content))
    return messages


def layouts(tenant: str, model: str, version: str):
    """m has a baseline, then from time 1030 another; n has none."""
    if model == "n":
        return None
    schema = schema_of(PROTOTYPE)
    first = baseline_of(schema, REFERENCE, KNOWN, known=("zz",), categories=("a", "other"))
    second = baseline_of(schema, REFERENCE + 1, KNOWN, profile_id="q", active_from_us=1030)
    return (Layout(schema, first), Layout(schema, second))
