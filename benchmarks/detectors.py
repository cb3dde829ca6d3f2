"""Every kernel against its peer, on the same input in the same run.

Statistics of histograms (:mod:`benchmarks.detectors_histograms`) and sequential detectors
(:mod:`benchmarks.detectors_sequential`): ``ratio_<detector>_<peer>``, and what they rest on.
"""

from __future__ import annotations

from benchmarks import detectors_histograms, detectors_sequential
from benchmarks.output import Figures, main


def measure(quick: bool) -> Figures:
    return {**detectors_histograms.measure(quick), **detectors_sequential.measure(quick)}


if __name__ == "__main__":
    main("detectors against their peers", measure)
