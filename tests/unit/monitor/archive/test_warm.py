"""A warm archive compiles and loads nothing at its first range."""

from __future__ import annotations

import subprocess
import sys

from tests.support.repository import ROOT

_PROGRAM = """
import sys
from detectors.kernels.jit import ready_count
from monitor.archive import raw, warm
from monitor.archive.pane_fold import PaneFold, PaneReader
from monitor.archive.pane_sets import PaneSets
from monitor.archive.stage import RangeRows
from monitor.core.topics import GPU, LABELS, PANES, PREDICTIONS
from monitor.core.windowing.stored.folding import StoredSlots
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.decode import Decoder, decode_gpu, decode_label_batch
from monitor.transport.types import Message
from tests.support.worlds import archive as world

# a range that cannot be read at once is read by halves, and hides what went wrong
raw.RawTopics._read_halved = None
warm.warm_archive(world.CONFIGS)
n_ready, modules = ready_count(), set(sys.modules)
assert n_ready > 5, n_ready

rows_of = raw.RawTopics(
    Decoder([c.schema_ for c in world.CONFIGS]), decode_label_batch, decode_gpu
)
numbers = range(200)
for topic, make in ((PREDICTIONS, world.prediction), (LABELS, world.label), (GPU, world.gpu)):
    messages = [Message(i, b"", make(i), 1) for i in numbers]
    found, refusals = rows_of.rows(topic, [raw.chunk_of_messages(messages, warm._PLACE)])
    assert len(found) == len(numbers) and not refusals, (topic, refusals)

names = {(c.tenant, c.model): c.schema_.variables for c in world.CONFIGS}
reader = PaneReader(names, Spans.of(world.CONFIGS))
slots = StoredSlots(0, "warm", SlotState([], spans=reader.spans))
rows = RangeRows(PANES, warm._PLACE, rows_of, reader, PaneFold(PaneSets(), slots))
written = [pair for i in range(4) for pair in world.pane(i)]
written += [world.idle(p) for p in range(4)]
blocks = rows.blocks([[Message(i, *pair, 1) for i, pair in enumerate(written)]], 12, "t")
assert sum(len(block) for block in blocks) >= world.ROWS_OF_A_PANE, blocks
print(ready_count() - n_ready, sorted(set(sys.modules) - modules))
"""


def test_a_warm_archive_compiles_and_loads_nothing_at_its_first_range():
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("[")[0].strip() == "0"
    assert run.stdout.strip().endswith("[]")
