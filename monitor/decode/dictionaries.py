"""Append-only dictionaries of strings, one per column, shared by both paths."""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Set

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numba import config as numba_config
from numpy.typing import NDArray

from driftline.canonical import category_of_json_number, category_of_text
from monitor.decode import interning
from schemas.batch import ABSENT_CODE, NULL_CODE, Int32Array

MAX_VALUES = 65_536
"""A dictionary with no room for this many values begins a new generation."""

MAX_TOTAL_VALUES = 1 << 20
"""All dictionaries of one decoder are reset beyond this."""

MAX_ARENA_BYTES = 64 << 20
"""As they do beyond so many bytes of text: a column may hold long ones."""

HAS_KERNELS = not numba_config.DISABLE_JIT

Text = str | UnsetType | None
"""A text, null, or ``UNSET`` where an event does not name the feature."""


def _no_codes() -> dict[Text, int]:
    """Return the codes of a dictionary without texts."""
    return {None: NULL_CODE, UNSET: ABSENT_CODE}


class Dictionaries:
    """Codes for the strings of a decoder's columns.

    ``values[d]`` is dictionary d's list; ``values[d][code]`` the string. A list
    only grows; a new generation is a new list, begun by :meth:`renew` between
    batches, never within one.

    Parameters
    ----------
    has_table : bool, optional
        Whether kernels look things up here; without, nothing is compiled.
    verbatim : set of int, optional
        Dictionaries that keep texts as they are. The others hold categories: a text is put
        into its form (:mod:`driftline.canonical`) once, when it is new.

    Attributes
    ----------
    has_table : bool

    Notes
    -----
    Kernels read and add through ``state`` (:mod:`monitor.decode.interning`) and
    stop when there is no room; :meth:`grow` doubles it. What they added reaches
    ``values`` by :meth:`sync`. A text that turns out to be another form of a known one, or
    no value at all, has by then a code of its own in the columns: :meth:`settled` replaces
    it, and from then on kernels find the right code. Its place in ``values`` is dead.

    Examples
    --------
    >>> d = Dictionaries(1)
    >>> d.encode(0, ["b", None, "7.0", "b", "7", "NA"]).tolist(), d.values[0]
    ([0, -1, 1, 0, 1, -1], ['b', '7'])
    """

    def __init__(
        self,
        n_dictionaries: int,
        has_table: bool = HAS_KERNELS,
        verbatim: Set[int] = frozenset(),
    ) -> None:
        self.has_table = has_table
        self._verbatim = verbatim
        self._moved: dict[int, dict[int, int]] = {}
        self.values: list[list[str]] = [[] for _ in range(n_dictionaries)]
        self._codes = [_no_codes() for _ in range(n_dictionaries)]
        self._sizes = np.zeros(n_dictionaries + 8, dtype=np.int64)
        self._cells = np.zeros(interning.N_STATE + 8, dtype=np.int64)  # + 8: false sharing
        self._set(interning.SEED, secrets.randbits(63))
        self._set(interning.FACTOR, secrets.randbits(62) << 1 | 1)
        self._set(interning.SIZES, self._sizes.ctypes.data)
        self._n_synced = 0
        self._allocate(1 << 10, 1 << 15)

    @property
    def state(self) -> int:
        """Address of the cells that kernels use."""
        return int(self._cells.ctypes.data)

    def __len__(self) -> int:
        return sum(map(len, self._codes)) - len(_no_codes()) * len(self._codes)

    def encode(self, dictionary: int, strings: Sequence[Text]) -> Int32Array:
        """Return the codes of ``strings``, adding those that are new; None is -1, UNSET -2."""
        if self._n_synced != self._get(interning.N_ENTRIES):
            self.sync()
        known = self._codes[dictionary]
        try:
            return np.fromiter(map(known.__getitem__, strings), np.int32, len(strings))
        except KeyError:
            codes = [known[s] if s in known else self._add(dictionary, s) for s in strings]
            return np.array(codes, dtype=np.int32)

    def sync(self) -> None:
        """Take over into ``values`` what kernels have added."""
        first, n = self._n_synced, self._get(interning.N_ENTRIES)
        for i, entry in enumerate(self._entries[first:n].tolist(), first):
            _, place, code, address, n_bytes, _ = entry
            at = address - self._arena.ctypes.data
            text = self._arena[at : at + n_bytes].tobytes().decode()
            known = self._take_over(place, code, text)
            if known != code:
                self._entries[i, 2] = known if known >= 0 else interning.MISSING
            # One by one: what was entered before a failure must not be entered again.
            self._n_synced = i + 1

    def _take_over(self, place: int, code: int, text: str) -> int:
        """Enter a kernel's text; return the code it is to have from now on, -1 if missing."""
        dictionary, is_number = place % interning.NUMBER, place & interning.NUMBER
        written, is_escaped = text, place & interning.ESCAPED
        if is_escaped:
            text = msgspec.json.decode(f'"{text}"', type=str)
        form = category_of_json_number(text) if is_number else self._form(dictionary, text)
        codes, values = self._codes[dictionary], self.values[dictionary]
        known = codes.get(form)
        if known is None:
            values.append(str(form))
            codes[form] = known = code
        else:
            kind = "number" if is_number else "escaped" if is_escaped else "text"
            values.append(f"\0{kind} {written}")  # dead, and no other's
            self._moved.setdefault(dictionary, {})[code] = known
        if not is_number:
            codes[text] = known
        return known

    @property
    def has_moved(self) -> bool:
        """Whether columns may hold provisional codes."""
        return bool(self._moved)

    def settled(self, dictionary: int, codes: Int32Array) -> Int32Array:
        """Return the codes of a kernel's column with those replaced that were provisional."""
        moved = self._moved.get(dictionary)
        if not moved:
            return codes
        table = np.arange(-1, len(self.values[dictionary]), dtype=np.int32)
        for code, known in moved.items():
            table[code + 1] = known
        return table[codes + 1]

    def forget_moved(self) -> None:
        """Forget provisional codes, when no column holds them any more."""
        self._moved.clear()

    def _form(self, dictionary: int, text: str) -> str | None:
        """Return the form of a text."""
        return text if dictionary in self._verbatim else category_of_text(text)

    def grow(self) -> None:
        """Double the room of the table and of the arena."""
        self._rebuild(2 * len(self._entries), 2 * len(self._arena), -1)

    def renew(self, n_new: int) -> None:
        """Begin new generations where ``n_new`` more values may not fit.

        A chunk that could fill half a dictionary by itself does not empty it:
        the bound is ``MAX_VALUES`` or, for such chunks, half of it and the chunk.
        """
        room = min(n_new, MAX_VALUES // 2)
        total = self._get(interning.N_ENTRIES) if self.has_table else len(self)
        is_large = self._get(interning.USED_BYTES) > MAX_ARENA_BYTES
        if total + room <= MAX_VALUES and not is_large:
            return  # thousands of dictionaries need no look
        if self.has_table and self._n_synced != total:
            self.sync()  # of a message on which decoding failed
        everything = total > MAX_TOTAL_VALUES or is_large
        for dictionary, values in enumerate(self.values):
            if values and (everything or len(values) + room > MAX_VALUES):
                self._drop(dictionary)

    def _drop(self, dictionary: int) -> None:
        """Reset one dictionary."""
        self._moved.pop(dictionary, None)
        self.values[dictionary] = []
        self._codes[dictionary] = _no_codes()
        self._sizes[dictionary] = 0
        if self.has_table:
            self._rebuild(len(self._entries), len(self._arena), dictionary)
            self._n_synced = self._get(interning.N_ENTRIES)

    def _add(self, dictionary: int, text: Text) -> int:
        """Add one string, and its form if that is another one."""
        assert isinstance(text, str)
        codes, form = self._codes[dictionary], self._form(dictionary, text)
        known = codes.get(form)
        if known is None:
            code = len(self.values[dictionary])
            self._enter(dictionary, str(form), interning.NEW)
            self.values[dictionary].append(str(form))
            codes[form] = known = code
        if form != text:
            self._enter(dictionary, text, known if known >= 0 else interning.MISSING)
            codes[text] = known
        return known

    def _enter(self, dictionary: int, text: str, code: int) -> None:
        """Add one string to the kernels' table."""
        if self.has_table:
            raw = text.encode()
            padded = np.zeros(len(raw) + 8, dtype=np.uint8)
            padded[: len(raw)] = np.frombuffer(raw, dtype=np.uint8)
            while True:
                added = interning.add_text(
                    self.state, dictionary, padded.ctypes.data, len(raw), code
                )
                if added != interning.NO_ROOM:
                    break
                self.grow()
            self._n_synced = self._get(interning.N_ENTRIES)

    def _rebuild(self, n_entries: int, n_bytes: int, dropped: int) -> None:
        """Move what is kept into new arrays."""
        entries, arena, n = self._entries, self._arena, self._get(interning.N_ENTRIES)
        self._allocate(n_entries, n_bytes)
        interning.rebuild(self.state, entries.ctypes.data, n, dropped)
        del arena  # alive until its bytes were copied

    def _allocate(self, n_entries: int, n_bytes: int) -> None:
        """Make an empty table, twice as long as its entries, and an empty arena.

        All or nothing: where memory runs out, kernels still find the old ones.
        """
        entries: NDArray[np.int64] = np.zeros((n_entries, 6), dtype=np.int64)
        arena: NDArray[np.uint8] = np.zeros(n_bytes, dtype=np.uint8)
        table: NDArray[np.int64] = np.zeros(2 * n_entries, dtype=np.int64)
        self._entries, self._arena, self._table = entries, arena, table
        self._set(interning.TABLE, self._table.ctypes.data)
        self._set(interning.MASK, 2 * n_entries - 1)
        self._set(interning.ENTRIES, self._entries.ctypes.data)
        self._set(interning.ARENA, self._arena.ctypes.data)
        self._set(interning.N_ENTRIES, 0)
        self._set(interning.MAX_ENTRIES, n_entries)
        self._set(interning.USED_BYTES, 0)
        self._set(interning.MAX_BYTES, n_bytes)

    def _get(self, cell: int) -> int:
        return int(self._cells[cell // 8])

    def _set(self, cell: int, value: int) -> None:
        self._cells[cell // 8] = value
