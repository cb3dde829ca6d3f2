"""``driftline compare``: what differs between two files, or two ranges of one?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DRIFTED = 10
"""Exit code where something drifted; 0 to 5 say how a command ended."""


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
        str, typer.Argument(help="Reference: FILE, or FILE@FROM..TO for a range of its times.")
    ],
    current: Annotated[
        str, typer.Argument(help="Current: likewise, or @FROM..TO of the first file.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="Take columns and kinds from this model file, models/<model>.yaml."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="With a range: the time column, if it is not obvious.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="A column to leave out, such as the label; may be repeated."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=1e-12, max=0.5, help="Familywise level of all tests.")
    ] = 0.05,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE overrides a default threshold; may be repeated."),
    ] = None,
    convention: Annotated[
        Peer | None,
        typer.Option(help="Add the values of this library's implementation; implies --all."),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Print every statistic of every column.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Whether drift sets the exit code.")
    ] = FailOn.DRIFT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, for programs.")
    ] = False,
) -> None:
    """Compare two files column by column: what has drifted, and why.

    Files are tables (Parquet, CSV, Arrow, ORC), JSON events, or folders of such parts, also
    compressed; with --model also a store.
    Kinds of columns are inferred from the reference, unless --model says them. A column
    that only holds row times is not compared: the one of a range, time_us, the only
    timestamp column; --model may declare it as a feature.

    \b
    A variable has drifted if its change is both large and significant:
      - a distance (PSI, Jensen-Shannon, Wasserstein ...) is beyond its threshold, and
      - a test (KS, chi-square ...) is below --alpha, adjusted by Holm for all tests.
    A share of data quality (missing, mistyped, unseen, out_of_range) has, if it changed
    by more than .02 and its own test is significant; a column has, if it is missing. Tests
    assume independent rows: with clustered rows they reject too often.

    \b
    Exit code: 0 nothing drifted (or --fail-on never), 10 something did, 1 failed or
    nothing to compare, 2 wrong command line or config, 3 no rows in a store's range,
    4 files, 5 store.

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
    from monitor.cli.compare_run import CompareRequest, run_compare

    request = CompareRequest(
        reference, current, model, time, tuple(ignore or ()), alpha,
        _thresholds(threshold or []), convention.value if convention else None, html, show_all,
        as_json,
    )  # fmt: skip
    if run_compare(request) and fail_on is FailOn.DRIFT:
        raise typer.Exit(DRIFTED)


def _thresholds(given: list[str]) -> dict[str, float]:
    """Read NAME=VALUE."""
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
