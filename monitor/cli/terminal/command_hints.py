"""Commands in hints, written so that they work in the shell that reads them."""

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
    """Return a text whose ``driftline COMMAND`` can be copied into this shell.

    Parameters
    ----------
    text : str
        A hint, or an error's.

    Returns
    -------
    str
        As it is where ``driftline`` is on the path; else with the path of the program.

    Examples
    --------
    >>> as_started("driftlines are drawn")
    'driftlines are drawn'
    """
    command = own_command()
    return text if command == _NAME else _HINT.sub(lambda found: command, text)


def own_command(arguments: Sequence[str] | None = None, search_path: str | None = None) -> str:
    """Return how this program is started again from the current folder.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv``.
    search_path : str, optional
        ``PATH``.

    Returns
    -------
    str
        ``driftline`` where the shell finds this very program under that name, or where it
        is not known how it was started; else its path, quoted.
    """
    return _found(
        (sys.argv if arguments is None else arguments)[0],
        os.environ.get("PATH", "") if search_path is None else search_path,
        Path.cwd(),
    )


@cache
def _found(started: str, search_path: str, folder: Path) -> str:
    """Find the program on the path, once for each current folder."""
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
