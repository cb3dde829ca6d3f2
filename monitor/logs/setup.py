"""Where every logger of a process goes: standard error, one handler, one form."""

from __future__ import annotations

import logging
import os
import sys
import threading
from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from typing import IO, Final

from monitor.logs.redaction import Redaction, secrets_of
from monitor.logs.sparing import SparingHandler
from monitor.logs.spelling import JsonFormatter, TextFormatter
from schemas.errors import ConfigError

STYLE_VARIABLE: Final = "DRIFTLINE_LOG"
LEVEL_VARIABLE: Final = "DRIFTLINE_LOG_LEVEL"
LEVELS: Final = ("debug", "info", "warning", "error")

_OURS: Final = ("monitor", "detectors", "schemas", "driftline")


def configure_logs(
    stage: str,
    *,
    level: str = "",
    style: str = "",
    secrets: Iterable[str] = (),
    stream: IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SparingHandler:
    """Send every logger of this process to one place.

    Parameters
    ----------
    stage : str
        Stands in every line.
    level : str, optional
        ``debug``, ``info``, ``warning`` or ``error``, of Driftline's own loggers; else
        ``DRIFTLINE_LOG_LEVEL``, else ``info``. Libraries speak from ``warning`` on.
    style : str, optional
        ``text`` or ``json``; else ``DRIFTLINE_LOG``, else by whether a person reads along.
    secrets : iterable of str, optional
        Values that must not be seen, besides those of environment variables whose names
        say that they hold one.
    stream : text stream, optional
        Standard error by default.
    environment : mapping of str to str, optional

    Returns
    -------
    SparingHandler
        Already in place, instead of what was there.

    Raises
    ------
    ConfigError
        If level or style is none.
    """
    env = os.environ if environment is None else environment
    out = stream or sys.stderr
    chosen = _choose(level or env.get(LEVEL_VARIABLE, ""), LEVELS, "info", LEVEL_VARIABLE)
    default = "text" if out.isatty() else "json"
    form = _choose(style or env.get(STYLE_VARIABLE, ""), ("text", "json"), default, STYLE_VARIABLE)
    redact = Redaction([*secrets_of(env), *secrets])
    formatter = JsonFormatter(stage, redact) if form == "json" else TextFormatter(stage, redact)
    handler = SparingHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if chosen == "debug" else logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(chosen.upper())
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_end
    return handler


def _choose(text: str, allowed: tuple[str, ...], default: str, variable: str) -> str:
    """Take one of the words, or the default where nothing is said."""
    word = text.lower() or default
    if word not in allowed:
        raise ConfigError(f'"{text}" is not known', where=variable, fix=f"use {', '.join(allowed)}")
    return word


def _log_thread_end(ended: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, instead of printing it in pieces."""
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    error = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    name = ended.thread.name if ended.thread else "unknown"
    if issubclass(ended.exc_type, CancelledError):
        # Faust's consumer ends so when it is stopped while its broker is away.
        logging.getLogger("driftline").info("thread %s was cancelled", name)
        return
    logging.getLogger("driftline").error("thread %s ended", name, exc_info=error)
