"""The judge of the demo: what counts as found, what as false."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from monitor.cli.demo_text import findings_table
from monitor.demo.faults import BAD_REPLICA, NEW_CATEGORY, UPSTREAM_BUG, Planted
from monitor.demo.score import describe_finding, score_run, summarize_run
from schemas.alerts import Alert, Cause, Incident, Severity, Transition

HOUR = 3_600_000_000
START = 1_451_606_400_000_000
UUID = "GPU-9750aee1-1f2f-5a68-b4eb-c0fff5f6b47d"


def _planted(name: str, hour: int, feature: str, cause: Cause, **more) -> Planted:
    values = {"segment": "*", "share": 0.1, "has_retraining": False} | more
    start = START + hour * HOUR
    return Planted(
        name=name, what=f"{name} planted", feature=feature, cause=cause,
        start_us=start, end_us=start + 6 * HOUR, **values,
    )  # fmt: skip


AGE = _planted(UPSTREAM_BUG, 36, "AGEP", Cause.DATA)
CATEGORY = _planted(NEW_CATEGORY, 47, "MAR", Cause.DATA, has_retraining=True)
REPLICA = _planted(
    BAD_REPLICA, 58, "score", Cause.HARDWARE,
    segment=f"gpu_uuid={UUID}", gpu_uuid=UUID, host="node-12",
)  # fmt: skip
PLANTED = (AGE, CATEGORY, REPLICA)


def _alert(
    name: str,
    hour: float,
    feature: str = "",
    segment: str = "*",
    monitor: str = "drift",
    **more: object,
) -> Alert:
    time = START + int(hour * HOUR)
    values = {"evidence": 14.2, "threshold": 13.1, "effect_where": "unseen",
              "p_reference": 0.0, "p_current": 0.08, "effect_size": 0.08}  # fmt: skip
    return Alert(
        alert_id=name, tenant="default", monitor=monitor, transition=Transition.OPENED,
        severity=Severity.TICKET, time_us=time, opened_at_us=time, sequence=0, title=name,
        feature=feature, segment=segment, **(values | more),
    )  # fmt: skip


def _incident(cause: Cause, *alerts: Alert) -> Incident:
    return Incident(
        incident_id=f"i-{alerts[0].alert_id}", tenant="default", cause=cause,
        severity=Severity.PAGE, opened_at_us=alerts[0].opened_at_us, title=alerts[0].title,
        owner_alert_id=alerts[0].alert_id, alerts=list(alerts),
    )  # fmt: skip


def _right_run() -> list[Incident]:
    gpu = _alert("ecc", 58.01, monitor="gpu", segment="", gpu_uuid=UUID, evidence=None)
    return [
        _incident(Cause.DATA, _alert("age", 38, "AGEP"), _alert("age score", 38, "score")),
        _incident(Cause.DATA, _alert("mar", 49, "MAR"), _alert("mar sex", 50, "MAR", "SEX=1")),
        _incident(
            Cause.HARDWARE, gpu,
            _alert("replica", 60, "score", f"gpu_uuid={UUID}", "replica"),
            _alert("host", 62, "score", "host=node-12", "replica"),
            _alert("score", 63, "score"),
        ),
    ]  # fmt: skip


def test_a_right_run_is_right():
    score = score_run(PLANTED, _right_run(), ["i-mar"])
    assert score.is_right
    assert (score.n_found, score.false_alerts, score.n_retrainings) == (3, (), 1)
    assert [f.n_windows for f in score.findings] == [2.0, 2.0, 2.0]


def test_nothing_said_finds_nothing():
    score = score_run(PLANTED, [])
    assert score.n_found == 0
    assert not score.is_right
    assert summarize_run(score, 1, 1.0, 69)["found"] == 0


FALSE = {
    "an alert before anything was planted": _incident(Cause.DATA, _alert("x", 20, "AGEP")),
    "the fault's own cell too early": _incident(Cause.DATA, _alert("x", 35.9, "AGEP")),
    "a cell nothing was planted in": _incident(Cause.DATA, _alert("x", 38, "ANC")),
    "long after the fault was mended": _incident(Cause.DATA, _alert("x", 46.5, "AGEP")),
    "a symptom with an incident of its own": _incident(Cause.DATA, _alert("x", 39, "score")),
    "a GPU that is well": _incident(
        Cause.HARDWARE, _alert("x", 59, monitor="gpu", segment="", gpu_uuid="GPU-other")
    ),
    "a replica that is well": _incident(
        Cause.MODEL, _alert("x", 60, "score", "gpu_uuid=GPU-other", "replica")
    ),
    "a host that is well": _incident(
        Cause.MODEL, _alert("x", 60, "score", "host=node-11", "replica")
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_alert_is_false(what):
    score = score_run(PLANTED, [*_right_run(), FALSE[what]], ["i-mar"])
    assert [a.alert_id for a in score.false_alerts] == ["x"], what
    assert not score.is_right
    assert score.n_found == 3


def test_a_stranger_inside_a_right_incident_is_false_all_the_same():
    run = _right_run()
    run[0].alerts.append(_alert("x", 39, "ANC"))
    assert [a.alert_id for a in score_run(PLANTED, run, ["i-mar"]).false_alerts] == ["x"]


def test_an_alert_in_no_incident_is_judged_too():
    stray = _alert("x", 12, "ANC")
    score = score_run(PLANTED, _right_run(), ["i-mar"], [stray])
    assert [a.alert_id for a in score.false_alerts] == ["x"]


def test_resolving_is_not_an_alert():
    over = msgspec.structs.replace(_alert("x", 50, "ANC"), transition=Transition.RESOLVED)
    assert not score_run(PLANTED, _right_run(), [], [over]).false_alerts


def test_wrong_cause_is_not_found():
    run = _right_run()
    run[2].cause = Cause.DATA
    score = score_run(PLANTED, run, ["i-mar"])
    assert [f.is_found for f in score.findings] == [True, True, False]


def test_a_gpu_alert_alone_does_not_find_the_bad_scores():
    run = _right_run()
    run[2].alerts = run[2].alerts[:1]
    finding = score_run(PLANTED, run, ["i-mar"]).findings[2]
    assert finding.is_cause_right
    assert not finding.is_found


def test_telling_one_fault_twice_is_not_right():
    again = _incident(Cause.DATA, _alert("again", 40, "AGEP", "SEX=1"))
    score = score_run(PLANTED, [*_right_run(), again], ["i-mar"])
    assert score.findings[0].n_repeats == 1
    assert not score.is_right


RETRAININGS = {
    "the category, as the policy says": (["i-mar"], True),
    "never": ([], False),
    "twice": (["i-mar", "i-mar"], False),
    "for the hardware": (["i-mar", "i-ecc"], False),
    "for the unit of age": (["i-mar", "i-age"], False),
    "for an unknown incident": (["i-mar", "i-other"], False),
}


@pytest.mark.parametrize("asked", RETRAININGS)
def test_retraining_is_judged(asked):
    ids, is_right = RETRAININGS[asked]
    assert score_run(PLANTED, _right_run(), ids).is_right is is_right


def test_json_line_has_the_agreed_keys_and_survives_json():
    score = score_run(PLANTED, [*_right_run(), FALSE["a GPU that is well"]], ["i-mar"])
    line = summarize_run(score, 197_000, 12.345, 69)
    assert json.loads(json.dumps(line)) == line
    agreed = {"events", "seconds", "windows", "planted", "found", "false_alerts", "retrainings"}
    assert agreed | {"alerts"} <= set(line)
    assert (line["planted"], line["found"], line["false_alerts"]) == (3, 3, 1)
    assert [a["planted"] for a in line["alerts"]] == [UPSTREAM_BUG, NEW_CATEGORY, BAD_REPLICA, None]


def test_table_tells_everything_in_words():
    score = score_run(PLANTED, _right_run()[1:], ["i-mar"])
    console = Console(width=200)
    with console.capture() as captured:
        console.print(findings_table(score))
    printed = captured.get()
    for words in ("missed", "windows", "requested", "hardware", "node-12", "unseen"):
        assert words in printed


LONG = (
    structs.replace(AGE, what="AGEP sent in months for 18.2% of the rows"),
    structs.replace(CATEGORY, what="CIT=8, never seen, in 5.5% of the rows"),
    structs.replace(REPLICA, what="scores of node-12 GPU 0 flipped; double-bit ECC errors, XID 48"),
)


@pytest.mark.parametrize("planted", [PLANTED, LONG])
def test_table_fits_a_plain_terminal_without_breaking_words(planted):
    score = score_run(planted, _right_run(), ["i-mar"])
    console = Console(width=80)
    with console.capture() as captured:
        console.print(findings_table(score))
    printed = captured.get()
    assert max(map(len, printed.splitlines())) <= 80
    for finding in score.findings:
        words = describe_finding(finding)
        del words["severity"]
        for word in " ".join([finding.planted.what, *words.values()]).split():
            assert word in printed.split()
    assert {"planted", "evidence", "retraining"} <= set(printed.split())
