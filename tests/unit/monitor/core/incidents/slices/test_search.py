"""The slices that carry a change are named, with their parts of it; chance is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from monitor.core.incidents.slices.attributes import RARE
from monitor.core.incidents.slices.incident_hint import incident_hint, last_hints
from monitor.core.incidents.slices.row_set import is_missing
from monitor.core.incidents.slices.sample import RawSample
from monitor.core.incidents.slices.search import LEVEL, explain_change
from monitor.core.incidents.slices.text import REASONS, hint_text
from schemas.alerts import Cause, Incident, Severity
from schemas.slice_hints import HintKind, HintReason, HintSlice, SliceHint
from tests.unit.monitor.core.incidents.slices.test_row_set import alert


def choice(rng: np.random.Generator, values: list, n: int, p: list | None = None) -> np.ndarray:
    found = np.empty(n, object)
    found[:] = [values[i] for i in rng.choice(len(values), n, p=p)]
    return found


def sample(rng: np.random.Generator, n: int, p_missing: float = 0.02) -> RawSample:
    values = np.where(rng.random(n) < p_missing, np.nan, rng.normal(size=n))
    attributes = {
        "country": choice(rng, ["DE", "FR", "US", None], n, [0.3, 0.3, 0.3, 0.1]),
        "device": choice(rng, ["tv", "web", "ios"], n, [0.15, 0.5, 0.35]),
        "flag": choice(rng, [0.0, 1.0], n),
        "amount": choice(rng, list(range(50)), n).astype(float).astype(object),
        "user": choice(rng, [f"u{i}" for i in range(5_000)], n),
    }
    return RawSample(values, attributes)


def lose(rng: np.random.Generator, side: RawSample, is_lost: np.ndarray, share: float) -> RawSample:
    lost = is_lost & (rng.random(len(side)) < share)
    return RawSample(np.where(lost, np.nan, side.values), side.attributes)


def test_the_planted_pair_is_named_with_its_part_of_change_and_rows():
    rng = np.random.default_rng(1)
    before, since = sample(rng, 20_000), sample(rng, 20_000)
    planted = (since.attributes["country"] == "DE") & (since.attributes["device"] == "tv")
    since = lose(rng, since, planted, 0.6)
    found = explain_change(before, since, is_missing)
    assert found.reason is HintReason.FOUND
    (one,) = found.slices
    assert one.name == "country=DE and device=tv"
    assert one.change_share == pytest.approx(1, abs=0.1)
    assert one.row_share == pytest.approx(planted.mean())
    assert one.p_since == pytest.approx(0.6, abs=0.05)
    assert found.left_out == ("amount",)


def test_a_part_of_the_change_elsewhere_lowers_the_share_of_the_slice():
    rng = np.random.default_rng(2)
    before, since = sample(rng, 20_000), sample(rng, 20_000)
    since = lose(rng, since, since.attributes["device"] == "tv", 0.5)
    since = lose(rng, since, np.ones(20_000, np.bool_), 0.03)
    first = explain_change(before, since, is_missing).slices[0]
    assert first.name == "device=tv"
    assert first.change_share == pytest.approx(0.75, abs=0.08)


def test_a_value_that_is_new_and_carries_the_change_is_named():
    rng = np.random.default_rng(3)
    before, since = sample(rng, 5_000), sample(rng, 5_000)
    version = {"app": choice(rng, ["3.1"], 5_000)}
    before = RawSample(before.values, before.attributes | version)
    version = {"app": choice(rng, ["3.1", "3.2"], 5_000, [0.9, 0.1])}
    since = RawSample(since.values, since.attributes | version)
    is_new = since.attributes["app"] == "3.2"
    found = explain_change(before, lose(rng, since, is_new, 0.5), is_missing)
    assert [one.name for one in found.slices] == ["app=3.2"]
    assert found.slices[0].change_share > 0.8
    unchanged = explain_change(before, since, is_missing)
    assert unchanged.reason is HintReason.NO_SLICE


def test_missing_values_and_codes_are_slices_with_a_name():
    rng = np.random.default_rng(4)
    for name, value, text in (("country", None, "country missing"), ("flag", 1.0, "flag=1")):
        before, since = sample(rng, 4_000), sample(rng, 4_000)
        since = lose(rng, since, since.attributes[name] == value, 0.5)
        assert explain_change(before, since, is_missing).slices[0].name == text


def test_a_change_of_all_rows_is_in_no_slice():
    rng = np.random.default_rng(5)
    found = explain_change(sample(rng, 5_000), sample(rng, 5_000, 0.2), is_missing)
    assert (found.reason, found.slices) == (HintReason.EVEN, ())


def test_a_quarter_of_an_hour_of_rows_is_enough_for_a_pair():
    rng = np.random.default_rng(6)
    before, since = sample(rng, 20_000), sample(rng, 300)
    planted = (since.attributes["country"] == "DE") & (since.attributes["device"] == "tv")
    assert 10 <= planted.sum() < 30
    found = explain_change(before, lose(rng, since, planted, 1.0), is_missing)
    assert [one.name for one in found.slices] == ["country=DE and device=tv"]


@pytest.mark.parametrize("n", [400, 4_000])
def test_without_a_change_slices_are_named_no_more_often_than_the_level(n):
    n_runs, n_found = 40, 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        found = explain_change(sample(rng, 4_000), sample(rng, n), is_missing)
        n_found += bool(found.slices)
    assert n_found <= binom.ppf(0.999, n_runs, LEVEL)


def test_sessions_are_counted_by_their_design_effect():
    """Sessions of 20 equal rows: as many rows, a twentieth of the evidence."""
    n_found = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        sides = []
        for _ in range(2):
            one = sample(rng, 300, 0.2)
            sides.append(
                RawSample(
                    np.repeat(one.values, 20),
                    {name: np.repeat(own, 20) for name, own in one.attributes.items()},
                )
            )
        found = explain_change(*sides, is_missing)
        assert found.phi > 8
        n_found += bool(found.slices)
    assert n_found <= 5


@pytest.mark.parametrize(
    ("n_before", "n_since", "reason"),
    [
        (0, 500, HintReason.NO_ROWS),
        (500, 0, HintReason.NO_ROWS),
        (500, 99, HintReason.FEW_ROWS),
        (99, 500, HintReason.FEW_ROWS),
    ],
)
def test_too_few_rows_are_a_reason(n_before, n_since, reason):
    rng = np.random.default_rng(7)
    assert explain_change(sample(rng, n_before), sample(rng, n_since), is_missing).reason is reason


def test_rows_without_anything_to_slice_by_are_a_reason():
    rng = np.random.default_rng(8)
    own = [RawSample(sample(rng, 200).values, {}) for _ in range(2)]
    assert explain_change(*own, is_missing).reason is HintReason.NO_ATTRIBUTES
    assert explain_change(*own, None).reason is HintReason.UNKNOWN_CHANGE


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.integers(1, 600), st.floats(0, 1))
def test_shares_are_shares_whatever_the_rows(seed, n_before, n_since, share):
    rng = np.random.default_rng(seed)
    before, since = sample(rng, n_before, 0.3), sample(rng, n_since, 0.3)
    since = lose(rng, since, since.attributes["device"] == "tv", share)
    found = explain_change(before, since, is_missing)
    assert (found.reason is HintReason.FOUND) == bool(found.slices)
    assert found.phi >= 1
    for one in found.slices:
        assert all(0 <= value <= 1 for value in one[1:])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(["DE", "FR", "US"]))
def test_other_names_of_values_give_the_same_slices(seed, names):
    rng = np.random.default_rng(seed)
    before, since = sample(rng, 1_000), sample(rng, 1_000)
    since = lose(rng, since, since.attributes["country"] == "DE", 0.3)
    new = dict(zip(["DE", "FR", "US", None], [*names, None], strict=True))

    def renamed(side: RawSample) -> RawSample:
        country = np.empty(len(side), object)
        country[:] = [new[value] for value in side.attributes["country"]]
        return RawSample(side.values, side.attributes | {"country": country})

    plain = explain_change(before, since, is_missing)
    other = explain_change(renamed(before), renamed(since), is_missing)
    assert [one.name.replace("country=DE", f"country={new['DE']}") for one in plain.slices] == [
        one.name for one in other.slices
    ]
    assert [one[1:] for one in plain.slices] == [one[1:] for one in other.slices]


def test_a_slice_of_rare_values_together_may_carry_a_change():
    rng = np.random.default_rng(9)
    before, since = sample(rng, 20_000), sample(rng, 20_000)
    users = {"only": choice(rng, ["common"] * 9 + ["x"], 20_000)}
    users["only"][users["only"] == "x"] = [f"x{i}" for i in range((users["only"] == "x").sum())]
    before = RawSample(before.values, before.attributes | users)
    since = RawSample(since.values, since.attributes | users)
    since = lose(rng, since, users["only"] != "common", 0.5)
    assert explain_change(before, since, is_missing).slices[0].name == f"only={RARE}"


def hint(alert_id: str, *slices: HintSlice, reason: HintReason = HintReason.FOUND) -> SliceHint:
    return SliceHint(
        tenant="t",
        model="m",
        model_version="1",
        kind=HintKind.ALERT,
        alert_id=alert_id,
        feature="x",
        segment="*",
        effect_where="missing",
        time_us=0,
        since_us=0,
        reason=reason,
        slices=slices,
    )


ONE = HintSlice("country=DE", 0.8, 0.1, 0.0, 0.5, 1e-9)


def test_an_incident_has_the_hint_of_its_owner_or_of_one_with_slices():
    alerts = [alert("missing"), alert("missing")]
    incident = Incident(
        incident_id="i",
        tenant="t",
        cause=Cause.DATA,
        severity=Severity.PAGE,
        opened_at_us=0,
        title="",
        owner_alert_id="a",
        alerts=[
            type(a)(**{**_fields(a), "alert_id": i}) for a, i in zip(alerts, "ab", strict=True)
        ],
    )
    even, found = hint("a", reason=HintReason.EVEN), hint("b", ONE)
    assert incident_hint(incident, {"a": even, "b": found}) is found
    assert incident_hint(incident, {"a": hint("a", ONE), "b": found}).alert_id == "a"
    assert incident_hint(incident, {"c": found}) is None


def _fields(one: object) -> dict:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_the_last_search_counts_unless_only_an_earlier_one_found_slices():
    early, late = hint("a", ONE), hint("a", reason=HintReason.EVEN)
    assert last_hints([early, late]) == {"a": early}
    assert last_hints([late, early]) == {"a": early}


@pytest.mark.parametrize("reason", [r for r in HintReason if r is not HintReason.FOUND])
def test_each_reason_without_a_slice_has_a_text(reason):
    text = hint_text(hint("a", reason=reason))
    assert reason in REASONS
    assert text
    assert "{" not in text
