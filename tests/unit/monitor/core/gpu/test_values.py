"""GPU telemetry as exporters write it: numbers, blanks, and what is named when refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from monitor.core.gpu.counters import is_blank
from monitor.core.gpu.rules import GpuRules
from monitor.core.gpu.table import PERSISTENT, RELOAD_COUNTERS, RULES, Condition
from monitor.decode import chunk_of, decode_gpu
from monitor.storage.rows import gpu_rows
from schemas.config.monitor import GpuConfig
from schemas.events import GpuEvent, Reject

BLANKS = [
    None,
    "N/A",
    "n/a",
    "[N/A]",
    " [Not Supported] ",
    "[Unknown Error]",
    "[GPU requires reset]",
    "[Insufficient Permissions]",
    "ERR!",
    "",
    "-",
    "Unknown Error",
    "nan",
    "NaN",
    "-Infinity",
    "None",
    "No",
    True,
    False,
    *range(2**31 - 16, 2**31),
    *range(2**63 - 16, 2**63),
    2**64 - 1,
    2**32 - 1,
    140737488355328.0,
    140737488355331.0,
    2147483632.0,
    9.223372036854776e18,
    "9223372036854775794",
    "9.223372036854776e+18",
    "2147483632",
    float(np.float32(2**31 - 16)),
    float(np.float32(2**32 - 1)),
]


def event(**members: Any) -> bytes:
    whole = {"host": "n1", "gpu_uuid": "GPU-1", "time_us": 5, **members}
    return json.dumps(whole).encode()


def read(*events: bytes) -> tuple[list[GpuEvent], tuple[Reject, ...]]:
    placed, rejects = decode_gpu(chunk_of(events, "f"))
    return [e for _, _, e in placed], rejects


@pytest.mark.parametrize("blank", BLANKS)
def test_a_field_without_a_value_is_a_blank_and_its_xid_counts(blank: Any) -> None:
    sample = event(fields={"gpu_temp": blank, "fan_speed": 40}, xid=79)
    (decoded,), rejects = read(sample)
    assert decoded.fields == {"gpu_temp": None, "fan_speed": 40}
    assert not rejects
    assert [a.rule for a in GpuRules(GpuConfig()).observe(decoded)] == ["xid_79"]


@pytest.mark.parametrize(
    "bare", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999", b"9" * 400]
)
def test_a_number_that_no_float_holds_is_a_blank(bare: bytes) -> None:
    (decoded,), _ = read(event(fields={"gpu_temp": 12345}, xid="79").replace(b"12345", bare))
    assert (decoded.fields, decoded.xid) == ({"gpu_temp": None}, 79)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("55", 55),
        ("55 C", 55),
        ("300.25 W", 300.25),
        ("1410 MHz", 1410),
        ("97 %", 97),
        ("0x0000000000000048", 0x48),
        ("1.5e3", 1500.0),
        (" -2 ", -2),
        ("+7", 7),
        (".5", 0.5),
    ],
)
def test_a_number_written_as_text_is_its_number(text: str, number: float) -> None:
    (decoded,), _ = read(event(fields={"x": text}))
    assert decoded.fields == {"x": number}


@pytest.mark.parametrize("value", ["4 GB", "hot", [1], {"a": 1}, "1,410", "٥"])
def test_a_field_that_cannot_be_read_is_named(value: Any) -> None:
    _, (reject,) = read(event(fields={"fan_speed": 1, "gpu_temp": value}, tenant="t"))
    assert "`$.fields['gpu_temp']`" in reject.detail
    assert (reject.reason.value, reject.tenant) == ("mistyped", "t")


@pytest.mark.parametrize("fields", [["a"], "N/A", 5, {"gpu_temp": "hot"}, None])
def test_an_xid_counts_whatever_the_fields_hold(fields: Any) -> None:
    (decoded,), _ = read(event(fields=fields, xid=79))
    assert decoded.xid == 79


@pytest.mark.parametrize("value", [True, "Yes", "true", "Active", 1, "1", 1.0])
def test_a_flag_may_be_a_boolean(value: Any) -> None:
    (decoded,), _ = read(event(fields={"DCGM_FI_DEV_ROW_REMAP_FAILURE": value}))
    assert [a.rule for a in GpuRules(GpuConfig()).observe(decoded)] == ["row_remap_failure"]


@pytest.mark.parametrize("value", [False, "No", "Not Active", 0, "[N/A]"])
def test_a_flag_that_is_not_set_stays_quiet(value: Any) -> None:
    (decoded,), _ = read(event(fields={"row_remap_failure": value}))
    assert GpuRules(GpuConfig()).observe(decoded) == []


@pytest.mark.parametrize("xid", [0, "0", None, "N/A", 2**31 - 16, 2**63 - 16, -1, True, 10**30])
def test_a_code_that_is_none_is_no_xid(xid: Any) -> None:
    (decoded,), _ = read(event(xid=xid, fields={"gpu_temp": 50}))
    assert decoded.xid is None


@pytest.mark.parametrize(("xid", "gpu"), [("79", "3"), (79.0, 3.0), ("79", 3)])
def test_indices_and_codes_may_be_text_or_whole_floats(xid: Any, gpu: Any) -> None:
    (decoded,), _ = read(event(xid=xid, gpu=gpu, driver_version=550.54, gpu_model=None))
    assert (decoded.xid, decoded.gpu, decoded.driver_version) == (79, 3, "550.54")


@pytest.mark.parametrize(("member", "value"), [("xid", 79.5), ("xid", "boom"), ("gpu", [0])])
def test_a_member_that_cannot_be_read_is_named(member: str, value: Any) -> None:
    _, (reject,) = read(event(**{member: value}))
    assert f"`$.{member}`" in reject.detail


def test_every_event_that_is_accepted_can_be_stored() -> None:
    events, rejects = read(
        *(event(fields={"x": blank}, xid=blank, gpu=blank, xid_sequence=blank) for blank in BLANKS)
    )
    assert gpu_rows(events).num_rows + len(rejects) == len(BLANKS)
    assert all(value is None for e in events for value in e.fields.values())


def test_a_gpu_whose_fields_were_never_available_is_watched() -> None:
    rules, alerts = GpuRules(GpuConfig()), []
    for second in range(0, 900, 30):
        for gpu in (0, 1):
            if gpu == 1 and second > 300:
                continue
            sample = event(
                gpu=gpu,
                gpu_uuid=f"GPU-{gpu}",
                time_us=second * 1_000_000,
                fields={"power_usage": "N/A", "clocks_event_reasons": "[N/A]"},
                xid=0,
            )
            alerts += rules.observe(read(sample)[0][0])
        alerts += rules.tick(second * 1_000_000)
    assert [(a.rule, a.gpu_uuid) for a in alerts] == [("gpu_lost", "GPU-1")]


@pytest.mark.parametrize("value", [0, 1, 55.5, 2**31 - 17, 2**31 + 1, 2**47 - 1, 2**62 - 1])
def test_values_beside_the_blanks_are_values(value: float) -> None:
    assert not is_blank(value)


VOLATILE = frozenset(
    {"ecc_sbe_vol_total", "ecc_dbe_vol_total", "total_energy_consumption", "pcie_replay_counter"}
    | {"thermal_violation", "power_violation", "xid_errors_count"}
    | {
        f"nvlink_{error}_error_count_total"
        for error in ("crc_flit", "crc_data", "replay", "recovery")
    }
)
"""Counters that restart from 0 when the driver is loaded or the GPU is reset."""


def test_every_counter_of_the_table_is_persistent_or_volatile() -> None:
    counting = (Condition.INCREASE, Condition.INCREASE_WITHIN)
    counted = {f for rule in RULES if rule.condition in counting for f in rule.fields}
    assert counted <= PERSISTENT | VOLATILE
    assert not PERSISTENT & VOLATILE
    assert RELOAD_COUNTERS <= VOLATILE
