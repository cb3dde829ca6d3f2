"""One object of each kind that is written to a topic; every value is fixed."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from monitor.archive.position import ArchivePosition
from monitor.core.drift.canary import CanaryState
from monitor.core.drift.decide import SeriesState
from monitor.core.drift.state import ModelState, SeriesEntry
from monitor.core.drift.windows import VersionState, WindowState
from monitor.core.gpu.clock import HostClock, StreamClock
from monitor.core.gpu.counters import Counter, Recent
from monitor.core.gpu.host_activity import HostSign
from monitor.core.gpu.rules import GpuRules
from monitor.core.gpu.state import Fleet, GpuState, HostState, RulePhase, RuleState, XidHistory
from monitor.core.incidents.alerting import CellState, Closed
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.pipeline_health.silence_state import SilenceState
from monitor.core.pipeline_health.state import PipelineState, SharePool, UnjudgedRun
from monitor.core.windowing.baseline_codec import with_id
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.watermark import NO_WATERMARK, Commit
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.gpu_topic_state import GpuTopicState
from monitor.notify.config_types import model_type, monitor_type
from monitor.notify.delivery.log import LogEntry
from schemas.alerts import (
    Alert,
    Cause,
    Delivery,
    Incident,
    Notification,
    NotificationKind,
    Severity,
    Transition,
)
from schemas.baselines import Baseline, Kind, SeasonalCounts, VariableBaseline
from schemas.config.model import ModelConfig
from schemas.config.monitor import GpuConfig
from schemas.config.parse import parse_model, parse_monitor
from schemas.events import GpuEvent, LabelEvent, PredictionEvent, Reject, RejectReason
from schemas.intake import IntakePane
from schemas.monitors import Monitor
from schemas.panes import ClosedBy, Pane, SeriesId, SeriesStats
from schemas.refused import DeadLetter, LateEvent, dead_letter
from schemas.result_table import ResultColumns, ResultTable
from schemas.results import DetectorResult, Reason, Verdict

MODEL = ("default", "fraud|eu")
NOON_US = 1_700_049_600_000_000
HOUR_US = 3_600_000_000
MODEL_YAML = """
model: fraud
tenant: acme
features:
  age: {kind: numeric, importance: high, range: [0, 120]}
  note.length: {kind: numeric, of: note, derive: length}
  plan: {kind: categorical, importance: low}
positive: "yes"
segments: [region, plan]
slices: {host: false, expected: 8}
protected: [region]
window: {pane: 20s, length: 30m, bound: 7s, lateness: 70s, idle: 40s, max_skew: 6m}
decision: {max_false_pages_per_month: 0.5, eps: 0.03, phi: 2, persistence: 3, min_rows: 50}
pipeline: {max_rejected: 0.1, max_late: 0.2, max_unjudged_windows: 12}
canary: {feature: age, shift: 0.25, every: 50h, within: 6}
columns: {time: at, time_unit: ms, record_time: logged}
verbatim: [plan]
timezone: Europe/Berlin
routes:
  - {severity: [page], cause: [hardware], receivers: [dc]}
  - {receivers: [ml]}
retraining: {url_env: RETRAIN_URL, secret_env: KEY, on: [page, ticket], wait: 5m, cooldown: 2d}
"""
MONITOR_YAML = """
kafka: {bootstrap: "k1:9092,k2:9092", prefix: test., session_timeout: 12s}
store: there
baselines: here
models: ["models/*.yaml"]
receivers:
  dc: {kind: webhook, url_env: DC_URL, secret_env: DC_KEY}
  ml: {kind: slack, token_env: SLACK_TOKEN, channel: C1}
