"""``driftline baseline``: build, show and publish the reference statistics of a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.baseline_topic import list_published, publish, retire
from monitor.cli.terminal.output import print_json, print_table
from monitor.cli.terminal.time_option import time_option_us
from schemas.spelling import spell_controls

if TYPE_CHECKING:
    from monitor.app.build_baseline import BuildResult, TrafficRange
    from monitor.app.draft_model import DraftModel
    from monitor.core.drift.ticks.least_found import LeastFound
    from schemas.baselines import Baseline
    from schemas.config.model import ModelConfig

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Build, show or publish baselines.

A baseline holds the reference statistics of one model version (bins, categories and counts).
Windows of live traffic are compared with it.

\b
Examples:
  driftline baseline build models/employment.yaml --reference train.parquet
  driftline baseline show
  driftline baseline publish
""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]


@app.command(short_help="Build a baseline from training data or stored traffic.")
def build(
    model: Annotated[Path, typer.Argument(help="Model file, models/<model>.yaml.")],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            "-r",
            metavar="PATH",
            help="Training data: a table or JSON events, a file or a folder; may be repeated.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="STORE",
            help="Instead of --reference: store with the traffic, a folder or an HTTP URL.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="With --store: start of the range, ISO 8601, UTC."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="With --store: end of the range, not included."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Output folder.")
    ] = Path("baselines"),
    model_version: Annotated[
        str,
        typer.Option(
            "--model-version",
            metavar="VERSION",
            help="Model version that the baseline is for; by default all versions.",
        ),
    ] = "",
    active_from: Annotated[
        str | None,
        typer.Option(
            "--active-from",
            metavar="TIME",
            help="Event time from which it is used, ISO 8601, UTC; by default always.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Describe every column and why it has its kind.")
    ] = False,
    write_kinds: Annotated[
        bool, typer.Option("--write-kinds", help="Write inferred kinds into the model file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a baseline from training data, or from stored traffic of a time range.

    Keep the rows in the order in which they were collected. Dependent rows (of one
    household or session) are then adjacent, and their dependence is estimated.

    Kinds (numeric, categorical) that the model file omits are inferred from the columns. If
    the file lists no features, every suitable column becomes a feature. Other commands need
    the kinds in the file; --write-kinds writes them.

    \b
    Exit code: 0 built, 2 the model file, 3 the reference data cannot be used, 4 files,
    5 the store.

    \b
    Examples:
      driftline baseline build models/employment.yaml --reference train.parquet
      driftline baseline build models/new.yaml -r train.parquet --write-kinds
      driftline baseline build models/employment.yaml -r train.parquet --explain
      driftline baseline build models/m.yaml -r jan.csv -r feb.csv --out baselines
      driftline baseline build models/m.yaml --store driftline-store \\
          --since 2026-01-01 --until 2026-02-01
    """
    from functools import partial

    from monitor.app.build_baseline import BuildRequest, build_baseline
    from monitor.cli.terminal.output import print_note
    from monitor.cli.terminal.progress import progress

    request = BuildRequest(
        model,
        _reference(reference, store, since, until),
        out,
        model_version,
        time_option_us(active_from, "--active-from") if active_from else 0,
        explains=explain,
        writes_kinds=write_kinds,
    )
    start_phase = partial(progress, is_quiet=as_json)
    result = build_baseline(request, start_phase=start_phase, on_note=print_note)
    _print_built(result, as_json)


@app.command(short_help="Show a baseline, or list the baselines of a folder.")
def show(
    path: Annotated[
        Path, typer.Argument(help="Baseline (.profile file), or a folder of baselines.")
    ] = Path("baselines"),
    as_json: Json = False,
) -> None:
    """Show a baseline, or list the baselines of a folder.

    \b
    Exit code: 0 shown, 3 there is no baseline or it cannot be read.

    \b
    Examples:
      driftline baseline show
      driftline baseline show baselines/employment-0f3a....profile
      driftline baseline show baselines --json
    """
    from monitor.baseline.baseline_file import baseline_files, load_baseline
    from schemas.errors import BaselineError

    if path.is_file():
        baseline = load_baseline(path)
        _print_baseline(baseline, as_json, has_tolerance=baseline.ticks is None, file=str(path))
        return
    baselines = [(file, load_baseline(file)) for file in baseline_files(path)]
    if not baselines and not as_json:
        raise BaselineError(
            "no baselines here", where=str(path), fix="build one: driftline baseline build --help"
        )
    if as_json:
        print_json({"profiles": [_facts(p) | {"file": str(f)} for f, p in baselines]})
        return
    columns = ("model", "version", "id", "rows", "segments", "active from", "built from")
    print_table(columns, [_row(p) for _, p in baselines])


app.command(short_help="Publish baselines to Kafka, for all stages.")(publish)
app.command("list", short_help="List the published baselines.")(list_published)
app.command(short_help="Withdraw a published baseline.")(retire)


def _reference(
    files: list[Path] | None, store: str | None, since: str | None, until: str | None
) -> tuple[Path, ...] | TrafficRange:
    """Return the reference that the options name: files, or traffic in a store."""
    if bool(files) == bool(store):
        raise typer.BadParameter("give either --reference FILE or --store with --since and --until")
    if files:
        return tuple(files)
    if not since or not until:
        raise typer.BadParameter("--store needs --since and --until")
    from monitor.app.build_baseline import TrafficRange

    since_us, until_us = time_option_us(since, "--since"), time_option_us(until, "--until")
    return TrafficRange(str(store), since_us, until_us, f"{since} to {until}")


