"""Laws of the sequential detectors: splitting, saving, gaps, dtypes, refusals, threads."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from detectors.sequential.shewhart import Shewhart
from detectors.sequential.stepd import STEPD
from schemas.errors import DomainError, ShapeError
from tests.support.sequential import MEMBERS, Member, one_by_one, stream

each = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
picky = pytest.mark.parametrize(
    "member", [m for m in MEMBERS.values() if m.takes != "numbers"], ids=lambda m: m.cls.__name__
)
seeds = st.integers(0, 2**32 - 1)


def new(member: Member):
    return member.cls(**member.parameters)


def same_state(a: dict, b: dict) -> bool:
    """Floats bit by bit: a detector that went another way would differ in the last one."""
    plain = [{k: v for k, v in s.items() if k != "state"} for s in (a, b)]
    return plain[0] == plain[1] and a["state"].tobytes() == b["state"].tobytes()


@each
def test_every_detector_finds_the_changes_of_its_stream(member: Member) -> None:
    """Otherwise the laws below would hold of detectors that never signal."""
    values = stream(member.takes, 0)
    found = member.batch(values, **member.parameters)
    assert found.drifts.size > 0
    assert (np.diff(found.drifts) > 0).all()
    assert (found.warnings.size > 0) == hasattr(new(member), "warning_detected")


@each
@given(seed=seeds, cuts=st.lists(st.integers(0, 900), max_size=4), n=st.integers(0, 900))
@settings(deadline=None, max_examples=15)
def test_a_stream_cut_and_saved_anywhere_gives_what_the_whole_gives(
    member: Member, seed: int, cuts: list[int], n: int
) -> None:
    values = stream(member.takes, seed, n)
    whole = member.batch(values, **member.parameters)
    detector, drifts, warnings = new(member), [], []
    for part in np.split(np.arange(n), sorted(min(c, n) for c in cuts)):
        found = detector.run(values[part])
        drifts += part[found.drifts].tolist()
        warnings += part[found.warnings].tolist()
        detector = member.cls.from_state(pickle.loads(pickle.dumps(found.state)))
    assert drifts == whole.drifts.tolist()
    assert warnings == whole.warnings.tolist()
    assert same_state(detector.state(), whole.state)


@each
@given(seed=seeds)
@settings(deadline=None, max_examples=5)
def test_one_by_one_is_the_array(member: Member, seed: int) -> None:
    values = stream(member.takes, seed)
    whole = member.batch(values, **member.parameters)
    detector = new(member)
    drifts, warnings = one_by_one(detector, values.tolist())
    assert drifts == whole.drifts.tolist()
    assert warnings == whole.warnings.tolist()
    assert same_state(detector.state(), whole.state)


@each
@given(seed=seeds, share=st.sampled_from([0.01, 0.3, 1.0]))
@settings(deadline=None, max_examples=10)
def test_missing_values_are_skipped_and_counted(member: Member, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = stream(member.takes, seed)
    is_gone = rng.random(len(values)) < share
    gapped = values.copy()
    gapped[is_gone] = rng.choice([np.nan, np.inf, -np.inf], is_gone.sum())
    places = np.flatnonzero(~is_gone)
    expected = member.batch(values[places], **member.parameters)
    detector = new(member)
    found = detector.run(gapped)
    assert found.drifts.tolist() == places[expected.drifts].tolist()
    assert found.warnings.tolist() == places[expected.warnings].tolist()
    assert detector.n_missing == is_gone.sum()
    other = new(member)
    assert one_by_one(other, gapped.tolist()) == (found.drifts.tolist(), found.warnings.tolist())
    assert same_state(other.state(), found.state)


@each
def test_after_a_missing_value_nothing_is_signalled(member: Member) -> None:
    detector, values = new(member), stream(member.takes, 0)
    first = int(detector.run(values).drifts[0])
    detector = new(member)
    detector.run(values[: first + 1])
    assert detector.drift_detected
    detector.update(np.nan)
    assert not detector.drift_detected


@each
def test_other_dtypes_and_layouts_are_the_same_numbers(member: Member) -> None:
    values = stream(member.takes, 3)
    if member.takes == "numbers":
        values = np.round(values * 8) + 0.0  # no -0, which integers have not
    whole = member.batch(values, **member.parameters)
    frozen = values.copy()
    frozen.flags.writeable = False
    forms = [values.astype(np.float32), values.astype(np.int64), values.tolist(), frozen]
    forms += [np.repeat(values, 2)[::2], values.astype(">f8"), values.astype(np.int8)]
    if member.takes != "numbers":
        forms.append(values.astype(bool))
    for form in forms:
        found = member.batch(form, **member.parameters)
        assert found.drifts.tolist() == whole.drifts.tolist()
        assert same_state(found.state, whole.state)


@each
def test_input_is_not_written_to_and_not_held(member: Member) -> None:
    """Kernels without reference counts must neither keep an array nor let go of one."""
    values = stream(member.takes, 4)
    before, n_references = values.copy(), sys.getrefcount(values)
    for _ in range(3):
        member.batch(values, **member.parameters)
    assert values.tobytes() == before.tobytes()
    assert sys.getrefcount(values) == n_references


@each
def test_a_constant_stream_never_alarms(member: Member) -> None:
    """BOCD's prior has the value: its model has a mean."""
    values = [0.0, 1.0, 0.1, -3.7, 1e-300, 12345.678]
    for value in values if member.takes == "numbers" else values[:2]:
        parameters = dict(member.parameters)
        if member.cls is BOCD:
            parameters["mean"] = value
        assert member.batch(np.full(3000, value), **parameters).drifts.size == 0


