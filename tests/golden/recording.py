"""The recorded messages: how each is written, and how the files that hold them are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from monitor.archive.position import ArchivePosition
from monitor.core import topics
from monitor.core.gpu.host_activity import sign_messages
from monitor.core.state.snapshot_store import state_writes
from monitor.core.state.writes import alert_write, result_writes
from monitor.core.unreadable import letter_write
from monitor.core.windowing import baseline_codec as baseline_codec
from monitor.core.windowing.codec import encode, encode_batch, encode_one, pane_key
from monitor.core.windowing.intake_message import encode_intake, intake_key
from monitor.core.windowing.pane_batch import batch_key
from monitor.ingest.refusals import late_write
from monitor.notify.delivery.log import encode_entry, entry_key
from tests.golden import objects

FOLDER = Path(__file__).parent / "files"
INDEX = FOLDER / "index.json"
STEPS = FOLDER / "crash_steps.txt"
WIDE_BYTES = 16_384
"""Limit of a message's value where a pane, a baseline or a state is cut into several."""


COMPRESSED = ("pane", "state", "profile")
"""Names of messages whose values hold zstd begin so."""


class Recorded(NamedTuple):
    """One message; or the metadata of a commit, or a config, which have no topic."""

    name: str
    topic: str
    key: bytes
    value: bytes
    timestamp_us: int = -1

    @property
    def entry(self) -> dict[str, Any]:
        """Everything but the value, for the index."""
        return {
            "topic": self.topic,
            "key": self.key.decode(),
            "timestamp_us": self.timestamp_us,
        }


def _panes() -> Iterator[Recorded]:
    for name, pane in (("pane", objects.pane()), ("pane-rows", objects.row_pane())):
        (value,) = encode(pane, schema=1)
        yield Recorded(name, topics.PANES, pane_key(pane, 0).encode(), value)
    wide = objects.wide_pane()
    for i, value in enumerate(encode(wide, WIDE_BYTES, schema=1)):
        yield Recorded(f"pane-wide-{i}", topics.PANES, pane_key(wide, i).encode(), value)
    for name, pane in (("packed-pane", objects.pane()), ("packed-pane-rows", objects.row_pane())):
        (value,) = encode(pane, schema=2)
        yield Recorded(name, topics.PANES, pane_key(pane, 0).encode(), value)
    for i, value in enumerate(encode(wide, WIDE_BYTES, schema=2)):
        yield Recorded(f"packed-pane-wide-{i}", topics.PANES, pane_key(wide, i).encode(), value)
    shared = objects.shared_panes()
    yield Recorded("shared-panes", topics.PANES, batch_key(shared[0], 3), encode_batch(shared))
    (value,) = encode_one(shared[0])
    yield Recorded("shared-panes-one", topics.PANES, pane_key(shared[0], 0).encode(), value)
    intake = objects.intake()
    yield Recorded("intake", topics.PANES, intake_key(intake), encode_intake(intake))
    for i, mark in enumerate(objects.watermarks()):
        yield Recorded(f"watermark-{i}", topics.PANES, mark.key(), mark.encode())


def _states() -> Iterator[Recorded]:
    bodies: dict[str, tuple[tuple[str, ...], int, bytes, int]] = {
        "model": (objects.MODEL, 41, msgspec.msgpack.encode(objects.model_state()), 900_000),
        "model-old": (objects.MODEL, 40, objects.old_model_state(), 900_000),
        "model-parts": (objects.MODEL, 42, msgspec.msgpack.encode(objects.model_state()), 600),
        "gpu": (("0",), 17, msgspec.msgpack.encode(objects.gpu_state()), 900_000),
        "silence": (("sources",), 3, msgspec.msgpack.encode(objects.silence_state()), 900_000),
    }
    for name, (place, sequence, body, max_bytes) in bodies.items():
        kind = name.partition("-")[0]
        writes = state_writes(kind, place, objects.OWNER, sequence, body, max_bytes, partition=0)
        for i, write in enumerate(writes):
            yield Recorded(f"state-{name}-{i}", write.topic, write.key, write.value or b"")


def _baselines() -> Iterator[Recorded]:
    for name, baseline in (
        ("profile", objects.baseline()),
        ("profile-seasonal", objects.seasonal_baseline()),
    ):
        ((key, value),) = baseline_codec.message_parts(baseline)
        yield Recorded(name, topics.BASELINES, key, value)
    for i, (key, value) in enumerate(baseline_codec.message_parts(objects.baseline(), 1_000)):
        yield Recorded(f"profile-part-{i}", topics.BASELINES, key, value)


def _commits() -> Iterator[Recorded]:
    for name, commit in objects.commits().items():
        key = str(commit.offset).encode()
        yield Recorded(f"commit-{name}", "commit", key, commit.metadata().encode())
    for name, stand in objects.archive_positions().items():
        metadata = _metadata(stand)
        yield Recorded(f"commit-{name}", "commit", str(stand.lo).encode(), metadata)


