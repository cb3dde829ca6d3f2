"""Logging of a process: every logger to standard error, one handler, one format."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import IO, Final

from monitor.logs.formatters import JsonFormatter, TextFormatter
from monitor.logs.rate_limit import RateLimitedHandler
from monitor.logs.redaction import Redaction, secrets_of
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
) -> RateLimitedHandler:
    """Configure every logger of this process.

    Parameters
    ----------
    stage : str
        Named in every line.
    level : str, optional
        ``debug``, ``info``, ``warning`` or ``error``, of Driftline's own loggers; else
        ``DRIFTLINE_LOG_LEVEL``, else ``info``. Libraries log from ``warning`` on.
    style : str, optional
        ``text`` or ``json``; else ``DRIFTLINE_LOG``, else text on a terminal.
    secrets : iterable of str, optional
        Values to redact, besides those of environment variables whose names mark
        them as secret.
    stream : text stream, optional
        Standard error by default.

    Returns
    -------
    RateLimitedHandler
        Installed in place of other handlers.

    Raises
    ------
    ConfigError
        If level or style is unknown.
    """
    env = os.environ if environment is None else environment
    out = stream or sys.stderr
    chosen = _choose(level or env.get(LEVEL_VARIABLE, ""), LEVELS, "info", LEVEL_VARIABLE)
    default = "text" if out.isatty() else "json"
    form = _choose(style or env.get(STYLE_VARIABLE, ""), ("text", "json"), default, STYLE_VARIABLE)
    redact = Redaction([*secrets_of(env), *secrets])
    formatter = JsonFormatter(stage, redact) if form == "json" else TextFormatter(stage, redact)
    handler = RateLimitedHandler(out)
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
    """Return a valid choice, or the default for an empty text."""
    word = text.lower() or default
    if word not in allowed:
        raise ConfigError(f'"{text}" is not known', where=variable, fix=f"use {', '.join(allowed)}")
    return word


def limit_stderr() -> None:
    """Limit repeated warnings of a command that does not call :func:`configure_logs`.

    Without it ``logging`` prints every warning to standard error.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(RateLimitedHandler(sys.stderr))


def _log_thread_end(ended: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, instead of printing it in pieces."""
    from asyncio import CancelledError  # slow to import for a command without logs

    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    error = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    name = ended.thread.name if ended.thread else "unknown"
    if issubclass(ended.exc_type, CancelledError):
        # Faust's consumer ends so when it is stopped while its broker is away.
        logging.getLogger("driftline").info("thread %s was cancelled", name)
        return
    logging.getLogger("driftline").error("thread %s ended", name, exc_info=error)
