"""How often a decision rule alarms for nothing, and how soon it finds what matters.

Rule 2, the default, judges ticks of five minutes. ``quiet_worst``, ``moving_worst``,
``season_worst``, ``recurring_worst``: incidents a model and month in the worst world of each
group, budget .1; every alert of a cell counts that does not re-open within 48 hours of its
close, except with recurring excursions, where cells that open within two hours are one
incident. ``_upper_95``: end of the exact 95 % Poisson interval of that world,
``_months_a_world``: model-months that it rests on. ``bars_kept``: share of worlds within
their bar. ``planted_met``: share of planted changes whose median delay is within its bar,
found in all features. ``delay_ratio_calibrated``: median over planted changes of our median
delay over that of the fastest of four peers in hourly windows, calibrated to as many false
alarms in the same world. ``reopenings``: alerts that open again, a planted change of a
feature. ``onset_ticks``: median error of the beginning; ``onset_covered``: share of intervals
that hold it. Without ``--json`` tables are printed first. The full run is at least 36
model-months in each of thirty worlds and two models for each of 37 changes, about an hour of
one core; ``benchmarks.quality.records`` takes it in parts.

``--rule 1`` has the figures of the first rule, which judges windows of an hour:
``benchmarks.quality.rule_1``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.output import Figures, main
from benchmarks.quality import rule_1, rule_2
from benchmarks.quality.scale_tables import planted_table, quiet_table

RULES = ("1", "2")


def rule_of(arguments: Sequence[str]) -> int:
    """Return the rule of a command line, 2 by default.

    Examples
    --------
    >>> rule_of(["--json", "--rule", "1"]), rule_of(["--quick"])
    (1, 2)
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--rule", choices=RULES, default=RULES[-1])
    return int(parser.parse_known_args(arguments)[0].rule)


def measure(quick: bool) -> Figures:
    """Measure the rule that was asked for."""
    if rule_of(sys.argv[1:]) == 1:
        return rule_1.measure(quick)
    quiet, planted = rule_2.rates(quick), rule_2.delays(quick)
    if "--json" not in sys.argv:
        print(quiet_table(quiet))
        print(planted_table(planted))
    return rule_2.figures_of(quiet, planted)


if __name__ == "__main__":
    main(
        "false alarms and delays of the decision rules",
        measure,
        (rule_1.WRITE,),
        {"--rule": RULES},
    )