def _metadata(stand: ArchivePosition) -> bytes:
    return stand.metadata(objects.SOURCE).encode()


def _others() -> Iterator[Recorded]:
    for name, alert in objects.alerts().items():
        write = alert_write(alert, delay_us=60_000_000)
        yield Recorded(
            f"alert-{name}", topics.ALERTS, write.key, write.value or b"", write.timestamp_us
        )
    for write in result_writes(objects.MODEL, objects.results(), 0):
        yield Recorded("results", topics.RESULTS, write.key, write.value or b"")
    for write in result_writes(objects.MODEL, [], 0, [objects.result_table()]):
        yield Recorded("result-table", topics.RESULTS, write.key, write.value or b"")
    for name, entry in objects.notifications().items():
        yield Recorded(
            f"notification-{name}", topics.NOTIFICATIONS, entry_key(entry), encode_entry(entry)
        )
    letter = letter_write(objects.letter())
    yield Recorded("dead-letter", topics.DEAD_LETTERS, letter.key, letter.value or b"")
    late = late_write(objects.late_event(), 0)
    yield Recorded("late-event", topics.LATE, late.key, late.value or b"")
    for value in sign_messages(objects.signs()):
        yield Recorded("host-signs", topics.GPU, b"", value)
    own = {"prediction": topics.PREDICTIONS, "label": topics.LABELS, "gpu": topics.GPU}
    for name, event in objects.events().items():
        yield Recorded(f"event-{name}", own[name], b"", msgspec.json.encode(event))


def _configs() -> Iterator[Recorded]:
    for name, config in objects.configs().items():
        yield Recorded(f"config-{name}", "config", b"", config.model_dump_json().encode())


def written() -> dict[str, Recorded]:
    """Write every object with the code as it is now."""
    groups = (_panes, _states, _baselines, _commits, _configs, _others)
    return {found.name: found for group in groups for found in group()}


def recorded() -> dict[str, Recorded]:
    """Read what the files hold."""
    index = json.loads(INDEX.read_text())["messages"]
    return {
        name: Recorded(
            name,
            entry["topic"],
            entry["key"].encode(),
            (FOLDER / f"{name}.bin").read_bytes(),
            entry["timestamp_us"],
        )
        for name, entry in index.items()
    }


def recorded_with() -> str:
    """Return the version of the library that compressed the recorded values."""
    version: str = json.loads(INDEX.read_text())["pyarrow"]
    return version


def base_name(name: str) -> str:
    """Return a name without the number of the part.

    Examples
    --------
    >>> base_name("pane-wide-0"), base_name("intake")
    ('pane-wide', 'intake')
    """
    return re.sub(r"-\d+$", "", name)


def opened(found: dict[str, Recorded]) -> dict[str, Any]:
    """Take the compression off: what must be equal whatever zstd's version makes of it.

    The chunks of one body are joined first, so where they were cut does not count either.
    """
    plain: dict[str, Any] = {}
    for name, one in found.items():
        if one.topic == topics.PANES and name.startswith("pane"):
            head, part = msgspec.msgpack.decode(one.value)
        elif one.topic == topics.STATE:
            *head, part = msgspec.msgpack.decode(one.value)
        else:
            plain[name] = one
            continue
        group = plain.setdefault(base_name(name), [head[-1], b""])
        group[1] += part
    for name, group in plain.items():
        if isinstance(group, list):
            n_bytes, packed = group
            plain[name] = pa.decompress(packed, n_bytes, codec="zstd", asbytes=True)
    return _opened_baselines(plain)


def _opened_baselines(plain: dict[str, Any]) -> dict[str, Any]:
    parts = b"".join(plain[name].value for name in sorted(plain) if name.startswith("profile-part"))
    kept = {name: one for name, one in plain.items() if not name.startswith("profile")}
    for name in ("profile", "profile-seasonal"):
        kept[name] = _content(plain[name].value)
    return kept | {"profile-parts": _content(parts)}


def _content(data: bytes) -> bytes:
    header, _, packed = data.partition(b"\n")
    n_bytes = int(header.split(b" ")[2])
    content: bytes = pa.Codec("zstd").decompress(packed, n_bytes, asbytes=True)
    return content


def record(steps: set[str]) -> None:
    """Write the files again: for a change of the format that is meant."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.bin"):
        old.unlink()
    made = written()
    for name, one in made.items():
        (FOLDER / f"{name}.bin").write_bytes(one.value)
    index = {"pyarrow": pa.__version__, "messages": {n: one.entry for n, one in made.items()}}
    INDEX.write_text(json.dumps(index, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    STEPS.write_text("".join(f"{step}\n" for step in sorted(steps)))
