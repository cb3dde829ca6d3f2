"""The fast path: the kernel, its program, and the frame they share."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.decode import kernel
from monitor.decode.batches import Scratch
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.memory import PAD_BYTES
from monitor.decode.numbers import powers_of_ten
from monitor.decode.program import Program
from monitor.decode.units import Units
from schemas.batch import Int64Array, Uint8Array
from schemas.events import MAX_EVENT_BYTES


@cache
def powers() -> NDArray[np.uint64]:
    """One table a process."""
    return powers_of_ten()


class FastPath:
    """Runs the kernel over events of one buffer.

    Events that end within ``PAD_BYTES`` of the buffer's end, where the kernel could
    read past it, are decoded from a padded copy; the rest where they are.
    """

    def __init__(
        self,
        program: Program,
        dictionaries: Dictionaries,
        buffer: Uint8Array,
        units: Units,
        scratch: Scratch,
    ) -> None:
        self._program, self._dictionaries = program, dictionaries
        self._n = len(units)
        self._alive = (buffer, units, scratch)  # the frame holds their addresses
        self._base = buffer.ctypes.data
        self._n_direct = int(np.searchsorted(units.ends, len(buffer) - PAD_BYTES, side="right"))
        self._frame: Int64Array = np.zeros(kernel.N_FRAME + 8, dtype=np.int64)
        for cell, value in (
            (kernel.STARTS, units.starts.ctypes.data),
            (kernel.ENDS, units.ends.ctypes.data),
            (kernel.FITS, scratch.fits.ctypes.data),
            (kernel.TIME, scratch.time_us.ctypes.data),
            (kernel.NUMBERS, scratch.numbers.ctypes.data),
            (kernel.CODES, scratch.codes.ctypes.data),
            (kernel.IDS, scratch.ids.ctypes.data),
            (kernel.LACKS_NUMBER, scratch.lacks_number.ctypes.data),
            (kernel.LACKS_CODE, scratch.lacks_code.ctypes.data),
            (kernel.N_ROWS, self._n),
            (kernel.MAX_EVENT, MAX_EVENT_BYTES),
            (kernel.STATE, dictionaries.state),
            (kernel.POWERS, powers().ctypes.data),
        ):
            self._frame[cell // 8] = value
        self._tail: Uint8Array | None = None

    def run(self, begin: int, end: int) -> None:
        """Decode the undecided events in [begin, end) with the layouts known."""
        program = self._program
        program.link()
        pending: Int64Array = np.empty(4 * (program.n_slots + 1), dtype=np.int64)
        marks: Int64Array = np.empty(program.n_slots + 1, dtype=np.int64)
        for cell, array in (
            (kernel.HEADS, program.heads),
            (kernel.PENDING, pending),
            (kernel.MARKS, marks),
            (kernel.MODELS, program.table),
            (kernel.NEXT_HEAD, program.following),
        ):
            self._frame[cell // 8] = array.ctypes.data
        self._frame[kernel.MODELS_MASK // 8] = len(program.table) - 1
        n_heads = len(program)
        if begin < self._n_direct:
            self._run(self._base, begin, min(end, self._n_direct), n_heads)
        if self._n_direct < end:
            self._run(self._tail_base(), max(begin, self._n_direct), end, n_heads)

    def _run(self, base: int, begin: int, end: int, n_heads: int) -> None:
        """Run the kernel, making room for new strings where it stops."""
        self._frame[kernel.BASE // 8] = base
        frame = self._frame.ctypes.data
        while (begin := kernel.decode_events(frame, begin, end, n_heads)) < end:
            self._dictionaries.grow()

    def _tail_base(self) -> int:
        """Address at which the padded copy of the last events would have the buffer's start."""
        buffer, units, _ = self._alive
        first = int(units.starts[self._n_direct])
        if self._tail is None:
            rest = buffer[first : int(units.ends[-1])]
            self._tail = np.concatenate([rest, np.zeros(PAD_BYTES, dtype=np.uint8)])
        return int(self._tail.ctypes.data) - first