gpu: {interval: 15s, max_skew: 4m, disabled: [gpu_lost], thresholds: {gpu_temp: 88}}
messages: {max_rows: 1000, max_bytes: 2097152, max_letters: 10}
group_wait: 45s
repeat_interval: 8h
"""
SERIES = SeriesId(*MODEL, "2.1", "0f3a" * 6)
OWNER = "ingest-0/7"
SOURCE = "Zx9-topic-id"


def stats(segments: tuple[str, ...], n_variables: int, seed: int = 1) -> SeriesStats:
    """Statistics with a different number in each place; all exact as float64."""
    made = SeriesStats.empty(segments, n_variables)
    for i, name in enumerate(SeriesStats.__dataclass_fields__):
        if name == "segments":
            continue
        array = getattr(made, name)
        numbers = (np.arange(array.size) * 37 + 101 * i + seed) % 1_009
        array[...] = (numbers if array.dtype == np.int64 else numbers / 8).reshape(array.shape)
    return made


def pane() -> Pane:
    """A pane of two segments, three variables, and slices."""
    return Pane(
        SERIES,
        NOON_US,
        NOON_US + 10_000_000,
        SOURCE,
        3,
        OWNER,
        7_000,
        stats(("*", "region=süd|50%"), 3),
        stats(("gpu_uuid=GPU-7", "host=node-2"), 1, seed=5),
    )


def wide_pane() -> Pane:
    """A pane that takes several messages: its counters do not compress."""
    wide = SeriesStats.empty(("*",), 40)
    state = 1
    for place in np.ndindex(*wide.counts.shape):
        state = state * 48_271 % 2_147_483_647
        wide.counts[place] = state
    return replace(pane(), segments=wide)


def shared_panes() -> list[PackedPane]:
    """Panes of one flush: dense, of one row with a decimal and another number, rows only."""
    one_row, slices = SeriesStats.empty(("*", "country=DE"), 3), SeriesStats.empty(("host=h-1",), 1)
    for stats, numbers in ((one_row, (1 / 3, None, 0.25)), (slices, (0.25,))):
        stats.n_rows[:] = stats.n_predicted[:] = 1
        stats.calibration_counts[:, 5], stats.calibration_sums[:, 5] = 1, 0.25
        for v, x in enumerate(numbers):
            stats.counts[:, v, 62 if x is None else 15] = 1
            if x is not None:
                stats.sums[:, v] = stats.minima[:, v] = stats.maxima[:, v] = x
                stats.sums_sq[:, v] = x * x
    first, last = pane(), row_pane()
    middle = replace(first, series=SeriesId(*MODEL, "2", ""), segments=one_row, slices=slices)
    place = {"source": first.source, "partition": first.partition, "owner": first.owner}
    return [
        msgspec.structs.replace(pack_pane(each), **place, pane_version=first.pane_version)
        for each in (first, middle, last)
    ]


def row_pane() -> Pane:
    """A pane of a model without a baseline: rows are counted, nothing else."""
    empty = SeriesStats.empty(("*",), 0)
    empty.n_rows[:] = 5
    series = SeriesId(*MODEL, "", "")
    return Pane(series, NOON_US, NOON_US + 10_000_000, SOURCE, 0, OWNER, 1, empty)


def intake() -> IntakePane:
    """What was rejected and late beside a pane."""
    return IntakePane(
        tenant=MODEL[0], model=MODEL[1], start_us=NOON_US, end_us=NOON_US + 10_000_000,
        source=SOURCE, partition=3, owner=OWNER, pane_version=7_000, n_late=2,
        rejected={"future": 1, "mistyped": 40},
    )  # fmt: skip


def watermarks() -> list[WatermarkMessage]:
    """A watermark, one before any event, and one of an input that has ended."""
    return [
        WatermarkMessage(SOURCE, 3, 4, OWNER, NOON_US),
        WatermarkMessage(SOURCE, 0, 4, OWNER, NO_WATERMARK, is_idle=True),
        WatermarkMessage(SOURCE, 1, 4, OWNER, NOON_US + 5, is_end=True),
    ]


def baseline() -> Baseline:
    """A baseline of a numeric and a categorical feature, and the score."""
    variables = (
        VariableBaseline("age", Kind.NUMERIC, np.array([-0.5, 17.5, 40.25, 99.0])),
        VariableBaseline("plan", Kind.CATEGORICAL, np.empty(0), ("free", "team", "other"), ("x",)),
        VariableBaseline("score", Kind.NUMERIC, np.array([0.0, 0.25, 1.0])),
    )
    segments = ("*", "region=süd|50%")
    made = Baseline(
        "", *MODEL, "2.1", variables, stats(segments, 3, seed=9), np.full((2, 3), 1.25),
        np.full((2, 3), 0.0625), 168, "learned", "yes", NOON_US, "training.parquet",
    )  # fmt: skip
    return with_id(made)


def seasonal_baseline() -> Baseline:
    """The same with counts by the hour of the week."""
    counts = np.zeros((168, 2, 3, 64), np.int32)
    counts[np.arange(168), :, :, np.arange(168) % 64] = 11
    seasonal = SeasonalCounts(
        counts, np.full(168, 4, np.int64), np.array([[True, False, True]] * 2), "Europe/Berlin",
        NOON_US,
    )  # fmt: skip
    return with_id(replace(baseline(), seasonal=seasonal, model_version="", eps_source="default"))


def _alert(name: str, monitor: str, **more: object) -> Alert:
    values: dict[str, object] = {
        "alert_id": f"1b4e28ba-2fa1-11d2-883f-00000000{name}", "tenant": MODEL[0],
        "monitor": monitor, "transition": Transition.OPENED, "severity": Severity.TICKET,
        "time_us": NOON_US + HOUR_US, "opened_at_us": NOON_US + HOUR_US, "sequence": 0,
        "title": f"alert {name}: größer",
    }  # fmt: skip
    return Alert(**(values | more))  # type: ignore[arg-type]


def alerts() -> dict[str, Alert]:
    """An alert of each monitor and transition."""
    window = {"window_start_us": NOON_US, "window_end_us": NOON_US + HOUR_US, "n_windows": 3}
    model = {"model": MODEL[1], "model_version": "2.1", "profile_id": SERIES.profile_id} | window
    drift = _alert(
        "d001", "drift", severity=Severity.PAGE, feature="age", segment="*", importance="high",
        n=5_000, n_reference=80_000, evidence=12.5, threshold=11.25, effect_size=0.1875,
        effect_where="> 40", p_reference=0.25, p_current=0.4375, minimum_detectable_effect=0.03125,
        rung=".125", reference_counts=tuple(range(64)), current_counts=tuple(range(64, 128)),
        bin_labels=("<= 17.5", "> 17.5"), contributions=(("region=süd|50%", 0.75), ("host=n", 0.5)),
        **model,
    )  # fmt: skip
    replica = _alert(
        "4e91", "replica", feature="score", segment="gpu_uuid=GPU-7", host="node-2",
        gpu_uuid="GPU-7", transition=Transition.ESCALATED, sequence=1, **model,
    )  # fmt: skip
    gpu = _alert(
        "79aa", "gpu", severity=Severity.PAGE, host="node-2", gpu_uuid="GPU-7", rule="xid_79",
        action="drain the node",
    )  # fmt: skip
    pipeline = _alert(
        "9199", "pipeline", rule="rejected_events", transition=Transition.RESOLVED, sequence=2,
        severity=Severity.RECORD, **model,
    )  # fmt: skip
    return {"drift": drift, "replica": replica, "gpu": gpu, "pipeline": pipeline}


def results() -> list[DetectorResult]:
    """A verdict, a statistic, and a window without a verdict."""
    decision = DetectorResult(
        tenant=MODEL[0], monitor="drift", model=MODEL[1], model_version="2.1",
        profile_id=SERIES.profile_id, feature="age", segment="*", metric="decision",
        window_us=HOUR_US, start_us=NOON_US, end_us=NOON_US + HOUR_US, statistic=0.1875,
        evidence=12.5, effect_size=0.1875, effect_where="> 40", threshold=11.25, n=5_000,
        n_reference=80_000, minimum_detectable_effect=0.03125, eps=0.0625, phi=1.25,
        rung=".125", verdict=Verdict.DRIFT, reason=Reason.EVIDENCE, closed_by="watermark",
    )  # fmt: skip
    statistic = msgspec.structs.replace(
        decision, monitor="quality", feature="score", metric="psi", rung="",
        verdict=Verdict.NONE, reason=Reason.DESCRIPTIVE, closed_by="idle", p_value=0.5,
        evidence=None, revised=True, result_version=1,
    )  # fmt: skip
    silent = msgspec.structs.replace(
        statistic, statistic=None, verdict=Verdict.NORMAL, reason=Reason.WITHIN_TOLERANCE,
        closed_by="end",
    )  # fmt: skip
    return [decision, statistic, silent]


def result_table() -> ResultTable:
    """Three statistics of two cells; one has no number, one a large count."""
    columns = ResultColumns(
        features=("age", "score"),
        segments=("*", "region=eu"),
        metrics=("psi", "ks"),
        reasons=(Reason.DESCRIPTIVE, Reason.TOO_FEW_SAMPLES),
        feature=np.array([0, 1, 1], np.int32),
        segment=np.array([0, 1, 0], np.int32),
        metric=np.array([0, 0, 1], np.int32),
        reason=np.array([0, 1, 0], np.int32),
        statistic=np.array([0.1875, np.nan, 0.5]),
        p_value=np.array([np.nan, np.nan, 0.25]),
        effect_size=np.array([-0.125, np.nan, 1.0]),
        threshold=np.array([0.1, np.nan, 0.0625]),
        n=np.array([5_000, 12, 70_000]),
        n_reference=np.array([80_000, 80_000, 1 << 33]),
    )
    return ResultTable(
        tenant=MODEL[0], monitor=Monitor.DRIFT, model=MODEL[1], model_version="2.1",
        profile_id=SERIES.profile_id, window_us=HOUR_US, start_us=NOON_US,
        end_us=NOON_US + HOUR_US, closed_by=ClosedBy.WATERMARK, revised=True, columns=columns,
    )  # fmt: skip


def incident() -> Incident:
    """An incident of a replica on a broken GPU."""
    by_monitor = alerts()
    return Incident(
        incident_id="5f0c", tenant=MODEL[0], cause=Cause.HARDWARE, severity=Severity.PAGE,
        opened_at_us=NOON_US, title="GPU 7 on node-2: XID 79",
        owner_alert_id=by_monitor["gpu"].alert_id, alerts=list(by_monitor.values()),
    )  # fmt: skip


def notifications() -> dict[str, LogEntry]:
    """A step of each delivery state; among them a resolution and a retraining."""
    sent = Notification(
        notification_id="a1-b2", dedup_key="driftline/default/5f0c", receiver="oncall",
        kind=NotificationKind.INCIDENT, incident=incident(), time_us=NOON_US + 30_000_000,
        reason="opened",
    )  # fmt: skip
    ended = msgspec.structs.replace(
        sent, notification_id="a1-b3", kind=NotificationKind.RESOLVED, reason="resolved",
        incident=msgspec.structs.replace(incident(), resolved_at_us=NOON_US + 2 * HOUR_US),
    )  # fmt: skip
    retraining = msgspec.structs.replace(
        sent, notification_id="a1-b4", kind=NotificationKind.RETRAINING, receiver="retraining",
        reason="requested", evidence='{"idempotency_key": "a1-b4"}',
    )  # fmt: skip
    return {
        "intent": _step(sent, "intent"),
        "done": _step(ended, "done", attempts=2, detail="1700049600.000100"),
        "failed": _step(retraining, "failed", attempts=3, detail="answered 503"),
        "suppressed": _step(sent, "suppressed", detail="group_wait"),
    }


def _step(notification: Notification, state: str, **more: object) -> LogEntry:
    delivery = Delivery(
        notification_id=notification.notification_id, receiver=notification.receiver, state=state,
        time_us=NOON_US + 31_000_000, **more,
    )  # type: ignore[arg-type]  # fmt: skip
    return LogEntry(notification, delivery)


def letter() -> DeadLetter:
    """A rejected event."""
    reject = Reject(
        message=2, row=1, reason=RejectReason.MISTYPED, detail="features.age is a text",
        payload=b'{"model":"fraud|eu","features":{"age":"x"}}', tenant=MODEL[0], model=MODEL[1],
    )  # fmt: skip
    return dead_letter(reject, source=SOURCE, partition=3, offset=812, record_time_us=NOON_US)


def late_event() -> LateEvent:
    """An event of a pane that was final."""
    return LateEvent(
        source=SOURCE, partition=3, offset=813, row=0, tenant=MODEL[0], model=MODEL[1],
        time_us=NOON_US - HOUR_US, watermark_us=NOON_US,
    )  # fmt: skip


def signs() -> list[HostSign]:
    """Activity of two hosts."""
    return [HostSign("default", "node-2", NOON_US), HostSign("acme", "nœud", NOON_US + 20_000_000)]


def model_state() -> ModelState:
    """The state of a model: windows, one series, pipeline rules."""
    open_cell = CellState(NOON_US, NOON_US - HOUR_US, Severity.PAGE, 3, 1, 2, 5, 8)
    closed_cell = Closed(NOON_US - 9 * HOUR_US, 4)
    series = SeriesState(
        evidence=bytes(range(200)),
        replicas={"host": (("host=node-1", "host=node-2"), bytes(range(64)), [0, 3])},
        open_alerts={"drift|age|*": open_cell},
        closed_alerts={"replica|score|host=node-2": closed_cell},
        n_empty=1,
        canary=CanaryState("age", 12, 3, False, bytes(range(40)), 1),
    )
    return ModelState(
        41,
        WindowState(
            *MODEL, NOON_US, 812, 900, [VersionState("2.1", NOON_US, SERIES.profile_id, 3)]
        ),
        [SeriesEntry(*MODEL, "2.1", SERIES.profile_id, series)],
        [alerts()["drift"], alerts()["replica"]],
        "panes-id",
        PipelineState(
            {"rejected_events": SharePool(40, 1_000, 2, NOON_US)},
            UnjudgedRun(3, 70, NOON_US, "too_few_samples"),
            {"late_events": open_cell},
            {"no_verdict": closed_cell},
        ),
    )


def old_model_state() -> bytes:
    """The body of a state as versions before the pipeline rules wrote it."""
    body = msgspec.to_builtins(model_state(), builtin_types=(bytes,))
    return msgspec.msgpack.encode({k: body[k] for k in ("sequence", "windows", "series", "alerts")})


def fleet() -> Fleet:
    """GPUs and a host with something in every field."""
    rule = RuleState(
        Severity.PAGE, "fallen off the bus", "drain", 0, 60_000_000, True, False, RulePhase.FIRING,
        NOON_US, NOON_US, 1, 2,
    )  # fmt: skip
    gpu = GpuState(
        "GPU-7", "default", "node-2", 7, "550.54", True, NOON_US, NOON_US + 1, NOON_US - 1, True,
        ["gpu_temp"], NOON_US - 9, NOON_US - 8, {"gpu_temp": 81.5},
        {"ecc_dbe_vol_total": Counter(3.0, 2.0, 3.0, 1.0, 1, 2)},
        {"ecc_sbe_vol_total": Recent([NOON_US - 5, NOON_US], [1.0, 2.5])},
        {"hw_thermal": [28_334_160]}, {79: XidHistory([NOON_US], [NOON_US + 5])}, [NOON_US],
        {"xid_79": rule},
    )  # fmt: skip
    host = HostState(
        "default", "node-2", NOON_US, [NOON_US + 20_000_000],
        HostClock([1], [2], NOON_US, 1, 3, 600_000_000), 40_000_000, {"host_lost": rule},
    )  # fmt: skip
    return Fleet(
        {"GPU-7": gpu}, {"default/node-2": host}, {"GPU-3": NOON_US - HOUR_US},
        StreamClock(NOON_US, "node-9", 2), NOON_US + 20_000_000, NOON_US + HOUR_US,
    )  # fmt: skip


def gpu_state() -> GpuTopicState:
    """The state of the GPU rules of one partition."""
    rules = GpuRules(GpuConfig())
    rules.restore(msgspec.msgpack.encode((1, fleet())))
    return GpuTopicState(17, rules.export(), 5_000, NOON_US, [alerts()["gpu"]], "gpu-id")


def silence_state() -> SilenceState:
    """The state of silent source partitions."""
    return SilenceState({f"{SOURCE}|3": (SOURCE, 3, NOON_US)}, [alerts()["pipeline"]])


def commits() -> dict[str, Commit]:
    """Commits of ingest: at the position, before it, and with all that may go with one."""
    at = Commit(900, NOON_US, NOON_US - HOUR_US, 900, SOURCE)
    noted = DeadLetterLimit("driftline.predictions", 3, [MODEL], limit=1)
    for _ in range(2):
        noted.admits(*MODEL, NOON_US)
        noted.admits("default", "unknown", NOON_US)
    before = msgspec.structs.replace(at, offset=812)
    full = msgspec.structs.replace(before, note=noted.note(), clock=(NOON_US - 9, NOON_US - 10))
    return {"ingest": at, "ingest-before": before, "ingest-full": full}


def archive_positions() -> dict[str, ArchivePosition]:
    """Commits of the archive: between ranges, in one, and with chunks that wait."""
    return {
        "archive": ArchivePosition(900),
        "archive-begun": ArchivePosition(812, 900),
        "archive-waiting": ArchivePosition(812, 900, 700),
    }


def events() -> dict[str, PredictionEvent | LabelEvent | GpuEvent]:
    """What producers send."""
    return {
        "prediction": PredictionEvent(
            model=MODEL[1], time_us=NOON_US, id="e-1", model_version="2.1",
            features={"age": 40.5, "plan": "team", "vip": True, "gone": None},
            segments={"region": "süd|50%"}, score=0.75, prediction="yes", host="node-2",
            gpu_uuid="GPU-7",
        ),
        "label": LabelEvent(id="e-1", model=MODEL[1], time_us=NOON_US, label="yes"),
        "gpu": GpuEvent(
            host="node-2", gpu_uuid="GPU-7", time_us=NOON_US, gpu=7, gpu_model="H100",
            driver_version="550.54", fields={"gpu_temp": 81.5, "power": None}, xid=79,
            xid_sequence=4,
        ),
    }  # fmt: skip


def configs() -> dict[str, ModelConfig | GpuConfig]:
    """Configs with every setting: their JSON names a replay, so that it adds nothing twice.

    The rest of ``driftline.yaml`` is in no name, and is written nowhere.
    """
    minimal = "model: m\nfeatures: {a: {kind: numeric}}"
    return {
        "model": parse_model(MODEL_YAML, "fraud.yaml", config=model_type()),
        "model-default": parse_model(minimal, "m.yaml", config=model_type()),
        "gpu": parse_monitor(MONITOR_YAML, "driftline.yaml", monitor_type()).gpu,
    }
