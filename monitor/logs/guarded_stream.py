"""Standard output and error in which no text from outside controls the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from schemas.spelling import spell_lines


class GuardedStream:
    """A text stream that spells control characters; all else is the stream's own.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> _ = GuardedStream(out).write("tier=\\x1b[31mgold\\n")
    >>> out.getvalue()
    'tier=\\\\x1b[31mgold\\n'
    """

    def __init__(self, stream: IO[str]) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write the text as it may be shown; returns its length as it was."""
        self.unguarded.write(spell_lines(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each line as it may be shown."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def unguarded(stream: IO[str]) -> IO[str]:
    """Return the stream itself, for what colours its own text, or writes data for programs.

    Its users spell every name with ``schemas.spelling``.
    """
    return stream.unguarded if isinstance(stream, GuardedStream) else stream


@contextmanager
def guarded_output() -> Iterator[None]:
    """Guard standard output and error within a block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        cast("Any", GuardedStream(unguarded(stream))) if stream is not None else None
        for stream in before
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
