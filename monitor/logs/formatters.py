"""Formatters of log records: text lines, or JSON lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from schemas.spelling import spell_controls, spell_json, spell_lines

_OWN_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class TextFormatter(logging.Formatter):
    """A text line: time, level, stage, logger and message."""

    def __init__(self, stage: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._stage, self._redact = stage, redact

    def format(self, record: logging.LogRecord) -> str:
        """Format one record; a traceback follows, indented."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        # A line break in a message would make two records of one, and forge the second.
        words = spell_controls(record.getMessage())
        line = f"{time} {record.levelname.lower():<7} {self._stage} {record.name}: {words}"
        extra = _extra(record).items()
        more = "".join(f" {name}={spell_controls(str(value))}" for name, value in extra)
        trace = spell_lines(_traceback(self, record))
        return self._redact(line + more + ("\n" + trace if trace else "").replace("\n", "\n    "))


class JsonFormatter(logging.Formatter):
    """A JSON line."""

    def __init__(self, stage: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._stage, self._redact = stage, redact

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as a JSON object."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stage": self._stage,
            "logger": record.name,
            "message": self._redact(record.getMessage()),
            **{name: self._redact(str(value)) for name, value in _extra(record).items()},
        }
        if trace := _traceback(self, record):
            document["traceback"] = self._redact(trace)
        return spell_json(json.dumps(document, ensure_ascii=False))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields given as ``extra=``."""
    return {k: v for k, v in record.__dict__.items() if k not in _OWN_FIELDS and k != "taskName"}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Format the exception of a record."""
    return formatter.formatException(record.exc_info) if record.exc_info else ""
