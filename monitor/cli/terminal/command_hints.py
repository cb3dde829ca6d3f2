"""Formats commands in hints so that they work in the user's shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from monitor.app.short_path import shortest

_NAME = "driftline"
_HINT = re.compile(
    rf"(?<![\w./-]){_NAME}(?= (?:archive|backtest|baseline|check|compare|demo|detect|dev|ingest"
    r"|notify|replay|report|sql|store|topics|up)\b)"
)


def as_started(text: str) -> str:
    """Return a text in which ``driftline COMMAND`` can be copied into the user's shell.

    Parameters
    ----------
    text : str
        A hint or an error message.

    Returns
    -------
    str
        Unchanged if ``driftline`` is on the path; else with the path of the program.

    Examples
    --------
    >>> as_started("driftlines are drawn")
    'driftlines are drawn'
    """
    command = own_command()
    return text if command == _NAME else _HINT.sub(lambda found: command, text)


def own_command(arguments: Sequence[str] | None = None, search_path: str | None = None) -> str:
    """Return the command by which this program is started from the current folder.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv``.
    search_path : str, optional
        ``PATH``.

    Returns
    -------
    str
        ``driftline`` if the shell finds this program under that name, or if it is unknown how it
        was started; else its quoted path.
    """
    return _found(
        (sys.argv if arguments is None else arguments)[0],
        os.environ.get("PATH", "") if search_path is None else search_path,
        Path.cwd(),
    )


@cache
def _found(started: str, search_path: str, folder: Path) -> str:
    """Search the program on the path; cached per current folder."""
    program = Path(started)
    if program.parts[-3:] == ("monitor", "cli", "main.py"):
        return f"{shlex.quote(sys.executable)} -m monitor.cli.main"
    if program.name != _NAME or not program.is_file():
        return _NAME
    known = shutil.which(_NAME, path=search_path)
    if known is not None and Path(known).resolve() == program.resolve():
        return _NAME
    path = shortest(str(program.absolute()))
    return shlex.quote(path if os.sep in path else f"./{path}")