@each
def test_nothing_and_a_single_value_are_streams_too(member: Member) -> None:
    for values in ([], [1.0], [np.nan]):
        found = member.batch(values, **member.parameters)
        assert found.drifts.tolist() == []
        assert found.warnings.tolist() == []


@each
def test_separate_detectors_share_nothing(member: Member) -> None:
    """Eight threads at once, each with its own stream."""
    streams = [stream(member.takes, seed, 3000) for seed in range(8)]
    alone = [member.batch(s, **member.parameters) for s in streams]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda s: member.batch(s, **member.parameters), streams))
    for a, b in zip(alone, together, strict=True):
        assert same_state(a.state, b.state)
        assert a.drifts.tolist() == b.drifts.tolist()


@each
def test_a_saved_state_does_not_change_with_the_detector(member: Member) -> None:
    values = stream(member.takes, 6)
    detector = new(member)
    saved = detector.run(values[:450]).state
    kept = pickle.loads(pickle.dumps(saved))
    detector.run(values[450:])
    assert same_state(saved, kept)
    restored = member.cls.from_state(saved)
    restored.run(values[450:])
    assert same_state(saved, kept)
    assert same_state(restored.state(), detector.state())


@each
def test_a_state_is_refused_by_another_detector_and_in_another_shape(member: Member) -> None:
    saved = new(member).state()
    other = DDM if member.cls is not DDM else ADWIN
    with pytest.raises(DomainError, match=member.cls.__name__):
        other.from_state(saved)
    with pytest.raises(ShapeError, match="shape"):
        member.cls.from_state({**saved, "state": saved["state"][:-1]})


@each
def test_what_is_no_stream_of_numbers_is_refused(member: Member) -> None:
    for values in ([[0.0, 1.0]], 1.0, ["0", "1"], [1j], [None, 1.0]):
        with pytest.raises(ShapeError):
            member.batch(values, **member.parameters)


@picky
def test_values_that_are_neither_errors_nor_hits_are_refused(member: Member) -> None:
    refused = [-0.1, 1.5] if member.cls in (DDM, HDDMA, HDDMW) else [-0.1, 1.5, 0.5]
    for value in refused:
        detector = new(member)
        for take in (detector.update, lambda x, d=detector: d.run([0.0, np.nan, x, 1.0])):
            with pytest.raises(DomainError, match=str(value)):
                take(value)
        assert same_state(detector.state(), new(member).state())


