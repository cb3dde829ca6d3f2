"""``driftline compare``: which columns drifted between two files, or two ranges of one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DRIFTED = 10
"""Exit code if at least one column drifted; 0 to 5 have the same meaning in all commands."""


class FailOn(StrEnum):
    """When the exit code is 10."""

    DRIFT = "drift"
    NEVER = "never"


class Peer(StrEnum):
    """Library whose values are added."""

    EVIDENTLY = "evidently"
    NANNYML = "nannyml"
    SCIPY = "scipy"


def run(
    reference: Annotated[
        str,
        typer.Argument(
            help="Reference data: FILE, or FILE@FROM..TO for a time range. FROM and TO are ISO "
            "8601, UTC; TO is not included; either may be omitted."
        ),
    ],
    current: Annotated[
        str,
        typer.Argument(
            help="Current data: likewise, or @FROM..TO for a range of the reference file."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Model file (models/<model>.yaml) with the columns and kinds."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Time column of a range, if there are several candidates."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Column to leave out, such as the label; may be repeated."
        ),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(
            metavar="ALPHA", min=1e-12, max=0.5, help="Familywise significance level of all tests."
        ),
    ] = 0.05,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Override a default threshold, e.g. psi=0.25; may be repeated.",
        ),
    ] = None,
    convention: Annotated[
        Peer | None,
        typer.Option(help="Add the values as this library computes them; implies --all."),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Print every statistic of every column.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report to this file.")
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="When to exit with code 10.")] = FailOn.DRIFT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON.")
    ] = False,
) -> None:
    """Compare two files column by column: which columns drifted, and why.

    Files are tables (Parquet, CSV, Arrow, ORC), JSON events, or folders of them, also
    compressed. With --model, a store (folder or HTTP URL) can be compared too. Without
    --model, the kinds of columns are inferred from the reference.

    A time column is not compared: the one used for the range, time_us, or the only
    timestamp column. List it as a feature in the model file to compare it.

    \b
    A column has drifted if its change is both large and significant:
      - a distance (PSI, Jensen-Shannon, Wasserstein ...) exceeds its threshold, and
      - the p-value of a test (KS, chi-square ...), Holm-adjusted for all tests, is below
        --alpha.
    A quality share (missing, mistyped, unseen, out_of_range) has drifted if it changed by
    more than 0.02 and its test is significant. A column that is missing in the current data
    has drifted. Tests assume independent rows; with clustered rows they reject too often.

    \b
    Exit code: 0 nothing drifted (or --fail-on never), 10 something did, 1 failed or
    nothing to compare, 2 wrong command line or config, 3 no rows in a store's range,
    4 files, 5 the store.

    \b
    Examples:
      driftline compare train.parquet may.csv
      driftline compare train.parquet may.csv --ignore label --html drift.html
      driftline compare all.parquet@2016-01-01..2016-02-01 @2016-02-01..2016-03-01
      driftline compare a.parquet b.parquet --threshold psi=0.25 --threshold missing=0.05
      driftline compare a.parquet b.parquet --convention evidently --fail-on never
      driftline compare driftline-store@..2016-02-01 @2016-02-01.. --model models/m.yaml
      driftline compare train.parquet may/ --all
      driftline compare a.jsonl b.jsonl --json | jq .drifted
    """
    from functools import partial

    from monitor.app.compare import CompareRequest, run_compare
    from monitor.cli.compare_sides import sides_of
    from monitor.cli.compare_text import print_result
    from monitor.cli.terminal.output import print_json, print_note
    from monitor.cli.terminal.progress import progress

    thresholds = _thresholds(threshold or [])
    request = CompareRequest(
        *sides_of(reference, current), model, time, tuple(ignore or ()), alpha, thresholds,
        convention.value if convention else None, html,
    )  # fmt: skip
    start_phase = partial(progress, is_quiet=as_json)
    result = run_compare(request, start_phase=start_phase, on_note=print_note)
    if as_json:
        print_json(result.as_document())
    else:
        print_result(result, has_all=show_all or convention is not None, page=html)
    if result.has_drifted and fail_on is FailOn.DRIFT:
        raise typer.Exit(DRIFTED)


def _thresholds(given: list[str]) -> dict[str, float]:
    """Parse NAME=VALUE options."""
    from monitor.compare.comparison import threshold_names

    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in threshold_names():
            from difflib import get_close_matches

            near = get_close_matches(name, threshold_names(), n=1)
            known = f"did you mean {near[0]}?" if near else f"use {', '.join(threshold_names())}"
            raise typer.BadParameter(f"--threshold {text}: there is no {name!r}; {known}")
        try:
            found[name] = float(value)
        except ValueError:
            raise typer.BadParameter(
                f"--threshold {text}: write NAME=VALUE, e.g. {name}=0.1"
            ) from None
        if not 0 <= found[name] < float("inf"):
            raise typer.BadParameter(f"--threshold {text}: the value must be at least 0")
    return found
