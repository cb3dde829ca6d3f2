"""Several files are read in the order of their times, however they are named."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from monitor.transport.first_times import in_order_of_times
from schemas.config.model import ModelConfig

MODEL = {"model": "m", "features": {"a": {"kind": "numeric"}}}
CONFIG = ModelConfig(**MODEL, columns={"time": "ts"})


def write(folder, name, day):
    rows = pd.DataFrame({"a": range(5), "ts": pd.date_range(day, periods=5, freq="h")})
    path = folder / name
    if name.endswith(".parquet"):
        rows.to_parquet(path)
    elif name.endswith(".jsonl"):
        events = [
            {"model": "m", "time_us": ts.value // 1000, "features": {"a": a}}
            for a, ts in rows.itertuples(index=False)
        ]
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
    else:
        rows.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".jsonl"])
def test_files_given_newest_first_are_read_oldest_first(tmp_path, suffix):
    feb = write(tmp_path, f"feb{suffix}", "2024-02-01")
    mar = write(tmp_path, f"mar{suffix}", "2024-03-01")
    jan = write(tmp_path, f"jan{suffix}", "2024-01-01")
    assert in_order_of_times([mar, jan, feb], CONFIG) == (jan, feb, mar)


def test_a_folder_of_parts_is_placed_by_its_first_part(tmp_path):
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "part-0.parquet", "2024-01-01")
    new = write(tmp_path, "new.csv", "2024-03-01")
    assert in_order_of_times([new, str(tmp_path / "parts")], CONFIG)[1] == new


@pytest.mark.parametrize("other", ["-", "missing.csv", "notimes.csv", "empty.csv"])
def test_files_keep_their_order_where_one_shows_no_time(tmp_path, other):
    new = write(tmp_path, "new.csv", "2024-03-01")
    (tmp_path / "notimes.csv").write_text("a\n1\n")
    (tmp_path / "empty.csv").write_text("a,ts\n")
    second = other if other == "-" else str(tmp_path / other)
    assert in_order_of_times([new, second], CONFIG) == (new, second)


def test_files_with_record_times_keep_their_order(tmp_path):
    new = write(tmp_path, "new.csv", "2024-03-01")
    old = write(tmp_path, "old.csv", "2024-01-01")
    config = ModelConfig(**MODEL, columns={"time": "ts", "record_time": "arrived"})
    assert in_order_of_times([new, old], config) == (new, old)