def _print_built(result: BuildResult, as_json: bool) -> None:
    """Print the baseline, its traffic, the decisions on kinds, and hints."""
    from monitor.baseline.reference_products import paired_text

    least = _least_found(result)
    more = result.draft.facts() | ({"hints": list(result.hints)} if result.hints else {})
    if least:
        more["detectable"] = [cell._asdict() for cell in least]
    paired = paired_text(result.baseline, result.config)
    if paired:
        more["correlations"] = paired
    replaced = [str(path) for path in result.replaced]
    more |= {"file": str(result.file), "replaced": replaced}
    has_tolerance = result.config.decision.rule == 1
    _print_baseline(result.baseline, as_json, has_tolerance=has_tolerance, **more)
    if as_json:
        return
    _print_traffic(result.baseline, result.config)
    if least:
        typer.echo("found within a day, the least first:")
    for cell in least:
        typer.echo(f"  {cell.text()}")
    if paired:
        typer.echo(f"correlations {paired}")
    _print_kinds(result.draft)
    for hint in result.hints:
        typer.echo(hint)


def _least_found(result: BuildResult) -> list[LeastFound]:
    """Return the cells in which only large shifts would be found; none under rule 1."""
    if result.baseline.ticks is None:
        return []
    from monitor.core.drift.ticks.cells import ScaleCells
    from monitor.core.drift.ticks.least_found import least_found

    return least_found(ScaleCells.of(result.config, result.baseline))


def _print_kinds(draft: DraftModel) -> None:
    """Print the decisions on columns, and the remaining steps."""
    from monitor.baseline.kind_lines import feature_lines

    if draft.decisions:
        rows = [(d.name, str(d.shape), d.kind or "", d.reason) for d in draft.decisions]
        print_table(("column", "looks like", "kind", "why"), rows)
    if draft.is_written:
        typer.echo(f"{len(draft.kinds)} kinds written into {draft.file}")
    elif draft.kinds:
        typer.echo(
            f"{draft.file} names no kind for these; other commands need them there "
            "(--write-kinds does it):"
        )
        typer.echo("\n".join(["features:", *feature_lines(draft.kinds)]))
    if draft.kinds and not draft.lists_features:
        typer.echo("every column is a feature now: remove the label, if it is one of them")


def _print_baseline(baseline: Baseline, as_json: bool, *, has_tolerance: bool, **more: Any) -> None:
    """Print the baseline by variable and segment, and the tolerance that rule 1 has."""
    from monitor.baseline.description import describe_segments, describe_variables, ticks_text

    variables = describe_variables(baseline)
    if as_json:
        print_json(_facts(baseline) | more | {"variables": [asdict(v) for v in variables]})
        return
    rows = [
        (v.name, v.kind, v.n_bins, f"{100 * v.missing_share:.2g} %", f"{v.phi:.2f}", v.note)
        for v in variables
    ]
    print_table(("feature", "kind", "bins", "missing", "phi", "note"), rows)
    segments = describe_segments(baseline)
    if segments:
        print_table(("segment", "rows", "note"), segments)
    facts = _facts(baseline)
    eps = (
        f"learned from {baseline.n_reference_windows} windows"
        if baseline.eps_source == "learned"
        else f"the default (168 windows of 1,000 rows would teach it; here are "
        f"{baseline.n_reference_windows} windows)"
    )
    model = spell_controls(facts["model"])
    typer.echo(f"baseline {facts['profile_id']} of {model}: {facts['n_rows']:,} rows")
    if has_tolerance:
        typer.echo(f"tolerance: {eps}")
    if baseline.ticks is not None:
        typer.echo(f"movement: {ticks_text(baseline.ticks)}")
    if more.get("replaced"):
        typer.echo(f"replaced: {', '.join(more['replaced'])}")
    typer.echo(f"file: {more['file']}")


def _print_traffic(baseline: Baseline, config: ModelConfig) -> None:
    """Print the reference's rows per window, and under rule 1 the minimum for a verdict."""
    from monitor.baseline.description import rows_per_window
    from monitor.core.windowing.window_length import is_thin, length_advice, traffic_text
    from schemas.config.values import format_duration

    window, min_rows = config.window, config.decision.min_rows
    rows = rows_per_window(baseline)
    is_rule_1 = config.decision.rule == 1
    if rows is None:
        needed = f"; a verdict needs {min_rows} rows a window" if is_rule_1 else ""
        typer.echo(f"traffic: unknown, the reference has no times{needed}")
        return
    if not is_rule_1:
        length = format_duration(window.length_us)
        typer.echo(f"traffic: {rows:,.0f} rows a window of {length}")
        return
    typer.echo(f"traffic: {traffic_text(rows, window.length_us, min_rows)}")
    if is_thin(rows, min_rows):
        typer.echo(f"  -> {length_advice(rows, window.length_us, min_rows, window.pane_us)}")


def _facts(baseline: Baseline) -> dict[str, Any]:
    """Return the facts of a baseline for one line."""
    return {
        "profile_id": baseline.profile_id,
        "tenant": baseline.tenant,
        "model": baseline.model,
        "model_version": baseline.model_version,
        "n_rows": int(baseline.reference.n_rows[0]),
        "n_segments": len(baseline.reference.segments),
        "n_reference_windows": baseline.n_reference_windows,
        "eps_source": baseline.eps_source,
        "active_from_us": baseline.active_from_us,
        "created_from": baseline.created_from,
    }


def _row(baseline: Baseline) -> tuple[Any, ...]:
    """Return one row of the list of baselines."""
    from schemas.time_text import minute_text

    facts = _facts(baseline)
    active = minute_text(baseline.active_from_us) if baseline.active_from_us else "always"
    version = baseline.model_version or "all"
    n_rows, n_segments = facts["n_rows"], facts["n_segments"]
    source = baseline.created_from
    return (baseline.model, version, baseline.profile_id, n_rows, n_segments, active, source)