REFUSED = [
    (ADWIN, {"delta": 0.0}),
    (ADWIN, {"delta": float("nan")}),
    (ADWIN, {"clock": 0}),
    (ADWIN, {"max_buckets": 1}),
    (ADWIN, {"min_window_length": 0}),
    (ADWIN, {"grace_period": 0}),
    (PageHinkley, {"min_instances": 0}),
    (PageHinkley, {"delta": -1.0}),
    (PageHinkley, {"threshold": 0.0}),
    (PageHinkley, {"alpha": 1.1}),
    (PageHinkley, {"mode": "sideways"}),
    (KSWIN, {"alpha": 1.5}),
    (KSWIN, {"stat_size": 0}),
    (KSWIN, {"window_size": 59}),
    (KSWIN, {"window": [1.0, float("nan")]}),
    (CUSUM, {"slack": -0.1}),
    (CUSUM, {"threshold": 0.0}),
    (CUSUM, {"min_instances": 1}),
    (CUSUM, {"mean": 1.0}),
    (CUSUM, {"sd": 1.0}),
    (CUSUM, {"mode": ""}),
    (EWMA, {"lambda_": 0.0}),
    (EWMA, {"threshold": -1.0}),
    (EWMA, {"mean": 0.0, "sd": 0.0}),
    (Shewhart, {"k": 0.0}),
    (Shewhart, {"mean": float("inf"), "sd": 1.0}),
    (BOCD, {"hazard": 1.0}),
    (BOCD, {"mean": float("nan")}),
    (BOCD, {"kappa": 0.0}),
    (BOCD, {"alpha": -1.0}),
    (BOCD, {"beta": 0.0}),
    (BOCD, {"threshold": 0.001}),
    (BOCD, {"negligible": 0.1}),
    (BOCD, {"max_runs": 1}),
    (DDM, {"warm_start": -1}),
    (DDM, {"drift_threshold": 0.0}),
    (DDM, {"warning_threshold": float("nan")}),
    (EDDM, {"warm_start": -1}),
    (EDDM, {"alpha": 0.5}),
    (EDDM, {"beta": 0.0}),
    (HDDMA, {"drift_confidence": 0.0}),
    (HDDMA, {"warning_confidence": 1.0}),
    (HDDMW, {"drift_confidence": 2.0}),
    (HDDMW, {"lambda_val": 0.0}),
    (STEPD, {"window_size": 0}),
    (STEPD, {"alpha_drift": 0.0}),
    (STEPD, {"alpha_warning": 1.0}),
    (RDDM, {"warm_start": 0}),
    (RDDM, {"buffer_size": 0}),
    (RDDM, {"warning_threshold": 0.0}),
    (RDDM, {"drift_threshold": 1.0}),
    (FHDDM, {"sliding_window_size": 0}),
    (FHDDM, {"confidence_level": 0.0}),
    (FHDDM, {"short_window_size": 0}),
    (FHDDM, {"short_window_size": 101}),
]


@pytest.mark.parametrize(("cls", "parameters"), REFUSED)
def test_parameters_outside_their_domain_are_refused_by_name(cls: type, parameters: dict) -> None:
    with pytest.raises(DomainError, match=next(iter(parameters))):
        cls(**parameters)


@each
def test_parameters_cannot_be_changed_under_the_detector(member: Member) -> None:
    detector = new(member)
    with pytest.raises(TypeError):
        detector.parameters["alpha"] = 1.0
    with pytest.raises(AttributeError):
        detector.alpha = 1.0


def test_kswin_without_a_seed_goes_on_with_the_same_draws_after_saving() -> None:
    values = stream("numbers", 1)
    detector = KSWIN()
    detector.run(values[:300])
    twin = KSWIN.from_state(detector.state())
    assert detector.run(values[300:]).drifts.tolist() == twin.run(values[300:]).drifts.tolist()
    assert same_state(detector.state(), twin.state())


def test_kswin_without_a_seed_draws_differently_each_time() -> None:
    generators = {KSWIN().state()["state"].tobytes() for _ in range(4)}
    assert len(generators) == 4


PLAIN = """
import json
import numpy as np
from tests.support.sequential import MEMBERS, stream

said = {}
for name, member in MEMBERS.items():
    found = member.batch(stream(member.takes, 2, 450), **member.parameters)
    state = found.state["state"].tolist()
    said[name] = [found.drifts.tolist(), found.warnings.tolist(), state]
print(json.dumps(said))
"""


def test_compiled_kernels_do_what_the_same_python_does() -> None:
    outputs = []
    for off in ("0", "1"):
        answer = subprocess.run(
            [sys.executable, "-W", "error", "-c", PLAIN],
            env={**os.environ, "NUMBA_DISABLE_JIT": off},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        outputs.append(json.loads(answer.stdout))
    compiled, plain = outputs
    for name, (drifts, warnings, state) in compiled.items():
        assert drifts
        assert [drifts, warnings] == plain[name][:2], name
        # libm's exp and log differ from LLVM's in the last bit, which only BOCD carries on
        assert state == pytest.approx(plain[name][2], rel=1e-9, nan_ok=True), name
