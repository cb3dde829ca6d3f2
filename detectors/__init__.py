"""Statistics and detectors: pure functions of arrays, without input, output or clocks.

Statistics of two histograms, one file each: ``psi``, ``kl``, ``ks``, ``wasserstein``,
``energy``, ``jensen_shannon``, ``hellinger``, ``total_variation``, ``chi_square``,
``l_infinity``, ``shift``, ``cramer_von_mises``, ``anderson_darling``, ``kuiper``,
``mann_whitney``, ``welch_t``, ``quantile_shift``, ``g_test``, ``fisher_exact``,
``two_proportion_z``, ``cramers_v``, ``unseen``. ``registry`` lists them by name, and
``conventions`` gives the number that a peer reports. ``sequential`` holds the detectors
that read a stream value by value. ``histogram`` checks counts and
bins raw samples as the peers do, ``deciles`` joins bins. ``checks`` judges data
quality, ``fairness`` rates of groups. ``evaluate`` applies all of them to a window at
once, and ``decision`` is the rule that decides whether a change is real. ``seasonal``
compares with the same hour of the week, ``contributions`` and ``slice_search`` say where
a change is, and ``multiple_tests`` keeps a list of findings honest. ``text_statistics``,
``vector_statistics`` and ``date_statistics`` make numbers of what is none, and
``heavy_hitters`` counts what is common in bounded memory. ``performance`` measures models by
their labels. ``kernels`` hold what is compiled.

Statistics are taken from their modules, whose names they share::

    from detectors.statistics.psi import psi

Everything else that is for use from outside is here by name, and imported when it is asked
for: a command that only prints its help must not pay for numpy.

>>> from detectors import ADWIN, detector_named
>>> print(f"{detector_named('psi').measure([50, 50], [40, 60]).statistic:.4f}")
0.0405
>>> ADWIN().drift_detected
False
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from schemas.moved import redirect_moved_modules

if TYPE_CHECKING:
    from detectors.conventions import peer_score
    from detectors.decision_rule.decision import Decision, Evidence, Rule, decide, plan_baseline
    from detectors.multiscale.tick_plan import TickPlan
    from detectors.multivariate.registry import MULTIVARIATE
    from detectors.registry import DETECTORS, NAMES, detector_named, detectors_of
    from detectors.sequential.adwin import ADWIN
    from detectors.sequential.bocd import BOCD
    from detectors.sequential.cusum import CUSUM
    from detectors.sequential.ddm import DDM
    from detectors.sequential.eddm import EDDM
    from detectors.sequential.ewma import EWMA
    from detectors.sequential.fhddm import FHDDM
    from detectors.sequential.hddm_a import HDDMA
    from detectors.sequential.hddm_w import HDDMW
    from detectors.sequential.kswin import KSWIN
    from detectors.sequential.page_hinkley import PageHinkley
    from detectors.sequential.rddm import RDDM
    from detectors.sequential.registry import SEQUENTIAL
    from detectors.sequential.shewhart import Shewhart
    from detectors.sequential.stepd import STEPD
    from detectors.statistics.multiple_tests import benjamini_yekutieli, holm

redirect_moved_modules()

_HOMES = {
    "ADWIN": "sequential.adwin",
    "BOCD": "sequential.bocd",
    "CUSUM": "sequential.cusum",
    "DDM": "sequential.ddm",
    "DETECTORS": "registry",
    "Decision": "decision_rule.decision",
    "EDDM": "sequential.eddm",
    "EWMA": "sequential.ewma",
    "Evidence": "decision_rule.decision",
    "FHDDM": "sequential.fhddm",
    "HDDMA": "sequential.hddm_a",
    "HDDMW": "sequential.hddm_w",
    "KSWIN": "sequential.kswin",
    "MULTIVARIATE": "multivariate.registry",
    "NAMES": "registry",
    "PageHinkley": "sequential.page_hinkley",
    "RDDM": "sequential.rddm",
    "Rule": "decision_rule.decision",
    "SEQUENTIAL": "sequential.registry",
    "STEPD": "sequential.stepd",
    "Shewhart": "sequential.shewhart",
    "TickPlan": "multiscale.tick_plan",
    "benjamini_yekutieli": "statistics.multiple_tests",
    "decide": "decision_rule.decision",
    "detector_named": "registry",
    "detectors_of": "registry",
    "holm": "statistics.multiple_tests",
    "peer_score": "conventions",
    "plan_baseline": "decision_rule.decision",
}

__all__ = [
    "ADWIN",
    "BOCD",
    "CUSUM",
    "DDM",
    "DETECTORS",
    "EDDM",
    "EWMA",
    "FHDDM",
    "HDDMA",
    "HDDMW",
    "KSWIN",
    "MULTIVARIATE",
    "NAMES",
    "RDDM",
    "SEQUENTIAL",
    "STEPD",
    "Decision",
    "Evidence",
    "PageHinkley",
    "Rule",
    "Shewhart",
    "TickPlan",
    "benjamini_yekutieli",
    "decide",
    "detector_named",
    "detectors_of",
    "holm",
    "peer_score",
    "plan_baseline",
]


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'detectors' has no attribute {name!r}")
    return getattr(import_module(f"detectors.{_HOMES[name]}"), name)
