"""The multi-scale rule against recorded figures of an independent prototype.

``tests/data/multiscale_prototype.npz`` has ticks of three small models (sessions, days that
differ, a season), each with a change, and what the prototype of decision rule 2 made of them;
``tests/data/README.md`` says how it was recorded. The prototype keeps its state in float64, and
closes an alert by the scales that are due in a tick, so that it opens again two ticks later;
the kernel evaluates all scales before it closes one. From the prototype's first close on, they
are not compared. While a scale is young the kernel believes in at least the movement of the whole
cell, and sums it up for the cell of products too, the last one; so its margins are the
prototype's, or lower.
"""

from __future__ import annotations

import numpy as np
import pytest

from detectors.kernels import scale_state as at
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.rule import ScaleRule, judge, learn_reference
from detectors.multiscale.state import ScaleState
from tests.support.repository import ROOT

RECORDED = ROOT / "tests" / "data" / "multiscale_prototype.npz"
UNIT = 2.0**-20


class Case:
    """One recorded model: its plan, and its ticks as sums of components."""

    def __init__(self, name: str) -> None:
        with np.load(RECORDED) as recorded:
            own = {k.split(".")[1]: recorded[k] for k in recorded if k.startswith(f"{name}.")}
        self.of, n = own, len(own["kind"])
        cell = np.repeat(np.arange(len(own["jn"])), own["jn"])
        self.plan = ScalePlan(
            offsets=np.concatenate(([0], np.cumsum(own["jn"]))),
            constants=np.stack(
                [*(own[k] for k in ("p0", "pq", "gmax", "pc", "nuseas")), np.ones(n)], axis=1
            ),
            codes=np.stack(
                [own["kind"] == 1, own["pa"], own["pb"], cell, own["isseas"]], axis=1
            ).astype(np.int64),
            references=np.stack(
                [own["n0"], own["href"], np.full(len(own["jn"]), 0.05), own["phi_ref"]], axis=1
            ),
            season=own["season"],
        )
        assert self.plan.n_components == n
        self.rule = ScaleRule.of(
            int(own["n_components"]), tick_us=int(own["tick_min"]) * 60_000_000
        )

    def sums(self, shares: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Components of ticks: recorded counts, polynomials of their groups, products."""
        found, begin, row = [], 0, 0
        for g in self.of["n_groups"].tolist():
            own = shares[:, begin : begin + g + 3].astype(np.float64)
            found += [own, own[:, :g] @ self.of["basis"][row : row + 4].T]
            begin, row = begin + g + 3, row + 4
        return np.concatenate([*found, products * UNIT], axis=1)

    def ticks(self, before: str = ""):
        """Return sums (T, I), rows (T, C) and slots of the stream, or of its reference."""
        sums = self.sums(self.of[f"{before}shares"], self.of[f"{before}products"])
        rows = np.repeat(self.of[f"{before}rows"][:, None], self.plan.n_cells, axis=1)
        return sums, rows.astype(np.float64), self.of[f"{before}slots"].astype(np.int64)


@pytest.mark.parametrize("name", ["sessions", "days", "season"])
def test_alerts_and_what_was_learned_are_those_of_the_prototype(name):
    case = Case(name)
    state, events = ScaleState.start(case.plan), []
    if "ref_shares" in case.of:
        learn_reference(case.plan, case.rule, state, *case.ticks("ref_"))
    margins = []
    theirs = case.of["events"]
    n_ticks = len(case.of["margin"])
    n_same = int(min(theirs[theirs[:, 6] == -1, 0], default=n_ticks))
    for t, (sums, rows, slot) in enumerate(zip(*case.ticks(), strict=True)):
        found = judge(case.plan, case.rule, state, sums, rows, int(slot))
        margins.append(found.margin)
        for c in np.flatnonzero(found.has_opened | found.has_closed):
            if found.has_closed[c]:
                events.append((t, c, 0, 0, 0, 0, -1, 0))
                continue
            names = ("component", "scale", "evidence", "change")
            own = (getattr(found, k)[c] for k in names)
            events.append((t, c, *own, 1, found.context[c]))
    own = np.array([event for event in events if event[0] < n_same])
    np.testing.assert_allclose(own, theirs[theirs[:, 0] < n_same], rtol=2e-3, atol=1e-6)
    theirs = np.where(case.of["margin"] < -1e8, -np.inf, case.of["margin"])
    margins, theirs = np.array(margins[:n_same]), theirs[:n_same]
    is_same = np.isclose(margins, theirs, rtol=2e-3, atol=2e-3)
    assert (margins <= theirs)[~is_same].all()
    assert is_same[np.isfinite(theirs)].mean() > 0.9
    if n_same < n_ticks:
        assert not [event for event in events if event[6] == -1 and event[0] < n_same + 12]
        return
    components = state.components
    for column, theirs_of in (
        (components[:, at.SUM : at.SUM + 6], "S"),
        (components[:, at.EXCESS : at.EXCESS + 6], "A"),
        (components[:, at.PHI_SUM], "rr"),
        (components[:, at.CORRECTION], "bias"),
        (components[:, at.UNEXPLAINED], "vbias"),
        (state.scales[:, :, at.WEIGHT], "W"),
        (state.scales[:, :, at.SAMPLES], "B"),
        (state.scales[:-1, :, at.INFLATION], "PI"),
    ):
        expected = case.of[theirs_of][: len(column)]
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(column, expected, rtol=2e-3, atol=atol, err_msg=theirs_of)
